//! Tools that copy and unpack images without an engine.

use std::path::Path;
use std::process::Command;

use super::wanted;
use crate::{Outcome, scratch, unmount_below};

/// `skopeo copy FROM TO`; none where it is not installed.
#[track_caller]
pub fn skopeo(from: &str, to: &str) -> Option<()> {
    let program = wanted("skopeo")?;
    Outcome::of(Command::new(program).args(["--insecure-policy", "copy", "-q", from, to])).succeeded();
    Some(())
}

/// Unpacks an image of an OCI layout below `bundle/rootfs`; none where umoci is not installed.
#[track_caller]
pub fn umoci_unpack(layout: &Path, tag: &str, bundle: &Path) -> Option<()> {
    let program = wanted("umoci")?;
    let image = format!("{}:{tag}", layout.display());
    Outcome::of(Command::new(program).args(["unpack", "--image", &image]).arg(bundle)).succeeded();
    Some(())
}

/// Loads `from` into buildah and writes it to `to`, as transports (`oci-archive:…`); none where buildah
/// is not installed.
#[track_caller]
pub fn buildah(from: &str, to: &str) -> Option<()> {
    let program = wanted("buildah")?;
    let dir = scratch();
    let run = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("--root").arg(dir.path().join("root")).arg("--runroot").arg(dir.path().join("run"));
        command.args(["--storage-driver", "overlay"]).env("BUILDAH_ISOLATION", "chroot");
        Outcome::of(command.args(args)).succeeded()
    };
    let id = run(&["pull", "-q", from]);
    run(&["push", "-q", id.trim(), to]);
    unmount_below(dir.path());
    Some(())
}
