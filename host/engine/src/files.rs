//! Files in and out of containers: `cp` and `export`.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nacre_archive::layer::{ExtractOptions, LayerError, PackOptions, extract_into, pack_tree};
use nacre_store::Container;
use nacre_sys::dir::Dir;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::{Engine, Error};

/// Root's user and group: whose files copied into a container are, unless they keep their owners.
const ROOT: (u32, u32) = (0, 0);

impl Engine {
    /// Write a container's whole tree as a tar.
    pub fn export(&self, container: &str, out: &mut (dyn Write + Send)) -> Result<(), Error> {
        let container = self.find_container(container)?;
        self.with_mount(&container, |root| {
            let tree = Tree::of(&container, root)?;
            let packed = pack_tree(&tree.root, b"", b"", &PackOptions::default(), out);
            packed.map_err(|error| tree.unreadable(error))?;
            Ok(())
        })
    }

    /// Write a file or tree of a container as a tar, named after its last part (`docker cp CONTAINER:PATH -`).
    /// `follow`: a link is replaced by what it leads to.
    pub fn copy_out(
        &self,
        container: &str,
        path: impl AsRef<OsStr>,
        follow: bool,
        out: &mut (dyn Write + Send),
    ) -> Result<(), Error> {
        let container = self.find_container(container)?;
        self.with_mount(&container, |root| {
            let tree = Tree::of(&container, root)?;
            let source = tree.source(path.as_ref().as_bytes(), follow)?;
            let packed = pack_tree(&tree.root, &source.path, &source.name, &PackOptions::default(), out);
            packed.map_err(|error| tree.unreadable(error))?;
            Ok(())
        })
    }

    /// Unpack a tar into a directory of a container (`docker cp - CONTAINER:PATH`). `archive` keeps owners.
    pub fn copy_in(
        &self,
        container: &str,
        path: impl AsRef<OsStr>,
        archive: bool,
        tar: &mut (dyn Read + Send),
    ) -> Result<(), Error> {
        let container = self.find_container(container)?;
        self.with_mount(&container, |root| {
            let (tree, path) = (Tree::of(&container, root)?, path.as_ref().as_bytes());
            let target = tree.find(path, true)?;
            if !target.is_dir {
                return Err(tree.not_a_directory(path));
            }
            let owner = (!archive).then_some(ROOT);
            let options = ExtractOptions { at: &target.path, owner, ..Default::default() };
            let unpacked = extract_into(tar, &tree.root, &options);
            unpacked.map_err(|error| tree.unwritable(error, &target.path))?;
            Ok(())
        })
    }

    /// Copy from a container to this machine, with `docker cp`'s rules for what the copy is called.
    pub fn copy_to_host(
        &self,
        container: &str,
        path: impl AsRef<OsStr>,
        dest: &Path,
        archive: bool,
        follow: bool,
    ) -> Result<(), Error> {
        let container = self.find_container(container)?;
        self.with_mount(&container, |root| {
            let source = (&Tree::of(&container, root)?, path.as_ref().as_bytes());
            copy(source, (&Tree::host()?, dest.as_os_str().as_bytes()), own_ids(archive), follow)
        })
    }

    /// Copy from this machine into a container, with `docker cp`'s rules for what the copy is called.
    pub fn copy_from_host(
        &self,
        src: &Path,
        container: &str,
        path: impl AsRef<OsStr>,
        archive: bool,
        follow: bool,
    ) -> Result<(), Error> {
        let container = self.find_container(container)?;
        self.with_mount(&container, |root| {
            let owner = (!archive).then_some(ROOT);
            let target = (&Tree::of(&container, root)?, path.as_ref().as_bytes());
            copy((&Tree::host()?, src.as_os_str().as_bytes()), target, owner, follow)
        })
    }
}

/// Without `-a`, what is copied out belongs to whoever copies it.
fn own_ids(archive: bool) -> Option<(u32, u32)> {
    (!archive).then(|| (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()))
}

/// A tree in which paths are resolved as a process would whose root it is.
struct Tree {
    root: Dir,
    /// Where a path begins that does not begin with `/`.
    start: Vec<u8>,
    /// What stands before a path in messages: `web:` for the container web.
    prefix: String,
}

/// Something in a tree.
struct Found {
    /// Relative to the root, links followed as far as was asked for.
    path: Vec<u8>,
    kind: FileType,
    is_dir: bool,
}

/// Something that is to be copied.
struct Source {
    /// Relative to the root.
    path: Vec<u8>,
    is_dir: bool,
    /// What it is called where it is copied to.
    name: Vec<u8>,
}

impl Tree {
    fn of(container: &Container, root: &Path) -> Result<Self, Error> {
        let prefix = format!("{}:", container.name);
        Ok(Self { root: Dir::open(root)?, start: Vec::new(), prefix })
    }

