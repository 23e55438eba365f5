//! What programs do to files, with errors that name the file.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use nacre_sys::Dir;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use crate::verdict::{Done, Expected, Stop, holds};

fn can(verb: &str, path: &Path) -> impl FnOnce() -> String {
    let text = format!("one can {verb} {}", path.display());
    move || text
}

pub(crate) fn read(path: &Path) -> Done<String> {
    let bytes = fs::read(path).or_stop(can("read", path))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Stops unless the file has this content.
pub(crate) fn must_read(path: &Path, content: &str) -> Done {
    let found = read(path)?;
    holds(found == content, &format!("{} says {content:?}", path.display()), || format!("it says {found:?}"))
}

/// Writes a whole file.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Done {
    fs::write(path, content).or_stop(can("write", path))
}

pub(crate) fn append(path: &Path, content: &str) -> Done {
    let mut file = OpenOptions::new().append(true).open(path).or_stop(can("open for appending", path))?;
    file.write_all(content.as_bytes()).or_stop(can("append to", path))
}

/// Opens a file for reading and writing.
pub(crate) fn open(path: &Path) -> Done<File> {
    OpenOptions::new().read(true).write(true).open(path).or_stop(can("open for writing", path))
}

/// Opens a file for reading.
pub(crate) fn open_to_read(path: &Path) -> Done<File> {
    File::open(path).or_stop(can("open", path))
}

pub(crate) fn read_from(file: &mut File) -> Done<String> {
    let mut text = String::new();
    file.read_to_string(&mut text).or_stop(|| "an open file can be read".to_owned())?;
    Ok(text)
}

pub(crate) fn write_at(file: &File, at: u64, content: &[u8]) -> Done {
    file.write_all_at(content, at).or_stop(|| "an open file can be written to".to_owned())
}

pub(crate) fn set_len(path: &Path, length: u64) -> Done {
    open(path)?.set_len(length).or_stop(can("truncate", path))
}

pub(crate) fn mkdir(path: &Path) -> Done {
    fs::create_dir(path).or_stop(can("make the directory", path))
}

pub(crate) fn unlink(path: &Path) -> Done {
    fs::remove_file(path).or_stop(can("remove", path))
}

pub(crate) fn remove_all(path: &Path) -> Done {
    fs::remove_dir_all(path).or_stop(can("remove with all that it holds", path))
}

pub(crate) fn symlink(target: &str, path: &Path) -> Done {
    std::os::unix::fs::symlink(target, path).or_stop(can("make the link", path))
}

pub(crate) fn link(from: &Path, to: &Path) -> Done {
    fs::hard_link(from, to).or_stop(can("give another name to", from))
}

pub(crate) fn rename(from: &Path, to: &Path) -> Done {
    fs::rename(from, to).or_stop(can("rename", from))
}

/// Moves as mv(1) does: where the kernel refuses to rename a directory (an overlay with EXDEV), it is copied
/// and removed.
pub(crate) fn mv(from: &Path, to: &Path) -> Done {
    move_tree(from, to).map_err(|error| Stop::failed(can("move", from)(), error.to_string()))
}

/// The same, with the kernel's own answer.
pub(crate) fn move_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => {
            let whole = Dir::open("/").map_err(std::io::Error::other)?;
            let relative = |path: &Path| path.strip_prefix("/").unwrap_or(path).to_owned();
            if fs::symlink_metadata(to).is_ok() {
                fs::remove_dir(to)?;
            }
            whole.copy_tree(relative(from), &whole, relative(to)).map_err(std::io::Error::other)?;
            fs::remove_dir_all(from)
        }
        outcome => outcome,
    }
}

pub(crate) fn chmod(path: &Path, mode: u32) -> Done {
    fs::set_permissions(path, Permissions::from_mode(mode)).or_stop(can("change the mode of", path))
}

pub(crate) fn chown(path: &Path, owner: u32, group: u32) -> Done {
    std::os::unix::fs::lchown(path, Some(owner), Some(group)).or_stop(can("change the owner of", path))
}

/// Sets the time of the last change, as seconds and nanoseconds.
pub(crate) fn set_mtime(path: &Path, seconds: i64, nanos: i64) -> Done {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .or_stop(can("change the times of", path))
}

pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Stops if there is something.
pub(crate) fn must_be_gone(path: &Path) -> Done {
    holds(!exists(path), &format!("{} is gone", path.display()), || "it is there".to_owned())
}

/// Stops unless there is something.
pub(crate) fn must_be_there(path: &Path) -> Done {
    holds(exists(path), &format!("{} is there", path.display()), || "it is not".to_owned())
}

/// Bytes that the file system has set aside for a file.
pub(crate) fn allocated(path: &Path) -> Done<u64> {
    Ok(fs::symlink_metadata(path).or_stop(can("stat", path))?.blocks() * 512)
}

/// A file's inode.
pub(crate) fn inode(path: &Path) -> Done<u64> {
    Ok(fs::symlink_metadata(path).or_stop(can("stat", path))?.ino())
}

pub(crate) fn set_xattr(path: &Path, name: &str, value: &[u8]) -> Done {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())
        .or_stop(|| format!("one can set the attribute {name} of {}", path.display()))
}

pub(crate) fn remove_xattr(path: &Path, name: &str) -> Done {
    rustix::fs::lremovexattr(path, name)
        .or_stop(|| format!("one can remove the attribute {name} of {}", path.display()))
}

/// Extended attributes but those in which overlayfs and the security modules keep their own.
pub(crate) fn xattrs(path: &Path) -> Done<Vec<(String, Vec<u8>)>> {
    let readable = || format!("the attributes of {} can be read", path.display());
    let names = list_xattrs(path).or_stop(readable)?;
    let mut found = Vec::new();
    for name in names.split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        if ["trusted.overlay.", "user.overlay.", "security.selinux"].iter().any(|own| name.starts_with(own)) {
            continue;
        }
        let mut value = vec![0; 65536];
        let length = rustix::fs::lgetxattr(path, &*name, &mut value[..]).or_stop(readable)?;
        value.truncate(length);
        found.push((name, value));
    }
    found.sort();
    Ok(found)
}

fn list_xattrs(path: &Path) -> Result<Vec<u8>, Errno> {
    let mut names = vec![0; 65536];
    match rustix::fs::llistxattr(path, &mut names[..]) {
        Err(Errno::NOTSUP) => Ok(Vec::new()),
        length => {
            names.truncate(length?);
            Ok(names)
        }
    }
}
