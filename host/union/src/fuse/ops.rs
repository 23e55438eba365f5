use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr,
    Request, TimeOrNow, WriteFlags,
};
use rustix::fs::{FallocateFlags, FileType, SeekFrom};

use super::convert::{self, errno};
use super::data::libc_flags;
use super::{FOREVER, Server, settle, stat};
use crate::live::{New, Owner, Result, SetAttributes, Spot};
use crate::trace::Operation;

/// What the kernel is asked to do, as far as it can.
const WANTED: [InitFlags; 10] = [
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_ATOMIC_O_TRUNC,
    InitFlags::FUSE_DONT_MASK,
    InitFlags::FUSE_POSIX_ACL,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_NO_OPENDIR_SUPPORT,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_ASYNC_DIO,
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
];

/// The largest request of data.
const MOST_DATA: u32 = 1 << 20;

fn answer(done: Result<()>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(e) => reply.error(errno(e)),
    }
}

fn answer_xattr(value: Result<Vec<u8>>, size: u32, reply: ReplyXattr) {
    match value {
        Ok(value) if size == 0 => reply.size(value.len().try_into().unwrap_or(u32::MAX)),
        Ok(value) if value.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(value) => reply.data(&value),
        Err(e) => reply.error(errno(e)),
    }
}

fn owner(req: &Request, mode: u32, umask: u32) -> Owner {
    Owner { uid: req.uid(), gid: req.gid(), mode, umask }
}

impl Server {
    fn make(&self, parent: INodeNo, name: &OsStr, new: New<'_>, owner: Owner, reply: ReplyEntry) {
        let made = self
            .inode(parent)
            .and_then(|parent| self.tree.create(&parent, name, new, owner))
            .map(|(inode, attributes, _)| (inode, attributes));
        let made = self.noted_create(made, |made| &made.0, parent, name);
        self.reply_entry(made, reply);
    }

    fn with_handle(
        &self,
        fh: FileHandle,
        reply: ReplyEmpty,
        work: impl FnOnce(&super::handles::Handle) -> Result<()>,
    ) {
        match self.handles.get(fh.0) {
            Ok(handle) => answer(work(&handle), reply),
            Err(e) => reply.error(e),
        }
    }
}

