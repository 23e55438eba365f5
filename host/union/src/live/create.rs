use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nacre_sys::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, XattrFlags};
use rustix::io::Errno;

use super::inode::{Inode, Parts};
use super::place::Place;
use super::probe::{self, Found, Here};
use super::{Attributes, File, Result, Tree, sys_errno};
use crate::layer::Whiteouts;

const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// What is to be made.
#[derive(Debug, Clone, Copy)]
pub enum New<'a> {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link that says this.
    Symlink(&'a OsStr),
    /// A device, FIFO or socket.
    Special(FileType, u64),
}

/// Whose it is to be, and with which permission bits.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group, unless the directory gives its own.
    pub gid: u32,
    /// Permission bits as they were asked for.
    pub mode: u32,
    /// What is taken off them where the directory has no default ACL.
    pub umask: u32,
}

impl Tree {
    /// Make something under a name that is free. A regular file is opened for reading and writing.
    pub fn create(
        &self,
        parent: &Arc<Inode>,
        name: &OsStr,
        new: New<'_>,
        owner: Owner,
    ) -> Result<(Arc<Inode>, Attributes, Option<File>)> {
        let top = self.top()?;
        // A device 0:0 would be a deletion.
        let deletion = matches!(new, New::Special(FileType::CharacterDevice, 0));
        if self.reserved(name) || (deletion && top.whiteouts == Whiteouts::Overlay) {
            return Err(Errno::PERM);
        }
        let _tree = self.names.write();
        let covers = self.check_free(parent, name)?;
        let dir = self.raise(parent)?;
        let acl = self.default_acl(parent)?;
        let mode = if acl.is_some() { owner.mode } else { owner.mode & !owner.umask };
        let (stat, file, place) = if covers {
            let temp = top.temp();
            let made = self
                .make_apart(&temp, &dir, new, owner, mode, acl.as_deref())
                .and_then(|made| self.put_over_whiteout(&dir, name, &made.2, new).map(|()| made))
                .inspect_err(|_| top.discard(&temp))?;
            let place = Place::At(dir.clone(), name.to_owned());
            top.discard(&temp);
            (place.stat()?, made.1, place)
        } else {
            let place = Place::At(dir.clone(), name.to_owned());
            let group = if rustix::fs::fstat(&*dir)?.st_mode & 0o2000 != 0 { None } else { Some(owner.gid) };
            let exact = acl.is_none().then_some(mode);
            let (stat, file) = make(&place, new, owner.uid, group, mode, exact).inspect_err(|e| {
                if *e != Errno::EXIST {
                    let flags =
                        if matches!(new, New::Directory) { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                    let _ = rustix::fs::unlinkat(&*dir, name, flags);
                }
            })?;
            (stat, file, place)
        };
        parent.entries_changed();
        let found = self.found_new(stat, place)?;
        let (inode, attributes) = self.adopt(parent, name, found)?;
        let file = file.map(|file| File::new(inode.clone(), file, false));
        Ok((inode, attributes, file))
    }

    fn found_new(&self, stat: Stat, place: Place) -> Result<Found> {
        if probe::kind(&stat) != FileType::Directory {
            return Ok(Found { stat, upper: Some(place), lower: None, parts: None });
        }
        let fd = place.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
        let path = match &place {
            Place::At(dir, name) => dir.path().join(name),
            Place::Held(_) => "".into(),
        };
        let dir = Arc::new(Dir::from_fd(fd, path));
        let parts = Parts { upper: Some(dir.clone()), lowers: Arc::new([]) };
        Ok(Found { stat, upper: Some(Place::At(dir, OsString::new())), lower: None, parts: Some(parts) })
    }

    /// That nothing has the name. Tells whether a deletion stands in its place in the writable layer.
    pub(crate) fn check_free(&self, parent: &Arc<Inode>, name: &OsStr) -> Result<bool> {
        if parent.state.lock().names.is_empty() && parent.ino != super::ROOT {
            return Err(Errno::NOENT);
        }
        let top = self.top()?;
        if let Some(dir) = parent.upper_dir() {
            match probe::find(top.whiteouts, &dir, name)? {
                Here::Entry(_) => return Err(Errno::EXIST),
                Here::Whiteout => return Ok(true),
                Here::Absent => {}
            }
        }
        if self.lower_has(parent, name)? { Err(Errno::EXIST) } else { Ok(false) }
    }

    /// The default ACL that a directory passes on.
    fn default_acl(&self, parent: &Inode) -> Result<Option<Vec<u8>>> {
        if parent.state.lock().default_acl == Some(false) {
            return Ok(None);
        }
        let acl = parent.place().ok_or(Errno::STALE)?.xattr(DEFAULT_ACL)?;
        parent.state.lock().default_acl = Some(acl.is_some());
        Ok(acl)
    }

    /// Make something in the work directory, with what its directory would have given it. Below a directory
    /// with a default ACL that is done by a directory that has the same.
    fn make_apart(
        &self,
        temp: &str,
        dir: &Arc<Dir>,
        new: New<'_>,
        owner: Owner,
        mode: u32,
        acl: Option<&[u8]>,
    ) -> Result<(Stat, Option<OwnedFd>, Place)> {
        let top = self.top()?;
        let above = rustix::fs::fstat(&**dir)?;
        let stage = top.work.make_dir(temp, 0o700).map_err(|e| sys_errno(&e))?;
        let stage = Arc::new(stage);
        let mut group = Some(owner.gid);
        if above.st_mode & 0o2000 != 0 {
            group = None;
            let at = Place::At(stage.clone(), OsString::new());
            at.chown(None, Some(above.st_gid))?;
            at.chmod(0o2700)?;
        }
        if let Some(acl) = acl {
            Place::At(stage.clone(), OsString::new()).set_xattr(DEFAULT_ACL, acl, XattrFlags::empty())?;
        }
        let place = Place::At(stage, "new".into());
        let exact = acl.is_none().then_some(mode);
        let (stat, file) = make(&place, new, owner.uid, group, mode, exact)?;
        Ok((stat, file, place))
    }

    /// Move something new to where a deletion stands.
    fn put_over_whiteout(&self, dir: &Arc<Dir>, name: &OsStr, made: &Place, new: New<'_>) -> Result<()> {
        let top = self.top()?;
        let Place::At(stage, from) = made else { return Err(Errno::IO) };
        let directory = matches!(new, New::Directory);
        if directory {
            let fd = made.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
            self.set_opaque(&Arc::new(Dir::from_fd(fd, stage.path())))?;
        }
        if top.whiteouts == Whiteouts::Aufs {
            rustix::fs::renameat_with(&**stage, from, &**dir, name, RenameFlags::NOREPLACE)?;
            return top.unwhiteout(dir, name);
        }
        if directory {
            // The deletion goes to the work directory, and away with it.
            return rustix::fs::renameat_with(&**stage, from, &**dir, name, RenameFlags::EXCHANGE);
        }
        rustix::fs::renameat(&**stage, from, &**dir, name)
    }
}

/// Make something and give it its owner. `exact` are the permission bits that it must have in the end,
/// whatever this process's umask is.
fn make(
    place: &Place,
    new: New<'_>,
    uid: u32,
    gid: Option<u32>,
    mode: u32,
    exact: Option<u32>,
) -> Result<(Stat, Option<OwnedFd>)> {
    let Place::At(dir, name) = place else { return Err(Errno::IO) };
    // Setuid bits come last: until then it is this process's.
    let bits = Mode::from_raw_mode(mode & 0o777);
    let mut file = None;
    match new {
        New::File => {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            file = Some(rustix::fs::openat(&**dir, name, flags, bits)?);
        }
        New::Directory => rustix::fs::mkdirat(&**dir, name, bits)?,
        New::Symlink(says) => rustix::fs::symlinkat(says, &**dir, name)?,
        New::Special(kind, device) => rustix::fs::mknodat(&**dir, name, kind, bits, device)?,
    }
    let stat = place.stat()?;
    let group = gid.filter(|gid| *gid != stat.st_gid);
    let user = (uid != stat.st_uid).then_some(uid);
    let mut changed = false;
    if group.is_some() || user.is_some() {
        place.chown(user, group)?;
        changed = true;
    }
    if probe::kind(&stat) != FileType::Symlink {
        // A directory that gives its group gives the bit, too.
        let inherited = if matches!(new, New::Directory) { stat.st_mode & 0o2000 } else { 0 };
        let wanted = match exact {
            Some(mode) => (mode & 0o7777) | inherited,
            None => (stat.st_mode & 0o777) | (mode & 0o7000) | inherited,
        };
        if wanted != stat.st_mode & 0o7777 || (changed && wanted & 0o6000 != 0) {
            place.chmod(wanted)?;
            changed = true;
        }
    }
    Ok((if changed { place.stat()? } else { stat }, file))
}
