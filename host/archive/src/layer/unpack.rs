//! One layer's raw tar stream into a directory.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, Mode, OFlags, makedev};
use rustix::io::Errno;

use super::entry::{Entry, Headers, Kind, clean};
use super::error::{EntryName, LayerError, Problem, Refusal};
use super::framing::Recorder;
use super::input::Input;
use super::ledger::Made;
use super::options::{
    ExtractOptions, UnpackOptions, Unpacked, WRITEBACK, WRITEBACK_LEAST, Warning, Whiteouts, Written,
};
use super::sparse::{Segment, data_and_hole};
use super::tree::{Dir, Policy, Tree, file_type, join, split};
use super::whiteout::{Meaning, meaning};
use crate::digest::{DiffId, Digest, Hasher};

const BUFFER: usize = 512 << 10;

/// Unpack one layer's raw (uncompressed) tar stream into `directory`, its content directory, which is empty
/// unless `whiteouts` is [`Whiteouts::Delete`].
///
/// On an error the directory holds part of the layer: it is for the caller to remove it.
///
/// ```no_run
/// use nacre_archive::layer::{UnpackOptions, Whiteouts, unpack};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tar = std::fs::File::open("layer.tar")?;
/// let diff = std::fs::File::open("/var/lib/nacre/overlay2/4f2a/diff")?;
/// let layer = unpack(tar, &diff, &UnpackOptions::new(Whiteouts::Overlay))?;
/// println!("{} with {} bytes", layer.diff_id, layer.content_bytes);
/// # Ok(()) }
/// ```
pub fn unpack(
    tar: impl Read,
    directory: &impl AsFd,
    options: &UnpackOptions<'_>,
) -> Result<Unpacked, LayerError> {
    let reader = BufReader::with_capacity(BUFFER, tar);
    let mut hasher = Some(Hasher::new());
    let (mut unpacked, digest) = unpack_from(reader, directory.as_fd(), options, hasher.take())?;
    if let Some(digest) = digest {
        unpacked.diff_id = DiffId::new(digest);
    }
    Ok(unpacked)
}

/// Extract a tar stream below a directory of a tree, as `docker cp` does: no whiteouts, links followed inside
/// of the tree `root`, what is there is replaced file by file. The answer has no framing.
///
/// ```no_run
/// use nacre_archive::layer::{ExtractOptions, extract_into};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let merged = std::fs::File::open("/var/lib/nacre/overlay2/9c01/merged")?;
/// let options = ExtractOptions { at: b"var/www", ..ExtractOptions::default() };
/// extract_into(std::io::stdin(), &merged, &options)?;
/// # Ok(()) }
/// ```
pub fn extract_into(
    tar: impl Read,
    root: &impl AsFd,
    options: &ExtractOptions<'_>,
) -> Result<Unpacked, LayerError> {
    let policy = Policy {
        whiteouts: Whiteouts::Literal,
        in_root: true,
        replace_directories: options.replace_directories,
        keep_replaced: false,
        limits: options.limits,
    };
    let reader = BufReader::with_capacity(BUFFER, tar);
    let mut input = Input::new(reader, options.limits, options.monitor);
    input.hasher = Some(Hasher::new());
    let mut unpacker = Unpacker {
        input,
        headers: Headers::new(options.limits),
        tree: Tree::new(root.as_fd(), policy),
        at: Vec::new(),
        owner: options.owner,
        written: None,
        holes: false,
    };
    let (unpacked, digest) = unpacker.set_at(options.at).and_then(|()| unpacker.run())?;
    let diff_id = digest.map_or(unpacked.diff_id, DiffId::new);
    Ok(Unpacked { diff_id, ..unpacked })
}