impl Filesystem for Server {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for flag in WANTED {
            if config.add_capabilities(flag).is_err() {
                tracing::debug!("this kernel lacks {flag:?}");
            }
        }
        if self.passthrough {
            self.passthrough = config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
                && config.set_max_stack_depth(1).is_ok();
        }
        let _ = config.set_max_write(MOST_DATA);
        let _ = config.set_max_background(64);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.inode(parent).and_then(|parent| self.tree.lookup(&parent, name));
        match self.noted_lookup(found, self.number(parent), name) {
            Ok(Some(found)) => self.reply_entry(Ok(found), reply),
            // No node, and that for long: the kernel remembers that there is nothing.
            Ok(None) => reply.entry(&FOREVER, &absent(), Generation(0)),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.tree.forget(self.handles.forget(ino.0, nlookup), nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let found = self.inode(ino).and_then(|inode| Ok((self.tree.attributes(&inode)?, inode)));
        match found {
            Ok((attributes, inode)) => {
                reply.attr(&self.attributes_stay(&inode), &convert::attr(&attributes, inode.number()));
            }
            Err(e) => reply.error(errno(e)),
        }
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let (accessed, modified) = (atime.map(convert::time), mtime.map(convert::time));
        let privileged = req.uid() == 0;
        let set = SetAttributes { mode, uid, gid, size, accessed, modified, privileged };
        let handle = fh.and_then(|fh| self.handles.get(fh.0).ok()).filter(|handle| handle.write);
        let done = self.inode(ino).and_then(|inode| {
            let file = handle.as_ref().map(|handle| &handle.file);
            Ok((self.tree.set_attributes(&inode, &set, file)?, inode))
        });
        match self.noted(done, |_| Operation::Attributes { inode: self.number(ino) }) {
            Ok((attributes, inode)) => {
                reply.attr(&self.attributes_stay(&inode), &convert::attr(&attributes, inode.number()));
            }
            Err(e) => reply.error(errno(e)),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match self.inode(ino).and_then(|inode| self.tree.read_link(&inode)) {
            Ok(said) => reply.data(&said),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let new = match FileType::from_raw_mode(mode) {
            FileType::RegularFile => New::File,
            kind => New::Special(kind, convert::from_wire(rdev)),
        };
        self.make(parent, name, new, owner(req, mode, umask), reply);
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        self.make(parent, name, New::Directory, owner(req, mode, umask), reply);
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        self.make(parent, name, New::Symlink(target.as_os_str()), owner(req, 0o777, 0), reply);
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self.inode(parent).and_then(|parent| self.tree.unlink(&parent, name));
        answer(self.noted_remove(done, parent, name), reply);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self.inode(parent).and_then(|parent| self.tree.rmdir(&parent, name));
        answer(self.noted_remove(done, parent, name), reply);
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.contains(RenameFlags::RENAME_WHITEOUT) {
            return reply.error(Errno::EINVAL);
        }
        let exchange = flags.contains(RenameFlags::RENAME_EXCHANGE);
        let replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        let done = self.inode(parent).and_then(|parent| {
            let new_parent = self.inode(newparent)?;
            let (from, to) = (Spot { parent: &parent, name }, Spot { parent: &new_parent, name: newname });
            self.tree.rename(from, to, replace, exchange)
        });
        let noted = self.noted(done, |_| Operation::Rename {
            parent: self.number(parent),
            name: name.to_owned(),
            new_parent: self.number(newparent),
            new_name: newname.to_owned(),
            exchange: exchange.into(),
        });
        answer(noted, reply);
    }

    fn link(&self, _req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let linked =
            self.inode(ino).and_then(|inode| self.tree.link(&inode, &self.inode(newparent)?, newname));
        let (inode, parent) = (self.number(ino), self.number(newparent));
        let linked = self.noted(linked, |_| Operation::Link { inode, parent, name: newname.to_owned() });
        self.reply_entry(linked, reply);
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.open_node(req, ino.0, flags.0, reply);
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let owner = owner(req, mode, umask);
        let made =
            self.inode(parent).and_then(|parent| match self.tree.create(&parent, name, New::File, owner) {
                Err(rustix::io::Errno::EXIST) if flags & libc_flags::EXCL == 0 => {
                    let found = self.tree.lookup(&parent, name)?.ok_or(rustix::io::Errno::NOENT)?;
                    let truncate = flags & libc_flags::TRUNC != 0;
                    match self.tree.open_file(&found.0, true, truncate) {
                        Ok(file) => Ok((found.0, found.1, Some(file))),
                        Err(e) => {
                            self.tree.forget(found.0.ino, 1);
                            Err(e)
                        }
                    }
                }
                made => made,
            });
        match self.noted_create(made, |made| &made.0, parent, name) {
            Ok((inode, attributes, Some(file))) => self.created(inode, &attributes, file, reply),
            Ok(_) => reply.error(Errno::EIO),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let handle = match self.handles.get(fh.0) {
            Ok(handle) => handle,
            Err(e) => return reply.error(e),
        };
        BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(size as usize, 0);
            match handle.file.read(buffer, offset) {
                Ok(got) => reply.data(buffer.get(..got).unwrap_or_default()),
                Err(e) => reply.error(errno(e)),
            }
        });
    }

    fn write(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let handle = match self.handles.get(fh.0) {
            Ok(handle) => handle,
            Err(e) => return reply.error(e),
        };
        let done = match handle.file.write(data, offset) {
            Ok(done) => done,
            Err(e) => return reply.error(errno(e)),
        };
        if write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID) {
            let _ = self.tree.drop_privileges(&handle.inode);
        }
        reply.written(done.try_into().unwrap_or(u32::MAX));
    }

    fn flush(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.handles.remove(fh.0);
        reply.ok();
    }

    fn fsync(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        self.with_handle(fh, reply, |handle| handle.file.sync(datasync));
    }

    fn opendir(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        // The kernel then opens directories without asking, and keeps what it read of them.
        reply.error(Errno::ENOSYS);
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let done = self.list(ino, offset, |entry, kind| {
            !reply.add(INodeNo(entry.number), entry.cookie, convert::kind(kind), &entry.name)
        });
        match done {
            Ok(()) => reply.ok(),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        match self.list_plus(ino, offset, &mut reply) {
            Ok(()) => reply.ok(),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let synced = self.inode(ino).and_then(|inode| match inode.upper_dir() {
            Some(dir) => rustix::fs::fsync(&*dir),
            None => Ok(()),
        });
        answer(synced, reply);
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        match self.tree.room() {
            Ok(room) => reply.statfs(
                room.f_blocks,
                room.f_bfree,
                room.f_bavail,
                room.f_files,
                room.f_ffree,
                room.f_bsize.try_into().unwrap_or(4096),
                room.f_namemax.try_into().unwrap_or(255),
                room.f_frsize.try_into().unwrap_or(4096),
            ),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        if ino.0 == crate::live::ROOT && settle::is_request(name) {
            return answer(self.tree.settle_all(), reply);
        }
        let flags = flags.try_into().unwrap_or(0);
        let done =
            self.inode(ino).and_then(|inode| self.tree.set_xattr(&inode, name.as_bytes(), value, flags));
        answer(self.noted_xattr(done, ino, name), reply);
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if ino.0 == crate::live::ROOT && stat::is_asked(name) {
            return answer_xattr(Ok(self.tree.statistics().to_string().into_bytes()), size, reply);
        }
        let value = self.inode(ino).and_then(|inode| self.tree.xattr(&inode, name.as_bytes()));
        answer_xattr(value, size, reply);
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        answer_xattr(self.inode(ino).and_then(|inode| self.tree.list_xattrs(&inode)), size, reply);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self.inode(ino).and_then(|inode| self.tree.remove_xattr(&inode, name.as_bytes()));
        answer(self.noted_xattr(done, ino, name), reply);
    }

    fn fallocate(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let flags = FallocateFlags::from_bits_retain(mode.try_into().unwrap_or(0));
        self.with_handle(fh, reply, |handle| handle.file.allocate(flags, offset, length));
    }

    fn lseek(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let handle = match self.handles.get(fh.0) {
            Ok(handle) => handle,
            Err(e) => return reply.error(e),
        };
        let at = u64::try_from(offset).unwrap_or(0);
        let whence = match whence {
            3 => SeekFrom::Data(at),
            4 => SeekFrom::Hole(at),
            _ => return reply.error(Errno::EINVAL),
        };
        match handle.file.seek(whence) {
            Ok(found) => reply.offset(found.try_into().unwrap_or(i64::MAX)),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn copy_file_range(
        &self,
        _req: &Request,
        _ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        _ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let (from, to) = match (self.handles.get(fh_in.0), self.handles.get(fh_out.0)) {
            (Ok(from), Ok(to)) => (from, to),
            (Err(e), _) | (_, Err(e)) => return reply.error(e),
        };
        match from.file.copy_to(offset_in, &to.file, offset_out, len) {
            Ok(copied) => reply.written(copied.try_into().unwrap_or(u32::MAX)),
            Err(e) => reply.error(errno(e)),
        }
    }
}

/// What the kernel is told of a name that nothing has: node 0.
pub(crate) fn absent() -> fuser::FileAttr {
    let epoch = SystemTime::UNIX_EPOCH;
    fuser::FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: epoch,
        mtime: epoch,
        ctime: epoch,
        crtime: epoch,
        kind: fuser::FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}
