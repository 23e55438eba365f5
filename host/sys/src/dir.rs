//! Directories as file descriptors, and what is done below them.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};

/// An open directory. What is below it is reached through it and nothing else: a path that is absolute,
/// or that leads out by `..` or by a symbolic link, is refused with [`Error::Escape`].
///
/// Symbolic links on the way that stay below are followed; the last name of a path is followed only by
/// [`Dir::open_beneath`] (unless `NOFOLLOW`) and [`Dir::sub`].
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name: any bytes but `/` and NUL, never `.` or `..`.
    pub name: OsString,
    /// Its type; `Unknown` where the file system does not tell.
    pub kind: FileType,
    /// Its inode number as the directory has it.
    pub ino: u64,
}

/// A parent directory and a name in it.
pub(crate) struct Spot<'a> {
    parent: Option<OwnedFd>,
    root: BorrowedFd<'a>,
    pub(crate) name: &'a OsStr,
}

impl AsFd for Spot<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.parent.as_ref().map_or(self.root, |p| p.as_fd())
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Dir> for OwnedFd {
    fn from(dir: Dir) -> Self {
        dir.fd
    }
}

impl Dir {
    /// Open a directory by a path that is trusted, such as the storage root: symbolic links are followed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty()).on("open directory", path)?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Take over the descriptor of a directory. The path is what errors call it.
    pub fn from_fd(fd: OwnedFd, path: impl Into<PathBuf>) -> Self {
        Self { fd, path: path.into() }
    }

    /// The path that it was opened by: for messages. It may have been renamed since; see
    /// [`Dir::real_path`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is now, as the kernel sees it from this process's root.
    pub fn real_path(&self) -> Result<PathBuf> {
        let link = proc_path(self.fd.as_fd());
        std::fs::read_link(&link).on("read link", &link)
    }

    /// Another descriptor for the same directory.
    pub fn try_clone(&self) -> Result<Self> {
        let fd = self.fd.try_clone().on("duplicate", &self.path)?;
        Ok(Self { fd, path: self.path.clone() })
    }

    /// Open something below. `O_CLOEXEC` is added. `mode` counts when a file is made, and the process's
    /// umask is taken off it.
    pub fn open_beneath(&self, rel: impl AsRef<Path>, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let rel = rel.as_ref();
        let makes = flags.intersects(OFlags::CREATE) || flags.contains(OFlags::TMPFILE);
        let mode = if makes { mode } else { Mode::empty() };
        resolve(self.fd.as_fd(), rel, flags, mode).map_err(|e| self.refused("open", rel, e))
    }

    /// A directory below. The empty path is this directory itself.
    pub fn sub(&self, rel: impl AsRef<Path>) -> Result<Self> {
        let rel = rel.as_ref();
        let fd = resolve(self.fd.as_fd(), rel, DIRECTORY, Mode::empty())
            .map_err(|e| self.refused("open directory", rel, e))?;
        Ok(Self { fd, path: self.path.join(rel) })
    }

