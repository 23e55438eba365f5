use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};

/// A thread may have a mount namespace of its own.
const MOUNTINFO: &str = "/proc/thread-self/mountinfo";

/// A mount, as proc_pid_mountinfo(5) tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountInfo {
    /// Its number; it may be used again after the mount has ended.
    pub id: u64,
    /// The number of the mount that it is on.
    pub parent: u64,
    /// The directory of its file system that it shows.
    pub root: PathBuf,
    /// Where it is, from this process's root.
    pub mount_point: PathBuf,
    /// Its file system's type, such as `overlay`.
    pub kind: String,
    /// What it was mounted from: a device, or a name that means little.
    pub source: OsString,
    /// Options of the mount, such as `rw,relatime`.
    pub options: String,
    /// Options of the file system, such as `lowerdir=…`.
    pub super_options: OsString,
}

/// Every mount that this process sees, in the kernel's order: one on top of another comes after it.
pub fn all() -> Result<Vec<MountInfo>> {
    let table = std::fs::read(MOUNTINFO).on("read", MOUNTINFO)?;
    Ok(table.split(|b| *b == b'\n').filter_map(parse).collect())
}

/// The mounts at a path and below it, in the kernel's order. The path is absolute, and free of symbolic
/// links ([`crate::Dir::real_path`]).
pub fn below(path: impl AsRef<Path>) -> Result<Vec<MountInfo>> {
    let path = path.as_ref();
    let table = std::fs::read(MOUNTINFO).on("read", MOUNTINFO)?;
    let lines = table
        .split(|b| *b == b'\n')
        .filter(|line| line.split(|b| *b == b' ').nth(4).is_some_and(|at| unescape(at).starts_with(path)));
    Ok(lines.filter_map(parse).collect())
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`, with any number of
/// fields before the dash.
fn parse(line: &[u8]) -> Option<MountInfo> {
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let mut fields = line.split(|b| *b == b' ');
    let (id, parent, _device) = (number(fields.next()?)?, number(fields.next()?)?, fields.next()?);
    let (root, mount_point, options) = (unescape(fields.next()?), unescape(fields.next()?), fields.next()?);
    let mut fields = fields.skip_while(|f| *f != b"-").skip(1);
    Some(MountInfo {
        id,
        parent,
        root,
        mount_point,
        kind: text(fields.next()?),
        source: unescape(fields.next().unwrap_or_default()).into_os_string(),
        options: text(options),
        super_options: unescape(fields.next().unwrap_or_default()).into_os_string(),
    })
}

/// Space, tab, newline and backslash are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    if !field.contains(&b'\\') {
        return Path::new(std::ffi::OsStr::from_bytes(field)).to_owned();
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.get(..3)).flatten();
        let code = octal.and_then(|o| u8::from_str_radix(std::str::from_utf8(o).ok()?, 8).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_read_with_any_number_of_optional_fields() {
        for optional in ["", "shared:7 ", "shared:7 master:1 propagate_from:2 "] {
            let line =
                format!(r"36 35 98:0 /a\040b /mnt/\134x\012 rw,noatime {optional}- ext3 /dev/root rw,x=1");
            let mount = parse(line.as_bytes()).unwrap();
            assert_eq!((mount.id, mount.parent), (36, 35));
            assert_eq!(mount.root, Path::new("/a b"));
            assert_eq!(mount.mount_point, Path::new("/mnt/\\x\n"));
            assert_eq!((mount.kind.as_str(), mount.options.as_str()), ("ext3", "rw,noatime"));
            assert_eq!(mount.super_options, "rw,x=1");
        }
    }

    #[test]
    fn an_empty_or_cut_line_is_no_mount() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"36 35 98:0 / /mnt rw"), None);
    }
}
