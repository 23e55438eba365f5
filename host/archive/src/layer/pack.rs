//! A tree, or the changes in an upper directory, as a tar stream: sorted, and so the same for the same tree.
//! ustar where that can say it, PAX records where it cannot.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::error::{EntryName, LayerError};
use super::input::BLOCK;
use super::options::{Monitor, Packed};
use super::pack_header::{Headers, Node};
use super::pack_sink::Sink;
use super::tree::{file_type, join, proc_path, split};
use super::whiteout::{OPAQUE, OPAQUE_XATTR, PREFIX};

/// Says of a path whether it is left out.
pub type Exclude<'a> = &'a dyn Fn(&[u8]) -> bool;

/// How a tree is packed.
#[derive(Default, Clone, Copy)]
pub struct PackOptions<'a> {
    /// Paths, relative to what is packed, that are left out together with all below them.
    pub exclude: Option<Exclude<'a>>,
    /// Names that begin with `.wh.` are whiteouts already, as in aufs's layout. Otherwise a layer takes no such name.
    pub markers: bool,
    /// Whether [`Packed::framing`] is wanted.
    pub framing: bool,
    /// Cancellation, and progress as raw bytes.
    pub monitor: Option<&'a Monitor>,
}

impl std::fmt::Debug for PackOptions<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("PackOptions").field("framing", &self.framing).finish_non_exhaustive()
    }
}

/// Write the changes that an overlay upper directory holds as an OCI layer: character devices 0:0 become
/// `.wh.<name>`, opaque directories get `.wh..wh..opq`, and overlayfs's own attributes stay behind.
///
/// Sockets are left out: tar has no type for them. A directory that overlayfs has redirected and a file of
/// which it has copied the metadata alone are errors, because their content is not here.
///
/// ```no_run
/// use nacre_archive::layer::{PackOptions, pack_changes};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let upper = std::fs::File::open("/var/lib/nacre/overlay2/9c01/diff")?;
/// let options = PackOptions { framing: true, ..PackOptions::default() };
/// let packed = pack_changes(&upper, &options, std::io::sink())?;
/// println!("{}", packed.diff_id);
/// # Ok(()) }
/// ```
pub fn pack_changes(
    upper: &impl AsFd,
    options: &PackOptions<'_>,
    output: impl Write,
) -> Result<Packed, LayerError> {
    let root = open_at(upper, b".", ResolveFlags::BENEATH)?;
    Packer { layer: !options.markers, ..Packer::new(root, Vec::new(), b"", *options, true, output)? }
        .run(Vec::new())
}

/// Write the tree at `path` below `root` as a tar stream. `path` may name a file, or be empty for all of
/// `root`; its directories are resolved as a process would whose root is `root`, and its last part is not
/// followed. In the archive it is called `name`, or nothing if that is empty, as in an export.
pub fn pack_tree(
    root: &impl AsFd,
    path: &[u8],
    name: &[u8],
    options: &PackOptions<'_>,
    output: impl Write,
) -> Result<Packed, LayerError> {
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let (parent, last) = split(trimmed);
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match last {
        b"" | b"." | b".." => {
            let root = open_at(root, if trimmed.is_empty() { b"." } else { trimmed }, how)?;
            Packer::new(root, Vec::new(), name, *options, false, output)?.run(Vec::new())
        }
        last => {
            let parent = open_at(root, if parent.is_empty() { b"." } else { parent }, how)?;
            Packer::new(parent, last.to_vec(), name, *options, false, output)?.run(last.to_vec())
        }
    }
}

/// An entry of a tree that differs from the tree of the layers below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selected {
    /// Relative to the root.
    pub path: Vec<u8>,
    /// It is there below, and not in this tree.
    pub deleted: bool,
}

/// Write these entries of a tree, sorted by path, as an OCI layer: what was deleted as `.wh.<name>`, and the
/// directories that lead to an entry before it.
pub fn pack_selected(
    tree: &impl AsFd,
    selected: &[Selected],
    options: &PackOptions<'_>,
    output: impl Write,
) -> Result<Packed, LayerError> {
    let root = open_at(tree, b".", ResolveFlags::BENEATH)?;
    Packer { layer: !options.markers, ..Packer::new(root, Vec::new(), b"", *options, false, output)? }
        .run_selected(selected)
}

fn open_at(root: &impl AsFd, path: &[u8], how: ResolveFlags) -> Result<OwnedFd, LayerError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(root, path, flags, Mode::empty(), how).map_err(|error| failed(path, "open", error))
}

struct Packer<'a, W> {
    root: OwnedFd,
    /// What is packed, below `root`: its part of a path is replaced by `name`.
    start: Vec<u8>,
    name: &'a [u8],
    options: PackOptions<'a>,
    /// Whether character devices 0:0 are whiteouts.
    changes: bool,
    /// Whether it is a layer that is written, and no tree for any program.
    layer: bool,
    sink: Sink<'a, W>,
    /// The first path of an inode with several.
    links: HashMap<(u64, u64), Vec<u8>>,
    parent: Option<(Vec<u8>, OwnedFd)>,
    entries: u64,
    content_bytes: u64,
}

