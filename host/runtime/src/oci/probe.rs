//! Whether a runtime works on this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::clean;
use crate::bundle::{create_private_dir, write_json};
use crate::error::{Error, Result};
use crate::spec::{ContainerSpec, ProcessSpec};

/// Creates a container without starting its process, and deletes it. This is where a runtime fails that can't
/// cope with the machine's cgroups or kernel. Takes about as long as a start.
///
/// # Errors
/// Outer: it could not be tried. Inner: what the runtime said when it failed.
pub(crate) fn probe(program: &Path, run_dir: &Path) -> Result<Result<(), String>> {
    let id = format!("nacre-probe-{}", std::process::id());
    let dir = run_dir.join(&id);
    let bundle = crate::bundle::Bundle::new(&dir, &id);
    create_private_dir(bundle.dir())?;
    let outcome = try_create(program, &dir, &bundle, &id);
    fs::remove_dir_all(&dir).map_err(|error| Error::io("remove", &dir, error))?;
    outcome
}

fn try_create(
    runtime: &Path,
    dir: &Path,
    bundle: &crate::bundle::Bundle,
    id: &str,
) -> Result<Result<(), String>> {
    let rootfs = dir.join("rootfs");
    create_private_dir(&rootfs)?;
    // It has to be there, and is never executed.
    let program = rootfs.join("true");
    fs::File::create(&program)
        .and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o755)))
        .map_err(|error| Error::io("create", &program, error))?;
    let spec =
        ContainerSpec::new(&rootfs, ProcessSpec { args: vec!["/true".into()], ..ProcessSpec::default() });
    let root = fs::File::open(&rootfs).map_err(|error| Error::io("open", &rootfs, error))?;
    let process = crate::process::Process::resolve(&spec.process, &root, "probe", None)?;
    bundle.write_etc(&spec, "probe")?;
    write_json(&bundle.file("config.json"), &super::config::config(&spec, &process, "probe", bundle))?;
    let messages = bundle.file("messages");
    let file = fs::File::create(&messages).map_err(|error| Error::io("create", &messages, error))?;
    let command = |arguments: &[&str]| {
        let mut command = Command::new(runtime);
        command
            .arg("--root")
            .arg(dir.join("state"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    };
    let created = command(&["create", "--bundle"])
        .arg(bundle.dir())
        .arg(id)
        // A file, since the container's first process holds it too.
        .stderr(file)
        .status()
        .map_err(|error| Error::io("execute", runtime, error))?;
    let deleted = command(&["delete", "--force", id]).stderr(Stdio::null()).status();
    let message = clean(&fs::read(&messages).unwrap_or_default());
    match deleted {
        Ok(_) if created.success() => Ok(Ok(())),
        Ok(_) => Ok(Err(if message.is_empty() { created.to_string() } else { message })),
        Err(error) => Err(Error::io("execute", runtime, error)),
    }
}
