use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, SeekFrom, Stat, Timespec, Timestamps, Uid,
};
use rustix::io::Errno;

use crate::dir::{DIRECTORY, Dir, entries_of, proc_path_at};
use crate::error::{Context, Error, Result};
use crate::xattr::{self, Carrier};

/// What a copy took.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Entries made, the tree's root included.
    pub entries: u64,
    /// Bytes of data that were written.
    pub bytes: u64,
    /// Bytes of data that are shared with the source (FICLONE); the files of a linked tree are not counted.
    pub shared: u64,
}

impl Dir {
    /// Copy a file, or a directory with all that it holds, to a name that does not exist: types, modes,
    /// owners, times to the nanosecond, hard links within the tree, holes, device numbers, every extended
    /// attribute (ACLs and capabilities are such). Data is shared where the file system can. On an error
    /// nothing is left. Not synced. Refused with [`Error::HoldsMount`] where something is mounted in the
    /// source.
    pub fn copy_tree(&self, from: impl AsRef<Path>, to: &Dir, to_rel: impl AsRef<Path>) -> Result<Copied> {
        self.duplicate(from.as_ref(), to, to_rel.as_ref(), false)
    }

    /// Copy as [`Dir::copy_tree`] does, but make directories alone: everything else in the new tree is a hard
    /// link to the original, on the same file system. From then on no file in either tree may be changed in
    /// place, only replaced. A file that has as many names as the file system allows is copied.
    pub fn link_tree(&self, from: impl AsRef<Path>, to: &Dir, to_rel: impl AsRef<Path>) -> Result<Copied> {
        self.duplicate(from.as_ref(), to, to_rel.as_ref(), true)
    }

    fn duplicate(&self, from: &Path, to: &Dir, to_rel: &Path, link: bool) -> Result<Copied> {
        let (source, target) = (self.spot(from)?, to.spot(to_rel)?);
        let mut copy = Copy {
            source: self.path().join(from),
            target_parent: target.as_fd(),
            link,
            links: HashMap::new(),
            reflink: true,
            copied: Copied::default(),
        };
        if rustix::fs::statat(&target, target.name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(Error::io("copy to", to.path().join(to_rel), Errno::EXIST));
        }
        let done = copy.tree(source.as_fd(), source.name, target.name);
        if done.is_err() {
            let _ = to.remove_tree(to_rel);
        }
        done.map(|()| copy.copied)
    }

    /// Give this directory the owner, mode, times and extended attributes of another one; but for attributes
    /// that `is_own` picks, which say something of the directory that has them.
    pub fn dress_as(&self, other: &Dir, is_own: impl Fn(&[u8]) -> bool) -> Result<()> {
        let (stat, shown) = (other.stat("")?, self.path());
        dress(other.as_fd(), self.as_fd(), &stat, shown, is_own)?;
        rustix::fs::futimens(self, &times(&stat)).on("set times of", shown)
    }
}

struct Copy<'a> {
    /// For messages.
    source: PathBuf,
    /// Hard links are made by paths from here.
    target_parent: BorrowedFd<'a>,
    /// Files are to be the originals themselves.
    link: bool,
    /// The first copy of each file that has several names.
    links: HashMap<(u64, u64), PathBuf>,
    /// Until the file system has refused once.
    reflink: bool,
    copied: Copied,
}

/// A directory that is being copied.
struct Level {
    from: OwnedFd,
    to: OwnedFd,
    stat: Stat,
    /// From `Copy::target_parent`.
    path: PathBuf,
    left: std::vec::IntoIter<OsString>,
}

