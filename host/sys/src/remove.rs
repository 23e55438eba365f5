use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use crate::dir::{DIRECTORY, Dir, Entry, entries_of};
use crate::error::{Error, Result};
use crate::{mount, quota};

/// How deep directories are entered before their subdirectories are moved up, so that neither a tree's
/// depth nor the length of its paths is limited by open files.
const MAX_DEPTH: usize = 64;

impl Dir {
    /// Remove a file, or a directory with all that it holds. One that is gone already is no error.
    /// Symbolic links are removed, not followed. Refused, before anything is removed, with
    /// [`Error::HoldsMount`] where something is mounted at or below it. Limits that were set on the directory
    /// ([`quota::limit`]) end with it.
    pub fn remove_tree(&self, rel: impl AsRef<Path>) -> Result<()> {
        let rel = rel.as_ref();
        let at = match self.spot(rel) {
            // Below what is no directory there is nothing either.
            Err(e) if e.is_not_found() || e.errno() == Some(libc::ENOTDIR) => return Ok(()),
            at => at?,
        };
        match rustix::fs::unlinkat(&at, at.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) => {}
            Err(e) => return Err(removal(self, rel, e)),
        }
        refuse_mounts(self, rel, at.as_fd(), at.name)?;
        let root = match enter(at.as_fd(), at.name) {
            Err(Errno::NOENT) => return Ok(()),
            root => root.map_err(|e| removal(self, rel, e))?,
        };
        let project = quota::own_project(root.as_fd()).map_err(|e| removal(self, rel, e))?;
        empty(root)
            .and_then(|()| unless_gone(rustix::fs::unlinkat(&at, at.name, AtFlags::REMOVEDIR)))
            .map_err(|e| removal(self, rel, e))?;
        if let Some(project) = project {
            quota::release(at.as_fd(), project);
        }
        Ok(())
    }
}

fn removal(dir: &Dir, rel: &Path, errno: Errno) -> Error {
    let path = dir.path().join(rel);
    match errno {
        Errno::BUSY | Errno::XDEV => Error::HoldsMount { mount: path.clone(), path },
        e => Error::io("remove", path, e),
    }
}

pub(crate) fn refuse_mounts(dir: &Dir, rel: &Path, parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    let real = std::fs::read_link(crate::dir::proc_path(parent))
        .map_err(|e| Error::io("read link", dir.path().join(rel), e))?;
    match mount::below(real.join(name))?.into_iter().next() {
        Some(mount) => Err(Error::HoldsMount { path: dir.path().join(rel), mount: mount.mount_point }),
        None => Ok(()),
    }
}

/// A directory that is being emptied.
struct Level {
    fd: OwnedFd,
    name: OsString,
    subdirs: Vec<OsString>,
}

impl Level {
    /// Remove what is no directory, and note what is.
    fn open(fd: OwnedFd, name: OsString) -> Result<Self, Errno> {
        let mut subdirs = Vec::new();
        for Entry { name, kind, .. } in entries_of(fd.as_fd())? {
            if kind == FileType::Directory {
                subdirs.push(name);
                continue;
            }
            match rustix::fs::unlinkat(&fd, &name, AtFlags::empty()) {
                Err(Errno::ISDIR) => subdirs.push(name),
                other => unless_gone(other)?,
            }
        }
        Ok(Self { fd, name, subdirs })
    }
}

/// Empty a directory. Where it gets too deep, subdirectories are moved up into the root and emptied from
/// there.
fn empty(root: OwnedFd) -> Result<(), Errno> {
    let mut moved = 0u64;
    let mut stack = vec![Level::open(root, OsString::new())?];
    while let Some(level) = stack.last_mut() {
        let Some(name) = level.subdirs.pop() else {
            let Some(done) = stack.pop() else { break };
            if let Some(parent) = stack.last() {
                unless_gone(rustix::fs::unlinkat(&parent.fd, &done.name, AtFlags::REMOVEDIR))?;
            }
            continue;
        };
        if stack.len() < MAX_DEPTH {
            let Some(level) = stack.last() else { break };
            match enter(level.fd.as_fd(), &name) {
                Ok(fd) => stack.push(Level::open(fd, name)?),
                Err(Errno::NOENT) => {}
                Err(e) => return Err(e),
            }
        } else {
            let up = move_up(&stack, &name, &mut moved)?;
            if let Some(root) = stack.first_mut() {
                root.subdirs.push(up);
            }
        }
    }
    Ok(())
}

fn move_up(stack: &[Level], name: &OsStr, moved: &mut u64) -> Result<OsString, Errno> {
    let (Some(root), Some(level)) = (stack.first(), stack.last()) else { return Err(Errno::INVAL) };
    loop {
        let up = OsString::from(format!(".nacre-deep-{moved}"));
        *moved += 1;
        match rustix::fs::renameat_with(&level.fd, name, &root.fd, &up, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return other.map(|()| up),
        }
    }
}

fn enter(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty(), how)
}

fn unless_gone(result: Result<(), Errno>) -> Result<(), Errno> {
    if result == Err(Errno::NOENT) { Ok(()) } else { result }
}
