//! What this machine can do, found by trying.
//!
//! The records mirror `facts`, `overlay-facts` and `filesystem` of wit/types.wit.

mod filesystem;
mod overlay;

use std::path::Path;

use rustix::fs::Access;
use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, fsopen};
use serde::{Deserialize, Serialize};

pub use filesystem::{name as filesystem_name, shares_data};

use crate::dir::Dir;
use crate::error::Result;

/// A kernel's version, as in `uname -r`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KernelVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number, 0 where there is none.
    pub patch: u32,
}

/// What the kernel's overlayfs can do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayFacts {
    /// Lower layers can be handed over one by one (`lowerdir+`, Linux 6.8), so that their number is not
    /// bounded by the length of an option string.
    pub lowers_one_by_one: bool,
    /// The most lower layers in one mount.
    pub max_lowers: u32,
    /// The most bytes of the option string of mount(2): one page, less the terminating NUL.
    pub max_option_bytes: u32,
    /// The kernel knows the `index` option.
    pub index: bool,
    /// The kernel knows the `metacopy` option.
    pub metacopy: bool,
    /// The kernel knows the `redirect_dir` option.
    pub redirect_dir: bool,
    /// The kernel knows the `volatile` option.
    pub volatile: bool,
    /// The kernel knows the `userxattr` option.
    pub userxattr: bool,
}

/// The file system that holds a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// Its name as in /proc/filesystems, or `unknown`.
    pub name: String,
    /// `f_type` of statfs(2).
    pub magic: u64,
    /// Directory entries carry the file's type; overlayfs needs it.
    pub d_type: bool,
    /// `trusted.*` extended attributes can be set here by this process.
    pub trusted_xattrs: bool,
    /// `user.*` extended attributes can be set here.
    pub user_xattrs: bool,
    /// Data can be shared between files (FICLONE).
    pub reflink: bool,
    /// A limit on a folder's bytes can be set: project quota is enforced.
    pub project_quota: bool,
}

/// What is known about this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The running kernel.
    pub kernel: KernelVersion,
    /// This process may mount file systems in the initial user namespace.
    pub privileged: bool,
    /// The kernel's overlayfs; none where it is missing or may not be used.
    pub overlay: Option<OverlayFacts>,
    /// The file system under the folder.
    pub home: Filesystem,
    /// The file systems that the kernel knows now (/proc/filesystems), sorted.
    pub filesystems: Vec<String>,
    /// Which of [`TOOLS`] the PATH has, in that order.
    pub tools: Vec<String>,
}

/// Programs that a driver may depend on.
pub const TOOLS: [&str; 5] = ["fuse-overlayfs", "mkfs.ext4", "mkfs.xfs", "zfs", "zpool"];

/// Find out what can be done here, with a folder that exists. Takes less than a millisecond; nothing is
/// mounted, and nothing remains in the folder.
pub fn probe(home: impl AsRef<Path>) -> Result<Facts> {
    let home = Dir::open(home)?;
    Ok(Facts {
        kernel: kernel_version(),
        privileged: may_mount() && in_initial_user_namespace(),
        overlay: overlay::probe(),
        home: filesystem::probe(&home)?,
        filesystems: filesystems(&std::fs::read_to_string("/proc/filesystems").unwrap_or_default()),
        tools: TOOLS.into_iter().filter(|tool| is_in_path(tool)).map(str::to_owned).collect(),
    })
}

/// The running kernel's version.
pub fn kernel_version() -> KernelVersion {
    parse_version(&rustix::system::uname().release().to_string_lossy())
}

fn parse_version(release: &str) -> KernelVersion {
    let numbers = release.split(|c: char| !(c.is_ascii_digit() || c == '.')).next().unwrap_or_default();
    let mut numbers = numbers.split('.').map(|n| n.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    KernelVersion { major: next(), minor: next(), patch: next() }
}

/// The last word of each line; the first is `nodev` where there is no block device behind it (proc(5)).
fn filesystems(list: &str) -> Vec<String> {
    let mut names: Vec<String> =
        list.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect();
    names.sort_unstable();
    names
}

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .any(|folder| rustix::fs::access(folder.join(program), Access::EXEC_OK).is_ok())
}

fn may_mount() -> bool {
    !matches!(fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC), Err(Errno::PERM | Errno::ACCESS))
}

/// Only there every user ID is mapped to itself.
fn in_initial_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_listed_with_and_without_a_device() {
        assert_eq!(filesystems("nodev\tsysfs\n\text4\nnodev\taufs\n"), ["aufs", "ext4", "sysfs"]);
    }

    #[test]
    fn versions_with_suffixes_and_without_a_third_number_are_read() {
        let version = |r| parse_version(r);
        assert_eq!(version("6.18.44-fc-v657"), KernelVersion { major: 6, minor: 18, patch: 44 });
        assert_eq!(version("6.1.0-13-amd64"), KernelVersion { major: 6, minor: 1, patch: 0 });
        assert_eq!(version("7.0-rc3"), KernelVersion { major: 7, minor: 0, patch: 0 });
    }
}