    fn host() -> Result<Self, Error> {
        let start = std::env::current_dir().map_err(|e| Error::io("find", "the working directory", e))?;
        let root = Dir::open(Path::new("/"))?;
        Ok(Self { root, start: start.into_os_string().as_bytes().to_vec(), prefix: String::new() })
    }

    fn find(&self, path: &[u8], follow: bool) -> Result<Found, Error> {
        if path.is_empty() {
            return Err(Error::Usage {
                what: "the path is empty".to_owned(),
                help: Some("`/` is the root of the container's tree".to_owned()),
            });
        }
        self.look(path, follow)?
            .ok_or_else(|| Error::NotFound { kind: "file or directory", name: self.shown(path) })
    }

    /// What is to be copied. A path that says that it is a directory has to be one, if through a link.
    fn source(&self, path: &[u8], follow: bool) -> Result<Source, Error> {
        let as_directory = asks_for_directory(path);
        let found = self.find(path, follow || as_directory)?;
        if as_directory && !found.is_dir {
            return Err(self.not_a_directory(path));
        }
        let mut name = split_last(&self.relative(path)).1;
        if name == b".." {
            name = split_last(&self.find(path, true)?.path).1;
        }
        Ok(Source { path: found.path, is_dir: found.is_dir, name })
    }

    /// None where nothing is there.
    fn look(&self, path: &[u8], follow: bool) -> Result<Option<Found>, Error> {
        let relative = self.relative(path);
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, !follow);
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let io = |e: Errno| Error::io("find", self.shown(path), e);
        let target: &[u8] = if relative.is_empty() { b"." } else { &relative };
        let fd = match rustix::fs::openat2(&self.root, target, flags, Mode::empty(), how) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            opened => opened.map_err(io)?,
        };
        let stat = rustix::fs::fstat(&fd).map_err(io)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_dir = kind == FileType::Directory;
        // Following may have led elsewhere below the root.
        let path = if follow { self.path_of(&Dir::from_fd(fd, OsStr::from_bytes(path)))? } else { relative };
        Ok(Some(Found { path, kind, is_dir }))
    }

    fn path_of(&self, found: &Dir) -> Result<Vec<u8>, Error> {
        let (root, path) = (self.root.real_path()?, found.real_path()?);
        Ok(path.strip_prefix(&root).unwrap_or(&path).as_os_str().as_bytes().to_vec())
    }

    /// A path from the root, without what stands at its end only to say that it is a directory.
    fn relative(&self, path: &[u8]) -> Vec<u8> {
        let whole = if path.starts_with(b"/") { path.to_vec() } else { [&self.start, path].join(&b'/') };
        let start = whole.iter().take_while(|&&b| b == b'/').count();
        let mut path = whole.get(start..).unwrap_or_default();
        while let Some(rest) = path.strip_suffix(b"/.").or_else(|| path.strip_suffix(b"/")) {
            path = rest;
        }
        if path == b"." { Vec::new() } else { path.to_vec() }
    }

    /// A path for a message; bytes that are no UTF-8 as `\xff`.
    fn shown(&self, path: &[u8]) -> String {
        path.utf8_chunks().fold(self.prefix.clone(), |mut text, chunk| {
            text.push_str(chunk.valid());
            chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
            text
        })
    }

    fn no_directory(&self, path: &[u8]) -> Error {
        Error::NotFound { kind: "directory", name: self.shown(path) }
    }

    fn not_a_directory(&self, path: &[u8]) -> Error {
        Error::usage(format!("{} is not a directory", self.shown(path)))
    }

    /// What packing this tree says of a layer, said of its files.
    fn unreadable(&self, error: LayerError) -> Error {
        match error {
            LayerError::Tree { name, op, source } => {
                Error::io("read", self.below(b"", name.as_bytes()), while_at(op, &source))
            }
            other => other.into(),
        }
    }

    /// What unpacking to `at` in this tree says of a layer, said of its files.
    fn unwritable(&self, error: LayerError, at: &[u8]) -> Error {
        match error {
            LayerError::Write { name, op, source, .. } => {
                Error::io("write", self.below(at, name.as_bytes()), while_at(op, &source))
            }
            LayerError::Read { source, .. } => Error::io("read", "standard input", source),
            other => other.into(),
        }
    }

    fn below(&self, at: &[u8], name: &[u8]) -> String {
        let parts: Vec<&[u8]> = [at, name].into_iter().filter(|part| !part.is_empty()).collect();
        self.shown(&[b"/", parts.join(&b'/').as_slice()].concat())
    }
}