impl Copy<'_> {
    fn tree(&mut self, parent: BorrowedFd<'_>, name: &OsStr, to_name: &OsStr) -> Result<()> {
        let mut stack = Vec::new();
        let target = self.target_parent;
        stack.extend(self.entry(parent, name, target, to_name, PathBuf::from(to_name))?);
        while let Some(level) = stack.last_mut() {
            if let Some(name) = level.left.next() {
                let path = level.path.join(&name);
                let next = self.entry(level.from.as_fd(), &name, level.to.as_fd(), &name, path)?;
                stack.extend(next);
            } else if let Some(done) = stack.pop() {
                // Last, since every entry that was made has changed the times.
                rustix::fs::futimens(&done.to, &times(&done.stat)).on("set times of", &done.path)?;
            }
        }
        Ok(())
    }

    /// Copy one entry; a directory is returned for its entries to be copied.
    fn entry(
        &mut self,
        from: BorrowedFd<'_>,
        name: &OsStr,
        to: BorrowedFd<'_>,
        to_name: &OsStr,
        path: PathBuf,
    ) -> Result<Option<Level>> {
        let shown = self.source.join(path.iter().skip(1).collect::<PathBuf>());
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW).on("stat", &shown)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory && self.link {
            match rustix::fs::linkat(from, name, to, to_name, AtFlags::empty()) {
                Err(Errno::MLINK) => {}
                made => {
                    self.copied.entries += 1;
                    return made.on("link", &shown).map(|()| None);
                }
            }
        }
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                let made = rustix::fs::linkat(self.target_parent, first, to, to_name, AtFlags::empty());
                self.copied.entries += 1;
                return made.on("link", &shown).map(|()| None);
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.clone());
        }
        self.copied.entries += 1;
        match kind {
            FileType::Directory => self.directory(from, name, to, to_name, stat, path, &shown).map(Some),
            FileType::RegularFile => self.file(from, name, to, to_name, &stat, &shown).map(|()| None),
            _ => special(from, name, to, to_name, &stat, &shown).map(|()| None),
        }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "source and target, each a directory and a name, of an open copy"
    )]
    fn directory(
        &self,
        from: BorrowedFd<'_>,
        name: &OsStr,
        to: BorrowedFd<'_>,
        to_name: &OsStr,
        stat: Stat,
        path: PathBuf,
        shown: &Path,
    ) -> Result<Level> {
        let from = enter(from, name, DIRECTORY).map_err(|e| crossing(shown, e))?;
        rustix::fs::mkdirat(to, to_name, Mode::RWXU).on("make copy of", shown)?;
        let to =
            rustix::fs::openat(to, to_name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).on("open", shown)?;
        dress(from.as_fd(), to.as_fd(), &stat, shown, |_| false)?;
        let names: Vec<_> =
            entries_of(from.as_fd()).on("read directory", shown)?.into_iter().map(|e| e.name).collect();
        Ok(Level { from, to, stat, path, left: names.into_iter() })
    }

    fn file(
        &mut self,
        from: BorrowedFd<'_>,
        name: &OsStr,
        to: BorrowedFd<'_>,
        to_name: &OsStr,
        stat: &Stat,
        shown: &Path,
    ) -> Result<()> {
        let from = enter(from, name, OFlags::RDONLY | OFlags::CLOEXEC).map_err(|e| crossing(shown, e))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let to = rustix::fs::openat(to, to_name, flags, Mode::RUSR | Mode::WUSR).on("make copy of", shown)?;
        self.data(&from, &to, stat).on("copy data of", shown)?;
        dress(from.as_fd(), to.as_fd(), stat, shown, |_| false)?;
        rustix::fs::futimens(&to, &times(stat)).on("set times of", shown)
    }

    fn data(&mut self, from: &OwnedFd, to: &OwnedFd, stat: &Stat) -> Result<(), Errno> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size == 0 {
            return Ok(());
        }
        if self.reflink {
            match rustix::fs::ioctl_ficlone(to, from) {
                Ok(()) => {
                    self.copied.shared += size;
                    return Ok(());
                }
                Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::NOSYS) => {
                    self.reflink = false;
                }
                Err(e) => return Err(e),
            }
        }
        self.copied.bytes += copy_data(from, to, size)?;
        Ok(())
    }
}

/// How the data of a file was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataCopy {
    /// It is shared with the source (FICLONE).
    Shared,
    /// So many bytes were written; holes are not among them.
    Written(u64),
}

/// Give an empty file the data of another one, up to `size` bytes: holes are kept, and with `share` the data
/// is shared where the file system can and all of it is asked for. Not synced.
pub fn copy_file_data(
    from: &OwnedFd,
    to: &OwnedFd,
    size: u64,
    whole: u64,
    share: bool,
) -> std::io::Result<DataCopy> {
    if share && size > 0 && size >= whole {
        match rustix::fs::ioctl_ficlone(to, from) {
            Ok(()) => return Ok(DataCopy::Shared),
            Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::NOSYS) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(DataCopy::Written(copy_data(from, to, size)?))
}

/// Copy what is no hole, and give the copy the same size. Returns the bytes written.
fn copy_data(from: &OwnedFd, to: &OwnedFd, size: u64) -> Result<u64, Errno> {
    let (mut at, mut written) = (0, 0);
    while at < size {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL) => at,
            Err(e) => return Err(e),
        };
        if start >= size {
            break;
        }
        let end = rustix::fs::seek(from, SeekFrom::Hole(start)).unwrap_or(size).min(size);
        written += copy_range(from, to, start, end)?;
        at = end.max(start + 1);
    }
    rustix::fs::ftruncate(to, size)?;
    Ok(written)
}