/// Without a hasher the diff ID of the answer is that of no bytes: somebody else hashes.
pub(super) fn unpack_from<R: BufRead>(
    reader: R,
    directory: BorrowedFd<'_>,
    options: &UnpackOptions<'_>,
    hasher: Option<Hasher>,
) -> Result<(Unpacked, Option<Digest>), LayerError> {
    let policy = Policy {
        whiteouts: options.whiteouts,
        in_root: false,
        replace_directories: true,
        keep_replaced: options.framing,
        limits: options.limits,
    };
    let mut input = Input::new(reader, options.limits, options.monitor);
    input.hasher = hasher;
    if options.framing {
        let recorder = Recorder::new().map_err(Problem::write("record the framing"));
        input.recorder = Some(recorder.map_err(|problem| problem.at(b"", 0, 0))?);
    }
    let tree = Tree::new(directory, policy);
    let headers = Headers::new(options.limits);
    Unpacker {
        input,
        headers,
        tree,
        at: Vec::new(),
        owner: None,
        written: options.written,
        holes: options.holes,
    }
    .run()
}

struct Unpacker<'a, R> {
    input: Input<'a, R>,
    headers: Headers,
    tree: Tree<'a>,
    /// Where in the tree the names begin.
    at: Vec<u8>,
    owner: Option<(u32, u32)>,
    written: Option<Written>,
    holes: bool,
}

