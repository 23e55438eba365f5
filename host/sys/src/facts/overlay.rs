use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsopen};

use super::OverlayFacts;
use crate::mount::{MAX_LOWERS, MAX_OPTION_BYTES, Method};

/// Tries each option on a file system that is never made.
pub(super) fn probe() -> Option<OverlayFacts> {
    let context = open().ok()?;
    // An overlayfs from before the mount API (Linux 6.5) takes any option, and refuses it later.
    let checks = fsconfig_set_string(&context, "nacre-none", "x").is_err();
    let knows = |key: &str, value: Option<&str>| {
        if checks { set(&context, key, value).is_ok() } else { knows_at_creation(key, value) }
    };
    Some(OverlayFacts {
        lowers_one_by_one: Method::best() != Method::OptionString,
        max_lowers: MAX_LOWERS,
        max_option_bytes: u32::try_from(MAX_OPTION_BYTES).unwrap_or(u32::MAX),
        index: knows("index", Some("off")),
        metacopy: knows("metacopy", Some("off")),
        redirect_dir: knows("redirect_dir", Some("off")),
        volatile: knows("volatile", None),
        userxattr: knows("userxattr", None),
    })
}

fn open() -> Result<OwnedFd, Errno> {
    fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
}

fn set(context: &OwnedFd, key: &str, value: Option<&str>) -> Result<(), Errno> {
    match value {
        Some(value) => fsconfig_set_string(context, key, value),
        None => fsconfig_set_flag(context, key),
    }
}

/// Options are read before layers are looked for: one that is known fails later, at a layer that does not
/// exist.
fn knows_at_creation(key: &str, value: Option<&str>) -> bool {
    let created = open().and_then(|context| {
        set(&context, "lowerdir", Some("/proc/nacre-none:/proc/nacre-none"))?;
        set(&context, key, value)?;
        fsconfig_create(&context)
    });
    created == Err(Errno::NOENT)
}