/// Copy between trees, with the rules of `docker cp`: into a directory that exists, under the source's name
/// or, for `dir/.`, its content; otherwise under the target's name, whose parent must exist.
fn copy(
    (from, source): (&Tree, &[u8]),
    (to, target): (&Tree, &[u8]),
    owner: Option<(u32, u32)>,
    follow: bool,
) -> Result<(), Error> {
    let found = from.source(source, follow)?;
    let (at, name) = match to.look(target, true)? {
        Some(there) if there.is_dir && is_content_only(source) => (there.path, Vec::new()),
        Some(there) if there.is_dir => (there.path, found.name.clone()),
        Some(_) if found.is_dir => {
            return Err(Error::usage(format!("cannot copy a directory to the file {}", to.shown(target))));
        }
        Some(_) if asks_for_directory(target) => return Err(to.not_a_directory(target)),
        Some(there) if there.kind == FileType::RegularFile => split_last(&there.path),
        // Replacing a device such as /dev/null would harm whoever uses it.
        Some(_) => return Err(in_the_way(to, target, "it is neither a file nor a directory")),
        None if to.look(target, false)?.is_some_and(|there| there.kind == FileType::Symlink) => {
            return Err(in_the_way(to, target, "it is a symbolic link that leads nowhere"));
        }
        None if asks_for_directory(target) && !found.is_dir => return Err(to.no_directory(target)),
        None => {
            let (parent, name) = split_asked(target);
            match to.look(&parent, true)? {
                Some(there) if there.is_dir => (there.path, name),
                Some(_) => return Err(to.not_a_directory(&parent)),
                None => return Err(to.no_directory(&parent)),
            }
        }
    };
    transfer((from, &found.path, &name), (to, &at), owner)
}

fn in_the_way(to: &Tree, target: &[u8], why: &str) -> Error {
    Error::Conflict {
        what: format!("cannot copy to {}: {why}", to.shown(target)),
        help: "remove what is there, or copy to another name".to_owned(),
    }
}

/// Pack on one thread, unpack on this one.
fn transfer(
    (from, source, name): (&Tree, &[u8], &[u8]),
    (to, at): (&Tree, &[u8]),
    owner: Option<(u32, u32)>,
) -> Result<(), Error> {
    let (reader, writer) = io::pipe().map_err(|e| Error::io("make", PathBuf::from("a pipe"), e))?;
    std::thread::scope(|scope| {
        let packer =
            scope.spawn(move || pack_tree(&from.root, source, name, &PackOptions::default(), writer));
        let unpacked = extract_into(reader, &to.root, &ExtractOptions { at, owner, ..Default::default() });
        let packed = match packer.join() {
            Ok(packed) => packed,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        match through_pipe(packed, unpacked) {
            Err(PipeFault::Reader(LayerError::Refused { name, why, .. })) => Err(Error::Conflict {
                what: format!("cannot copy to {}: {why}", to.below(at, name.as_bytes())),
                help: "remove what is there, or copy to another name".to_owned(),
            }),
            Err(PipeFault::Reader(error)) => Err(to.unwritable(error, at)),
            Err(PipeFault::Packer(error)) => Err(from.unreadable(error)),
            Ok(_) => Ok(()),
        }
    })
}

/// Which end of a pipe failed first.
pub(crate) enum PipeFault {
    Packer(LayerError),
    Reader(LayerError),
}

/// The outcome of a packer and of who read what it packed. A packer that only found its pipe closed is not the
/// cause; nor is a reader whose tar ended too early.
pub(crate) fn through_pipe<P, T>(
    packed: Result<P, LayerError>,
    read: Result<T, LayerError>,
) -> Result<T, PipeFault> {
    match (packed, read) {
        (Err(LayerError::Output(_)) | Ok(_), Err(error)) => Err(PipeFault::Reader(error)),
        (Err(error), _) => Err(PipeFault::Packer(error)),
        (Ok(_), Ok(value)) => Ok(value),
    }
}

/// What the system said, and to what.
pub(crate) fn while_at(op: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{op}: {error}"))
}

/// `dir/.` and `.` are what is in the directory.
fn is_content_only(path: &[u8]) -> bool {
    path == b"." || path.ends_with(b"/.")
}

fn asks_for_directory(path: &[u8]) -> bool {
    path.ends_with(b"/") || is_content_only(path)
}

fn split_last(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(at) => {
            (path.get(..at).unwrap_or_default().to_vec(), path.get(at + 1..).unwrap_or_default().to_vec())
        }
        None => (Vec::new(), path.to_vec()),
    }
}

/// The parent of a path, and its last part, as they were written.
fn split_asked(mut path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    while let Some(rest) = path.strip_suffix(b"/.").or_else(|| path.strip_suffix(b"/")) {
        path = rest;
    }
    let (parent, name) = split_last(path);
    match (parent.is_empty(), path.starts_with(b"/")) {
        (true, true) => (b"/".to_vec(), name),
        (true, false) => (b".".to_vec(), name),
        (false, _) => (parent, name),
    }
}