impl<R: BufRead> Unpacker<'_, R> {
    fn set_at(&mut self, at: &[u8]) -> Result<(), LayerError> {
        if !at.is_empty() {
            self.at = clean(at, &self.tree.policy.limits).map_err(|problem| problem.at(at, 0, 0))?;
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(Unpacked, Option<Digest>), LayerError> {
        let done = self.entries();
        done.map_err(|problem| problem.at(&self.headers.name, self.headers.offset, self.input.offset()))
    }

    fn entries(&mut self) -> Result<(Unpacked, Option<Digest>), Problem> {
        while let Some(mut entry) = self.headers.next(&mut self.input)? {
            for warning in std::mem::take(&mut entry.warnings) {
                let name = EntryName::new(entry.name.as_slice());
                self.tree.warn(match warning {
                    Warning::Acl { acl, .. } => Warning::Acl { name, acl },
                    other => other,
                });
            }
            if let Some((uid, gid)) = self.owner {
                (entry.uid, entry.gid) = (uid, gid);
            }
            self.entry(&mut entry)?;
            self.keep_replaced();
        }
        self.input.drain()?;
        self.tree.set_late()?;
        let framing = match self.input.recorder.take() {
            Some(recorder) => recorder.finish().map_err(Problem::write("record the framing"))?,
            None => Vec::new(),
        };
        let unpacked = Unpacked {
            diff_id: DiffId::new(Digest::from_bytes([0; 32])),
            raw_bytes: self.input.offset(),
            content_bytes: self.tree.content_bytes,
            entries: self.headers.entries(),
            framing,
            implied: std::mem::take(&mut self.tree.implied).into_iter().collect(),
            warnings: std::mem::take(&mut self.tree.warnings),
        };
        Ok((unpacked, self.input.hasher.take().map(Hasher::finish)))
    }

    fn keep_replaced(&mut self) {
        for (path, content) in self.tree.replaced.drain(..) {
            if let Some(recorder) = &mut self.input.recorder {
                recorder.replaced(&path, content);
            }
        }
    }

    fn entry(&mut self, entry: &mut Entry) -> Result<(), Problem> {
        let path = clean(&entry.name, &self.tree.policy.limits)?;
        if self.tree.policy.whiteouts == Whiteouts::Literal {
            return self.file(&join_at(&self.at, &path), entry);
        }
        match meaning(&path)? {
            Meaning::File => return self.file(&path, entry),
            Meaning::Whiteout { directory, name } => self.tree.white_out(directory, name, entry.mode)?,
            Meaning::Opaque { directory } => self.tree.make_opaque(directory, entry.mode)?,
            Meaning::Aufs => self.tree.warn(Warning::AufsMetadata { name: EntryName::new(path.as_slice()) }),
        }
        self.input.inline(entry.stored)
    }

    fn file(&mut self, path: &[u8], entry: &mut Entry) -> Result<(), Problem> {
        let (parent, name) = split(path);
        let dir = self.tree.directory(parent)?;
        if name.is_empty() && entry.kind != Kind::Directory {
            return Err(Refusal::Root.into());
        }
        match entry.kind {
            Kind::Directory => self.directory(&dir, name, entry)?,
            Kind::File => return self.regular(&dir, name, entry),
            Kind::HardLink => self.hard_link(&dir, name, entry)?,
            Kind::Symlink => self.symlink(&dir, name, entry)?,
            Kind::Fifo => self.node(&dir, name, FileType::Fifo, entry)?,
            Kind::CharDevice => self.node(&dir, name, FileType::CharacterDevice, entry)?,
            Kind::BlockDevice => self.node(&dir, name, FileType::BlockDevice, entry)?,
        }
        self.made(&dir, name, entry.kind == Kind::Directory)?;
        // A directory of before POSIX can have content, which nobody reads.
        self.input.inline(entry.stored)
    }

    fn made(&mut self, dir: &Dir, name: &[u8], is_dir: bool) -> Result<(), Problem> {
        if !is_dir && self.tree.policy.whiteouts == Whiteouts::Delete {
            let path = dir.join(name);
            if !self.tree.ledger.has_exactly(&path) {
                self.tree.ledger.insert(path, Made::Other);
            }
        }
        self.tree.whited_out_reappears(dir, name, is_dir)
    }

    fn directory(&mut self, dir: &Dir, name: &[u8], entry: &mut Entry) -> Result<(), Problem> {
        if name.is_empty() {
            return self.tree.set_directory(dir, b".", Vec::new(), entry, false);
        }
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let make = || rustix::fs::mkdirat(&dir.fd, name, mode);
        let is_new = match make() {
            Ok(()) => true,
            Err(Errno::EXIST) => match self.tree.stat(dir, name)? {
                Some(stat) if file_type(&stat) == FileType::Directory => false,
                Some(stat) => {
                    if !self.tree.policy.replace_directories {
                        return Err(Refusal::DirectoryOverFile.into());
                    }
                    self.tree.remove(dir, name)?;
                    make().map_err(Problem::write("make the directory"))?;
                    if self.tree.is_whiteout(&stat) {
                        self.tree.set_opaque(dir, name)?;
                    }
                    true
                }
                None => return Err(Problem::Write("make the directory", Errno::EXIST.into())),
            },
            Err(error) => return Err(Problem::Write("make the directory", error.into())),
        };
        self.tree.set_directory(dir, name, dir.join(name), entry, is_new)
    }

    fn regular(&mut self, dir: &Dir, name: &[u8], entry: &mut Entry) -> Result<(), Problem> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let open = || rustix::fs::openat(&dir.fd, name, flags, mode);
        let fd = self.tree.create(dir, name, "make the file", open)?;
        self.keep_replaced();
        self.tree.content_bytes = self.tree.content_bytes.saturating_add(entry.size());
        self.made(dir, name, false)?;

        let path = dir.join(name);
        let segments = entry.sparse.take().map(|sparse| (sparse.real_size, sparse.segments));
        match &segments {
            None if entry.stored > 0 => {
                let whole = Segment { offset: 0, length: entry.stored };
                self.part(fd.as_fd(), &path, whole, true)?;
                if self.holes {
                    rustix::fs::ftruncate(&fd, entry.stored).map_err(Problem::write("set its size"))?;
                }
            }
            None => {}
            Some((real_size, segments)) => {
                for (at, segment) in segments.iter().enumerate() {
                    self.part(fd.as_fd(), &path, *segment, at == 0)?;
                }
                rustix::fs::ftruncate(&fd, *real_size).map_err(Problem::write("set its size"))?;
            }
        }
        self.input.padding(entry.stored)?;
        self.tree.set_file(fd.as_fd(), entry)?;
        if self.tree.policy.keep_replaced && entry.stored > 0 {
            let segments = segments.map(|(_, segments)| segments);
            self.tree.ledger.insert(path, Made::Content { size: entry.stored, segments });
        }
        Ok(())
    }

    /// A stretch of data from the stream into the file, straight from the stream's buffer.
    fn part(&mut self, fd: BorrowedFd<'_>, path: &[u8], at: Segment, first: bool) -> Result<(), Problem> {
        if let Some(recorder) = &mut self.input.recorder {
            let recorded = recorder.file(first, path, at.offset, at.length);
            recorded.map_err(Problem::write("record the framing"))?;
        }
        let mut offset = at.offset;
        let mut told = at.offset;
        let (written, holes) = (self.written, self.holes);
        self.input.content(at.length, |mut bytes| {
            while !bytes.is_empty() {
                let (data, hole) = if holes { data_and_hole(bytes, offset) } else { (bytes.len(), 0) };
                if data == 0 {
                    offset += hole as u64;
                    bytes = &bytes[hole..];
                    continue;
                }
                match rustix::io::pwrite(fd, &bytes[..data], offset) {
                    Ok(0) => return Err(Problem::Write("write", Errno::IO.into())),
                    Ok(count) => {
                        offset += count as u64;
                        bytes = &bytes[count..];
                        if let Some(written) = written
                            && offset - told >= WRITEBACK
                        {
                            written(fd, told, offset - told);
                            told = offset;
                        }
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(Problem::Write("write", error.into())),
                }
            }
            Ok(())
        })?;
        if let Some(written) = written
            && at.length >= WRITEBACK_LEAST
            && offset > told
        {
            written(fd, told, offset - told);
        }
        Ok(())
    }

    fn hard_link(&mut self, dir: &Dir, name: &[u8], entry: &Entry) -> Result<(), Problem> {
        let link = if self.at.is_empty() { entry.link.clone() } else { join(&self.at, &entry.link) };
        let (target_dir, target) = self.tree.link_target(&link)?;
        if let (Some(target), Some(existing)) =
            (self.tree.stat(&target_dir, &target)?, self.tree.stat(dir, name)?)
            && (target.st_dev, target.st_ino) == (existing.st_dev, existing.st_ino)
        {
            return Ok(());
        }
        self.tree.create(dir, name, "make the hard link", || {
            rustix::fs::linkat(&target_dir.fd, target.as_slice(), &dir.fd, name, rustix::fs::AtFlags::empty())
        })
    }

    fn symlink(&mut self, dir: &Dir, name: &[u8], entry: &mut Entry) -> Result<(), Problem> {
        if entry.link.is_empty() || entry.link.contains(&0) {
            return Err(Refusal::LinkTarget.into());
        }
        self.tree.create(dir, name, "make the symbolic link", || {
            rustix::fs::symlinkat(entry.link.as_slice(), &dir.fd, name)
        })?;
        self.tree.set_node(dir, name, entry)
    }

    fn node(&mut self, dir: &Dir, name: &[u8], kind: FileType, entry: &mut Entry) -> Result<(), Problem> {
        let (major, minor) = entry.device;
        if kind == FileType::CharacterDevice
            && entry.device == (0, 0)
            && self.tree.policy.whiteouts == Whiteouts::Overlay
        {
            return Err(Refusal::WhiteoutDevice.into());
        }
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        self.tree.create(dir, name, "make the device or FIFO", || {
            rustix::fs::mknodat(&dir.fd, name, kind, mode, makedev(major, minor))
        })?;
        self.tree.set_node(dir, name, entry)
    }
}

fn join_at(at: &[u8], path: &[u8]) -> Vec<u8> {
    match (at.is_empty(), path.is_empty()) {
        (true, _) => path.to_vec(),
        (_, true) => at.to_vec(),
        _ => join(at, path),
    }
}