impl<'a, W: Write> Packer<'a, W> {
    fn new(
        root: OwnedFd,
        start: Vec<u8>,
        name: &'a [u8],
        options: PackOptions<'a>,
        changes: bool,
        output: W,
    ) -> Result<Self, LayerError> {
        let sink = Sink::new(output, &options)?;
        let links = HashMap::new();
        Ok(Self {
            root,
            start,
            name,
            options,
            changes,
            layer: false,
            sink,
            links,
            parent: None,
            entries: 0,
            content_bytes: 0,
        })
    }

    /// Depth first, by paths instead of recursion: a deep tree takes neither stack nor descriptors.
    fn run(mut self, start: Vec<u8>) -> Result<Packed, LayerError> {
        let mut left = vec![start];
        while let Some(path) = left.pop() {
            if self.options.exclude.is_some_and(|exclude| exclude(&self.below_start(&path))) {
                continue;
            }
            if self.entry(&path)? {
                let mut names = self.names(&path)?;
                names.sort_unstable_by(|one, other| other.cmp(one));
                left.extend(names.iter().map(|name| join(&path, name)));
            }
        }
        self.sink.raw(&[0; 2 * BLOCK])?;
        self.sink.finish(self.entries, self.content_bytes)
    }

    fn run_selected(mut self, selected: &[Selected]) -> Result<Packed, LayerError> {
        // The directories that lead to the last entry: those were written.
        let mut written: Vec<u8> = Vec::new();
        self.entry(b"")?;
        for Selected { path, deleted } in selected {
            if self.options.exclude.is_some_and(|exclude| exclude(path)) {
                continue;
            }
            for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                let above = &path[..end];
                if !is_at_or_above(above, &written) {
                    self.entry(above)?;
                }
            }
            if *deleted {
                let (directory, name) = split(path);
                self.enter(directory)?;
                let Some((_, dir)) = &self.parent else { continue };
                let stat = rustix::fs::fstat(dir).map_err(|error| failed(directory, "stat", error))?;
                self.marker(&join(directory, &[PREFIX, name].concat()), &stat)?;
            } else if !is_at_or_above(path, &written) {
                self.entry(path)?;
            }
            written.clone_from(path);
        }
        self.sink.raw(&[0; 2 * BLOCK])?;
        self.sink.finish(self.entries, self.content_bytes)
    }

    /// Write one entry. Whether it is a directory to go into.
    fn entry(&mut self, path: &[u8]) -> Result<bool, LayerError> {
        let (directory, last) = split(path);
        let last = if last.is_empty() { b".".as_slice() } else { last };
        self.enter(directory)?;
        let Some((_, dir)) = &self.parent else { return Ok(false) };
        let stat = match rustix::fs::statat(dir, last, AtFlags::SYMLINK_NOFOLLOW) {
            // Gone since its directory was listed.
            Err(Errno::NOENT) => return Ok(false),
            stat => stat.map_err(|error| failed(path, "stat", error))?,
        };
        let kind = file_type(&stat);
        if kind == FileType::Socket {
            return Ok(false);
        }
        let archived = self.archived(path);
        if self.layer && last.starts_with(PREFIX) {
            return Err(LayerError::Reserved { name: EntryName::new(path) });
        }
        if self.changes && kind == FileType::CharacterDevice && stat.st_rdev == 0 {
            let (directory, name) = split(&archived);
            self.marker(&join(directory, &[PREFIX, name].concat()), &stat)?;
            return Ok(false);
        }
        let several = kind != FileType::Directory && stat.st_nlink > 1;
        let inode = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.links.get(&inode).filter(|_| several) {
            let node = Node { stat: &stat, link: Some(first), hard: true, xattrs: &[] };
            let headers = Headers::of(&archived, &node).map_err(LayerError::Output)?;
            self.entries += 1;
            self.sink.raw(&headers.bytes)?;
            return Ok(false);
        }
        let (xattrs, opaque) = self.xattrs(dir, last, path)?;
        let target = match kind {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, last, Vec::new());
                Some(target.map_err(|error| failed(path, "read the link", error))?.into_bytes())
            }
            _ => None,
        };
        // Opened before its header is written: what cannot be read is an error, not half an entry.
        let file = if kind == FileType::RegularFile { Some(self.open(dir, last, path)?) } else { None };
        let node = Node { stat: &stat, link: target.as_deref(), hard: false, xattrs: &xattrs };
        let headers = Headers::of(&archived, &node).map_err(LayerError::Output)?;
        self.entries += 1;
        self.sink.raw(&headers.bytes)?;
        if let Some(file) = file {
            self.content_bytes += stat.st_size as u64;
            self.sink.file(path, file, stat.st_size as u64)?;
        }
        if several {
            self.links.insert(inode, archived.clone());
        }
        if opaque {
            self.marker(&join(&archived, OPAQUE), &stat)?;
        }
        Ok(kind == FileType::Directory)
    }

    /// An empty file whose name is what it says.
    fn marker(&mut self, archived: &[u8], stat: &Stat) -> Result<(), LayerError> {
        let mut marker = *stat;
        marker.st_mode = FileType::RegularFile.as_raw_mode() | 0o600;
        (marker.st_size, marker.st_rdev) = (0, 0);
        let node = Node { stat: &marker, link: None, hard: false, xattrs: &[] };
        let headers = Headers::of(archived, &node).map_err(LayerError::Output)?;
        self.entries += 1;
        self.sink.raw(&headers.bytes)
    }

    fn open(&self, dir: &OwnedFd, name: &[u8], path: &[u8]) -> Result<File, LayerError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(dir, name, flags, Mode::empty());
        fd.map(File::from).map_err(|error| failed(path, "open", error))
    }

    fn enter(&mut self, directory: &[u8]) -> Result<(), LayerError> {
        if self.parent.as_ref().is_none_or(|(path, _)| path != directory) {
            let open = if directory.is_empty() { b"." } else { directory };
            let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            self.parent = Some((directory.to_vec(), open_at(&self.root, open, how)?));
        }
        Ok(())
    }

    fn names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, LayerError> {
        let open = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let list = || -> Result<Vec<Vec<u8>>, Errno> {
            let fd = rustix::fs::openat2(&self.root, open, flags, Mode::empty(), how)?;
            let entries = rustix::fs::Dir::new(fd)?;
            entries.map(|entry| Ok(entry?.file_name().to_bytes().to_vec())).collect()
        };
        let mut names = list().map_err(|error| failed(path, "list", error))?;
        names.retain(|name| name != b"." && name != b"..");
        Ok(names)
    }

    /// The attributes that belong to the file, sorted; and whether overlayfs calls it opaque.
    fn xattrs(&self, dir: &OwnedFd, name: &[u8], path: &[u8]) -> Result<(Xattrs, bool), LayerError> {
        let file = proc_path(dir.as_fd(), Some(name));
        let read = |error| failed(path, "read its extended attributes", error);
        let (mut xattrs, mut opaque) = (Vec::new(), false);
        for name in list_xattrs(&file).map_err(read)? {
            match name.strip_prefix(b"trusted.overlay.".as_slice()) {
                Some(b"redirect" | b"metacopy") if self.changes => {
                    return Err(failed(
                        path,
                        "find its content, which overlayfs keeps elsewhere",
                        Errno::XDEV,
                    ));
                }
                Some(_) if self.changes && name == OPAQUE_XATTR.as_bytes() => opaque = true,
                Some(_) => {}
                // The machine's, not the file's.
                None if name == b"security.selinux" || name.starts_with(b"user.overlay.") => {}
                None => {
                    if let Some(value) = get_xattr(&file, &name).map_err(read)? {
                        xattrs.push((name, value));
                    }
                }
            }
        }
        xattrs.sort_unstable();
        Ok((xattrs, opaque))
    }

    /// The path without what leads to the start.
    fn below_start(&self, path: &[u8]) -> Vec<u8> {
        let rest = path.strip_prefix(self.start.as_slice()).unwrap_or(path);
        rest.strip_prefix(b"/").unwrap_or(rest).to_vec()
    }

    fn archived(&self, path: &[u8]) -> Vec<u8> {
        let rest = self.below_start(path);
        match (self.name.is_empty(), rest.is_empty()) {
            (true, _) => rest,
            (false, true) => self.name.to_vec(),
            (false, false) => join(self.name, &rest),
        }
    }
}

fn is_at_or_above(directory: &[u8], path: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

fn list_xattrs(file: &[u8]) -> Result<Vec<Vec<u8>>, Errno> {
    let mut buffer = vec![0; 1024];
    loop {
        match rustix::fs::llistxattr(file, buffer.as_mut_slice()) {
            Ok(length) => {
                let names = buffer[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
                return Ok(names.map(<[u8]>::to_vec).collect());
            }
            Err(Errno::RANGE) if buffer.len() < 64 << 10 => buffer.resize(64 << 10, 0),
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
}

fn get_xattr(file: &[u8], name: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    let mut buffer = vec![0; 256];
    loop {
        match rustix::fs::lgetxattr(file, name, buffer.as_mut_slice()) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(Some(buffer));
            }
            Err(Errno::RANGE) if buffer.len() < 64 << 10 => buffer.resize(64 << 10, 0),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn failed(path: &[u8], op: &'static str, error: Errno) -> LayerError {
    LayerError::Tree { name: EntryName::new(path), op, source: error.into() }
}
