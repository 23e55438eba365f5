//! Files in and out of containers: `cp` and `export`.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nacre_archive::layer::{ExtractOptions, LayerError, PackOptions, extract_into, pack_tree};
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
            pack_tree(&Dir::open(root)?, b"", b"", &PackOptions::default(), out)?;
            Ok(())
        })
    }

    /// Write a file or tree of a container as a tar, named after its last part (`docker cp CONTAINER:PATH -`).
    /// `follow`: a link is replaced by what it leads to.
    pub fn copy_out(
        &self,
        container: &str,
        path: &str,
        follow: bool,
        out: &mut (dyn Write + Send),
    ) -> Result<(), Error> {
        let container = self.find_container(container)?;
        self.with_mount(&container, |root| {
            let tree = Tree::open(root)?;
            let source = tree.find(path, follow)?;
            pack_tree(&tree.root, &source.path, &base_name(path), &PackOptions::default(), out)?;
            Ok(())
        })
    }

    /// Unpack a tar into a directory of a container (`docker cp - CONTAINER:PATH`). `archive` keeps owners.
    pub fn copy_in(
        &self,
        container: &str,
        path: &str,
        archive: bool,
        tar: &mut (dyn Read + Send),
    ) -> Result<(), Error> {
        let container = self.find_container(container)?;
        self.with_mount(&container, |root| {
            let tree = Tree::open(root)?;
            let target = tree.find(path, true)?;
            if !target.is_dir {
                return Err(not_a_directory(path));
            }
            let owner = (!archive).then_some(ROOT);
            extract_into(tar, &tree.root, &ExtractOptions { at: &target.path, owner, ..Default::default() })?;
            Ok(())
        })
    }

    /// Copy from a container to this machine, with `docker cp`'s rules for what the copy is called.
    pub fn copy_to_host(
        &self,
        container: &str,
        path: &str,
        dest: &Path,
        archive: bool,
        follow: bool,
    ) -> Result<(), Error> {
        let container = self.find_container(container)?;
        self.with_mount(&container, |root| {
            let host = Tree::open(Path::new("/"))?;
            let dest = std::path::absolute(dest).map_err(|e| Error::io("find", dest, e))?;
            copy((&Tree::open(root)?, path), (&host, dest.as_os_str()), own_ids(archive), follow)
        })
    }

    /// Copy from this machine into a container, with `docker cp`'s rules for what the copy is called.
    pub fn copy_from_host(
        &self,
        src: &Path,
        container: &str,
        path: &str,
        archive: bool,
        follow: bool,
    ) -> Result<(), Error> {
        let container = self.find_container(container)?;
        self.with_mount(&container, |root| {
            let host = Tree::open(Path::new("/"))?;
            let absolute = std::path::absolute(src).map_err(|e| Error::io("find", src, e))?;
            let mut source = absolute.display().to_string();
            // `absolute` drops what tells `dir` from `dir/.`.
            if src.as_os_str().as_bytes().ends_with(b"/.") {
                source.push_str("/.");
            }
            let owner = (!archive).then_some(ROOT);
            copy((&host, &source), (&Tree::open(root)?, OsStr::new(path)), owner, follow)
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
}

/// Something in a tree.
struct Found {
    /// Relative to the root, links followed as far as was asked for.
    path: Vec<u8>,
    is_dir: bool,
}

impl Tree {
    fn open(root: &Path) -> Result<Self, Error> {
        Ok(Self { root: Dir::open(root)? })
    }

    fn find(&self, path: &str, follow: bool) -> Result<Found, Error> {
        if path.is_empty() {
            return Err(Error::Usage {
                what: "the path is empty".to_owned(),
                help: Some("`/` is the root of the container's tree".to_owned()),
            });
        }
        self.look(OsStr::new(path), follow)?
            .ok_or_else(|| Error::NotFound { kind: "path", name: path.to_owned() })
    }

    /// None where nothing is there.
    fn look(&self, path: &OsStr, follow: bool) -> Result<Option<Found>, Error> {
        let relative = relative(path);
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, !follow);
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let io = |e: Errno| Error::io("find", Path::new(path), e);
        let target: &[u8] = if relative.is_empty() { b"." } else { &relative };
        let fd = match rustix::fs::openat2(&self.root, target, flags, Mode::empty(), how) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            opened => opened.map_err(io)?,
        };
        let stat = rustix::fs::fstat(&fd).map_err(io)?;
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        // Following may have led elsewhere below the root.
        let path = if follow { self.path_of(&Dir::from_fd(fd, path))? } else { relative };
        Ok(Some(Found { path, is_dir }))
    }

    fn path_of(&self, found: &Dir) -> Result<Vec<u8>, Error> {
        let (root, path) = (self.root.real_path()?, found.real_path()?);
        Ok(path.strip_prefix(&root).unwrap_or(&path).as_os_str().as_bytes().to_vec())
    }
}

/// Copy between trees, with the rules of `docker cp`: into a directory that exists, under the source's name
/// or, for `dir/.`, its content; otherwise under the target's name, whose parent must exist.
fn copy(
    (from, source): (&Tree, &str),
    (to, target): (&Tree, &OsStr),
    owner: Option<(u32, u32)>,
    follow: bool,
) -> Result<(), Error> {
    let content_only = source.ends_with("/.") || source == ".";
    let found = from.find(source, follow || content_only)?;
    if source.ends_with('/') && !found.is_dir {
        return Err(not_a_directory(source));
    }
    let target_text = target.to_string_lossy();
    let (at, name) = match to.look(target, true)? {
        Some(there) if there.is_dir && content_only && found.is_dir => (there.path, Vec::new()),
        Some(there) if there.is_dir => (there.path, base_name(source)),
        Some(_) if found.is_dir => {
            return Err(Error::usage(format!("cannot copy a directory to the file {target_text}")));
        }
        Some(there) => split_last(&there.path),
        None if target_text.ends_with('/') && !found.is_dir => return Err(not_a_directory(&target_text)),
        None => {
            let path = relative(target);
            let (parent, name) = split_last(&path);
            let there = to.look(OsStr::from_bytes(&parent), true)?;
            let parent = there.filter(|t| t.is_dir).ok_or_else(|| Error::NotFound {
                kind: "directory",
                name: format!("/{}", String::from_utf8_lossy(&parent)),
            })?;
            (parent.path, name)
        }
    };
    transfer((from, &found.path, &name), (to, &at), owner)
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
        match (packed, unpacked) {
            // A packer that only found its pipe closed is not the cause.
            (Err(LayerError::Output(_)) | Ok(_), Err(error)) | (Err(error), _) => Err(error.into()),
            (Ok(_), Ok(_)) => Ok(()),
        }
    })
}

fn relative(path: &OsStr) -> Vec<u8> {
    let bytes = path.as_bytes();
    let start = bytes.iter().take_while(|&&b| b == b'/').count();
    let mut path = bytes.get(start..).unwrap_or_default();
    while let Some(rest) = path.strip_suffix(b"/.").or_else(|| path.strip_suffix(b"/")) {
        path = rest;
    }
    if path == b"." { Vec::new() } else { path.to_vec() }
}

fn base_name(path: &str) -> Vec<u8> {
    split_last(&relative(OsStr::new(path))).1
}

fn split_last(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(at) => {
            (path.get(..at).unwrap_or_default().to_vec(), path.get(at + 1..).unwrap_or_default().to_vec())
        }
        None => (Vec::new(), path.to_vec()),
    }
}

fn not_a_directory(path: &str) -> Error {
    Error::usage(format!("{path} is not a directory"))
}
