//! The operations, and what they do to a directory.

use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;
use rustix::fs::XattrFlags;

use crate::files::move_tree;

/// Names that collide often: of both layers, of one, and of none; some below what may be no directory.
const PATHS: [&str; 10] = ["a", "b", "c", "d", "a/a", "a/b", "a/c", "d/a", "a/b/a", "d/a/b"];
/// What links say. None leads out of the tree, whatever becomes of the names.
const TARGETS: [&str; 4] = ["a", "b", "c/a", "nowhere"];
const ATTRIBUTES: [&str; 3] = ["user.one", "user.two", "trusted.three"];
const MODES: [u32; 5] = [0o600, 0o644, 0o755, 0o1777, 0o2750];

/// What is done to a tree.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// Write a whole file of so many bytes.
    Write(&'static str, u32),
    Append(&'static str, u32),
    /// Cut a file, or make it longer with a hole.
    Truncate(&'static str, u32),
    MakeDir(&'static str),
    Move(&'static str, &'static str),
    Link(&'static str, &'static str),
    Symlink(&'static str, &'static str),
    Unlink(&'static str),
    RemoveDir(&'static str),
    RemoveAll(&'static str),
    /// Remove a directory with all that it holds, and make it again.
    Renew(&'static str),
    Chmod(&'static str, u32),
    Chown(&'static str, u32),
    SetAttribute(&'static str, &'static str, u8),
    RemoveAttribute(&'static str, &'static str),
    /// Unmount and mount the container.
    Remount,
    /// Go on in a new container on an image of this one.
    Commit,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(path, size) => write!(f, "write {path} {size}"),
            Self::Append(path, size) => write!(f, "append {path} {size}"),
            Self::Truncate(path, size) => write!(f, "truncate {path} {size}"),
            Self::MakeDir(path) => write!(f, "mkdir {path}"),
            Self::Move(from, to) => write!(f, "mv {from} {to}"),
            Self::Link(from, to) => write!(f, "ln {from} {to}"),
            Self::Symlink(target, path) => write!(f, "ln -s {target} {path}"),
            Self::Unlink(path) => write!(f, "unlink {path}"),
            Self::RemoveDir(path) => write!(f, "rmdir {path}"),
            Self::RemoveAll(path) => write!(f, "rm -r {path}"),
            Self::Renew(path) => write!(f, "rm -r {path} && mkdir {path}"),
            Self::Chmod(path, mode) => write!(f, "chmod {mode:04o} {path}"),
            Self::Chown(path, id) => write!(f, "chown {id}:{id} {path}"),
            Self::SetAttribute(path, name, value) => write!(f, "setfattr {name}={value} {path}"),
            Self::RemoveAttribute(path, name) => write!(f, "setfattr -x {name} {path}"),
            Self::Remount => f.write_str("remount"),
            Self::Commit => f.write_str("commit"),
        }
    }
}

/// Any operation.
pub(super) fn operation() -> impl Strategy<Value = Operation> {
    use Operation as Op;
    let path = || select(&PATHS[..]);
    let size = || prop_oneof![0..64_u32, 4000..4200_u32, Just(200_000_u32)];
    let attribute = || select(&ATTRIBUTES[..]);
    prop_oneof![
        4 => (path(), size()).prop_map(|(p, n)| Op::Write(p, n)),
        3 => (path(), size()).prop_map(|(p, n)| Op::Append(p, n)),
        2 => (path(), size()).prop_map(|(p, n)| Op::Truncate(p, n)),
        4 => path().prop_map(Op::MakeDir),
        4 => (path(), path()).prop_map(|(a, b)| Op::Move(a, b)),
        2 => (path(), path()).prop_map(|(a, b)| Op::Link(a, b)),
        2 => (select(&TARGETS[..]), path()).prop_map(|(a, b)| Op::Symlink(a, b)),
        4 => path().prop_map(Op::Unlink),
        2 => path().prop_map(Op::RemoveDir),
        3 => path().prop_map(Op::RemoveAll),
        3 => path().prop_map(Op::Renew),
        2 => (path(), select(&MODES[..])).prop_map(|(p, m)| Op::Chmod(p, m)),
        1 => (path(), 0..3_u32).prop_map(|(p, id)| Op::Chown(p, id)),
        2 => (path(), attribute(), 0..3_u8).prop_map(|(p, n, v)| Op::SetAttribute(p, n, v)),
        1 => (path(), attribute()).prop_map(|(p, n)| Op::RemoveAttribute(p, n)),
        2 => Just(Op::Remount),
        2 => Just(Op::Commit),
    ]
}

/// Does one operation below `root`. `Remount` and `Commit` are not for directories.
pub(super) fn apply(root: &Path, operation: &Operation) -> io::Result<()> {
    let at = |path: &str| root.join(path);
    match operation {
        Operation::Write(path, size) => {
            alone(&at(path))?;
            fs::write(at(path), bytes(*size))
        }
        Operation::Append(path, size) => {
            alone(&at(path))?;
            OpenOptions::new().append(true).open(at(path))?.write_all(&bytes(*size))
        }
        Operation::Truncate(path, size) => {
            alone(&at(path))?;
            OpenOptions::new().write(true).open(at(path))?.set_len(u64::from(*size))
        }
        Operation::MakeDir(path) => fs::create_dir(at(path)),
        Operation::Move(from, to) => {
            // To move a file over another name of it does nothing; in a container it may be none.
            alone(&at(from))?;
            move_tree(&at(from), &at(to))
        }
        Operation::Link(from, to) if at(from).is_symlink() => {
            Err(io::Error::other(format!("{from} and {to} would be one symbolic link, which nothing unties")))
        }
        Operation::Link(from, to) => {
            alone(&at(from))?;
            fs::hard_link(at(from), at(to))
        }
        Operation::Symlink(target, path) => std::os::unix::fs::symlink(target, at(path)),
        Operation::Unlink(path) => fs::remove_file(at(path)),
        Operation::RemoveDir(path) => fs::remove_dir(at(path)),
        Operation::RemoveAll(path) => fs::remove_dir_all(at(path)),
        Operation::Renew(path) => {
            fs::remove_dir_all(at(path))?;
            fs::create_dir(at(path))
        }
        Operation::Chmod(path, mode) => {
            alone(&at(path))?;
            fs::set_permissions(at(path), Permissions::from_mode(*mode))
        }
        Operation::Chown(path, id) => {
            alone(&at(path))?;
            std::os::unix::fs::chown(at(path), Some(*id), Some(*id))
        }
        Operation::SetAttribute(path, name, value) => {
            alone(&at(path))?;
            Ok(rustix::fs::setxattr(at(path), *name, &[*value], XattrFlags::empty())?)
        }
        Operation::RemoveAttribute(path, name) => {
            alone(&at(path))?;
            Ok(rustix::fs::removexattr(at(path), *name)?)
        }
        Operation::Remount | Operation::Commit => Ok(()),
    }
}

/// Gives a file that has several names an inode of its own before it is changed: whether its other names see
/// the change may depend on what lies in lower layers, because overlayfs breaks such links.
fn alone(path: &Path) -> io::Result<()> {
    // A link is followed, as the operation will.
    let Ok(path) = path.canonicalize() else { return Ok(()) };
    let meta = fs::metadata(&path)?;
    if !meta.is_file() || meta.nlink() <= 1 {
        return Ok(());
    }
    let copy = path.with_file_name("alone");
    let host = nacre_sys::Dir::open("/").map_err(io::Error::other)?;
    let relative = |path: &Path| path.strip_prefix("/").unwrap_or(path).to_owned();
    host.copy_tree(relative(&path), &host, relative(&copy)).map_err(io::Error::other)?;
    fs::rename(copy, path)
}

/// Bytes that tell where they are from.
fn bytes(size: u32) -> Vec<u8> {
    (0..size).map(|n| (n.wrapping_mul(31) ^ size) as u8).collect()
}