fn copy_range(from: &OwnedFd, to: &OwnedFd, start: u64, end: u64) -> Result<u64, Errno> {
    let (mut read_at, mut write_at) = (start, start);
    while write_at < end {
        let len = usize::try_from(end - write_at).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), len) {
            // Shorter than it was: somebody truncates it.
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                write_at = copy_through_memory(from, to, write_at, end)?;
                break;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(write_at - start)
}

fn copy_through_memory(from: &OwnedFd, to: &OwnedFd, start: u64, end: u64) -> Result<u64, Errno> {
    let mut buffer = vec![0; 128 * 1024];
    let mut at = start;
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let Some(room) = buffer.get_mut(..want) else { break };
        let got = rustix::io::pread(from, &mut *room, at)?;
        if got == 0 {
            break;
        }
        let mut rest = room.get(..got).unwrap_or_default();
        while !rest.is_empty() {
            let put = rustix::io::pwrite(to, rest, at)?;
            rest = rest.get(put..).unwrap_or_default();
            at += put as u64;
        }
    }
    Ok(at)
}

/// Owner, attributes and mode of an open file or directory, in this order: a change of owner takes
/// capabilities and setuid bits away.
fn dress(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    stat: &Stat,
    shown: &Path,
    left_out: impl Fn(&[u8]) -> bool,
) -> Result<()> {
    rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
        .on("set owner of", shown)?;
    copy_attributes(Carrier::Open(from), Carrier::Open(to), left_out)?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777)).on("set mode of", shown)
}

/// A symbolic link, device, FIFO or socket.
fn special(
    from: BorrowedFd<'_>,
    name: &OsStr,
    to: BorrowedFd<'_>,
    to_name: &OsStr,
    stat: &Stat,
    shown: &Path,
) -> Result<()> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Symlink {
        let said = rustix::fs::readlinkat(from, name, Vec::new()).on("read link", shown)?;
        rustix::fs::symlinkat(said, to, to_name).on("make copy of", shown)?;
    } else {
        rustix::fs::mknodat(to, to_name, kind, Mode::RUSR, stat.st_rdev).on("make copy of", shown)?;
    }
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(to, to_name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .on("set owner of", shown)?;
    copy_attributes(Carrier::At(from, name), Carrier::At(to, to_name), |_| false)?;
    if kind != FileType::Symlink {
        // It was made here a moment ago and is no link, so that following is no danger.
        let path = proc_path_at(to, to_name);
        rustix::fs::chmod(&path, Mode::from_raw_mode(stat.st_mode & 0o7777)).on("set mode of", shown)?;
    }
    rustix::fs::utimensat(to, to_name, &times(stat), AtFlags::SYMLINK_NOFOLLOW).on("set times of", shown)
}

fn copy_attributes(from: Carrier<'_>, to: Carrier<'_>, left_out: impl Fn(&[u8]) -> bool) -> Result<()> {
    for name in xattr::list(from)?.into_iter().filter(|name| !left_out(name)) {
        let Some(value) = xattr::get(from, &name)? else { continue };
        match xattr::set(to, &name, &value) {
            // A security module labels what it makes; its label cannot always be set.
            Err(e) if name == b"security.selinux" && e.errno() != Some(libc::ENOSPC) => {}
            other => other?,
        }
    }
    Ok(())
}

fn enter(parent: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(parent, name, flags | OFlags::NOFOLLOW, Mode::empty(), how)
}

fn crossing(shown: &Path, errno: Errno) -> Error {
    match errno {
        Errno::XDEV => Error::HoldsMount { path: shown.to_owned(), mount: shown.to_owned() },
        e => Error::io("open", shown, e),
    }
}

fn times(stat: &Stat) -> Timestamps {
    let time = |sec: i64, nsec: u64| Timespec { tv_sec: sec, tv_nsec: nsec.try_into().unwrap_or(0) };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}