    /// Make a directory with exactly these permission bits, whatever the umask. Its parent exists, it
    /// does not.
    pub fn make_dir(&self, rel: impl AsRef<Path>, mode: u32) -> Result<Self> {
        let rel = rel.as_ref();
        let mode = Mode::from_raw_mode(mode & 0o7777);
        let at = self.spot(rel)?;
        rustix::fs::mkdirat(&at, at.name, Mode::RWXU).map_err(|e| self.refused("make directory", rel, e))?;
        let made = rustix::fs::openat(&at, at.name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
            .and_then(|fd| rustix::fs::fchmod(&fd, mode).map(|()| fd));
        match made {
            Ok(fd) => Ok(Self { fd, path: self.path.join(rel) }),
            Err(e) => {
                let _ = rustix::fs::unlinkat(&at, at.name, AtFlags::REMOVEDIR);
                Err(self.refused("make directory", rel, e))
            }
        }
    }

    /// Make a directory unless there is one; tells whether it was made. An existing one keeps its mode.
    pub fn ensure_dir(&self, rel: impl AsRef<Path>, mode: u32) -> Result<bool> {
        match self.make_dir(&rel, mode) {
            Ok(_) => Ok(true),
            Err(e) if e.already_exists() => self.sub(rel).map(|_| false),
            Err(e) => Err(e),
        }
    }

    /// Write a file so that it is never seen half written; an existing one is replaced. Exactly these
    /// permission bits. Not synced.
    pub fn write_atomic(&self, rel: impl AsRef<Path>, content: &[u8], mode: u32) -> Result<()> {
        self.replace(rel.as_ref(), content, mode, false)
    }

    /// As [`Dir::write_atomic`], and on the disk when this returns: after a power cut the file has either all of
    /// the new content or all of the old.
    pub fn write_synced(&self, rel: impl AsRef<Path>, content: &[u8], mode: u32) -> Result<()> {
        self.replace(rel.as_ref(), content, mode, true)
    }

    fn replace(&self, rel: &Path, content: &[u8], mode: u32, synced: bool) -> Result<()> {
        let at = self.spot(rel)?;
        let (temp, fd) = temp_file(at.as_fd()).map_err(|e| self.refused("write", rel, e))?;
        let mut file = std::fs::File::from(fd);
        let written = file
            .write_all(content)
            .and_then(|()| Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777))?))
            .and_then(|()| if synced { file.sync_all() } else { Ok(()) })
            .and_then(|()| Ok(rustix::fs::renameat(&at, &temp, &at, at.name)?))
            .and_then(|()| if synced { Ok(sync_parent(&at)?) } else { Ok(()) });
        written.map_err(|e| {
            let _ = rustix::fs::unlinkat(&at, &temp, AtFlags::empty());
            Error::io("write", self.path.join(rel), e)
        })
    }

    /// A file's content.
    pub fn read(&self, rel: impl AsRef<Path>) -> Result<Vec<u8>> {
        let rel = rel.as_ref();
        let mut file = std::fs::File::from(self.open_beneath(rel, OFlags::RDONLY, Mode::empty())?);
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut content).on("read", self.path.join(rel))?;
        Ok(content)
    }

    /// Make a symbolic link that says `target`.
    pub fn symlink(&self, rel: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<()> {
        let rel = rel.as_ref();
        let at = self.spot(rel)?;
        rustix::fs::symlinkat(target.as_ref(), &at, at.name).map_err(|e| self.refused("link", rel, e))
    }

    /// What a symbolic link says.
    pub fn read_link(&self, rel: impl AsRef<Path>) -> Result<PathBuf> {
        let rel = rel.as_ref();
        let at = self.spot(rel)?;
        let said = rustix::fs::readlinkat(&at, at.name, Vec::new())
            .map_err(|e| self.refused("read link", rel, e))?;
        Ok(OsString::from_vec(said.into_bytes()).into())
    }

    /// Rename below this directory. The target does not exist: it is never replaced.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let (old, new) = (self.spot(from)?, self.spot(to)?);
        rustix::fs::renameat_with(&old, old.name, &new, new.name, RenameFlags::NOREPLACE).map_err(|e| {
            let at_fault = if e == Errno::EXIST { to } else { from };
            Error::io("rename", self.path.join(at_fault), e)
        })
    }

    /// Remove a file or an empty directory. Tells whether it was there.
    pub fn remove(&self, rel: impl AsRef<Path>) -> Result<bool> {
        let rel = rel.as_ref();
        let at = match self.spot(rel) {
            Err(e) if e.is_not_found() => return Ok(false),
            at => at?,
        };
        let gone = match rustix::fs::unlinkat(&at, at.name, AtFlags::empty()) {
            Err(Errno::ISDIR) => rustix::fs::unlinkat(&at, at.name, AtFlags::REMOVEDIR),
            other => other,
        };
        match gone {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(self.refused("remove", rel, e)),
        }
    }

    /// Whether there is something, be it a dangling symbolic link.
    pub fn exists(&self, rel: impl AsRef<Path>) -> Result<bool> {
        match self.stat(rel) {
            Ok(_) => Ok(true),
            Err(e) if e.is_not_found() || e.errno() == Some(libc::ENOTDIR) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// What something is. A symbolic link at the end is not followed. The empty path is this directory.
    pub fn stat(&self, rel: impl AsRef<Path>) -> Result<Stat> {
        let rel = rel.as_ref();
        if rel.as_os_str().is_empty() {
            return rustix::fs::fstat(&self.fd).on("stat", &self.path);
        }
        let at = self.spot(rel)?;
        rustix::fs::statat(&at, at.name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| self.refused("stat", rel, e))
    }

    /// The entries of this directory, in the file system's order.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        // A fresh description: reading moves the offset, which duplicates share.
        let fd =
            rustix::fs::openat(&self.fd, ".", DIRECTORY, Mode::empty()).on("open directory", &self.path)?;
        entries_of(fd.as_fd()).on("read directory", &self.path)
    }

    /// Remove the files that writers left in a directory who died before they could put them in place.
    pub fn sweep_temporary(&self, rel: impl AsRef<Path>) -> Result<()> {
        let dir = match self.sub(rel) {
            Err(e) if e.is_not_found() => return Ok(()),
            dir => dir?,
        };
        for entry in dir.entries()? {
            if let Some(writer) = writer_of(&entry.name)
                && crate::proc::start_time(writer)?.is_none()
            {
                dir.remove(&entry.name)?;
            }
        }
        Ok(())
    }

    pub(crate) fn refused(&self, op: &'static str, rel: &Path, errno: Errno) -> Error {
        let path = self.path.join(rel);
        if errno == Errno::XDEV { Error::Escape { path } } else { Error::io(op, path, errno) }
    }

    /// The parent of `rel`, opened, and its last name.
    pub(crate) fn spot<'a>(&'a self, rel: &'a Path) -> Result<Spot<'a>> {
        let Some(Component::Normal(name)) = rel.components().next_back() else {
            return Err(Error::NotAName { path: self.path.join(rel) });
        };
        let parent = match rel.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => Some(
                resolve(self.fd.as_fd(), parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
                    .map_err(|e| self.refused("open directory", rel, e))?,
            ),
            _ => None,
        };
        Ok(Spot { parent, root: self.fd.as_fd(), name })
    }
}

pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// `openat2(2)` that cannot leave `base`. The kernel answers EAGAIN when something below was renamed in
/// the meantime.
pub(crate) fn resolve(base: BorrowedFd<'_>, rel: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let rel = if rel.as_os_str().is_empty() { Path::new(".") } else { rel };
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..1000 {
        match rustix::fs::openat2(base, rel, flags | OFlags::CLOEXEC, mode, how) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Read a directory from where its descriptor stands.
pub(crate) fn entries_of(fd: BorrowedFd<'_>) -> Result<Vec<Entry>, Errno> {
    let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 32 * 1024];
    let mut dir = RawDir::new(fd, &mut buffer);
    let mut entries = Vec::new();
    while let Some(entry) = dir.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            let name = OsStr::from_bytes(name).to_owned();
            entries.push(Entry { name, kind: entry.file_type(), ino: entry.ino() });
        }
    }
    Ok(entries)
}

/// Write out a directory's entries. The descriptor of a spot may be one that cannot be synced (`O_PATH`).
fn sync_parent(at: &Spot<'_>) -> Result<(), Errno> {
    let dir =
        rustix::fs::openat(at, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::fs::fsync(dir)
}

/// The process that writes a file of this name, to put it in another one's place ([`Dir::write_atomic`]).
pub fn writer_of(name: &OsStr) -> Option<i32> {
    name.to_str()?.strip_prefix(TEMPORARY)?.split('-').next()?.parse().ok()
}

/// What the names of files begin with that take other ones' places.
const TEMPORARY: &str = ".nacre-";

/// A new file beside the one that it will replace.
pub(crate) fn temp_file(parent: BorrowedFd<'_>) -> Result<(String, OwnedFd), Errno> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let name = format!("{TEMPORARY}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(parent, &name, flags, Mode::RUSR | Mode::WUSR) {
            Err(Errno::EXIST) => {}
            other => return other.map(|fd| (name, fd)),
        }
    }
}

/// The path by which a descriptor can be given to a call that takes a path.
pub(crate) fn proc_path(fd: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

/// The path of a name in an open directory. The name itself is not resolved.
pub(crate) fn proc_path_at(parent: BorrowedFd<'_>, name: &OsStr) -> PathBuf {
    let mut path = proc_path(parent);
    path.push(name);
    path
}
