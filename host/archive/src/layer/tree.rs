//! The directory that a layer is unpacked into. Every name is resolved by the kernel relative to the
//! directory's file descriptor, and cannot leave it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode, ResolveFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::entry::clean;
use super::error::{EntryName, Problem, Refusal};
use super::ledger::Ledger;
use super::options::{Limits, Warning, Whiteouts};

/// Open directories are few: names in a tar come directory by directory.
const OPEN_DIRECTORIES: usize = 64;

/// As many symbolic links as Linux follows on one path.
const MOST_LINKS: usize = 40;

/// Bytes of the paths of implied directories that are remembered: no real layer has more.
const MOST_IMPLIED: usize = 16 << 20;

#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    pub(super) whiteouts: Whiteouts,
    /// Symbolic links are followed as a process would whose root is the tree, instead of refused when they
    /// lead out.
    pub(super) in_root: bool,
    pub(super) replace_directories: bool,
    /// Keep the content of what is replaced: the framing needs it.
    pub(super) keep_replaced: bool,
    pub(super) limits: Limits,
}

/// A directory of the tree, open (`O_PATH`), and its path without symbolic links.
#[derive(Debug)]
pub(super) struct Dir {
    pub(super) fd: OwnedFd,
    pub(super) path: Vec<u8>,
}

impl Dir {
    pub(super) fn join(&self, name: &[u8]) -> Vec<u8> {
        join(&self.path, name)
    }
}

#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) root: BorrowedFd<'a>,
    pub(super) policy: Policy,
    pub(super) umask: u32,
    pub(super) owner: (u32, u32),
    pub(super) ledger: Ledger,
    pub(super) content_bytes: u64,
    /// Directories that no entry made, so far.
    pub(super) implied: BTreeSet<Vec<u8>>,
    /// The times of directories that were there before, where a whole tree is changed: to put an entry into one
    /// changes them, and no layer says so.
    pub(super) kept_times: BTreeMap<Vec<u8>, Timestamps>,
    implied_bytes: usize,
    pub(super) warnings: Vec<Warning>,
    /// Path and content of what was replaced, until the framing takes it.
    pub(super) replaced: Vec<(Vec<u8>, Vec<u8>)>,
    /// Names that the layer whites out, where the tree itself does not tell (aufs).
    pub(super) whited_out: BTreeSet<Vec<u8>>,
    pub(super) replaced_bytes: u64,
    pub(super) open: HashMap<Vec<u8>, Rc<Dir>>,
    pub(super) last: Option<(Vec<u8>, Rc<Dir>)>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(root: BorrowedFd<'a>, policy: Policy) -> Self {
        Self {
            root,
            policy,
            umask: umask(),
            owner: (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
            ledger: Ledger::default(),
            content_bytes: 0,
            implied: BTreeSet::new(),
            kept_times: BTreeMap::new(),
            implied_bytes: 0,
            warnings: Vec::new(),
            replaced: Vec::new(),
            whited_out: Default::default(),
            replaced_bytes: 0,
            open: HashMap::new(),
            last: None,
        }
    }

    /// Whether the tree may hold what lower layers left, with ways of its own (ACLs, set-group-ID).
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.policy.whiteouts, Whiteouts::Delete | Whiteouts::Literal)
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        if self.warnings.len() < Warning::MOST {
            self.warnings.push(warning);
        }
    }

    /// The directory that a clean path names, made (0755, as missing parents are) where it is missing.
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<Rc<Dir>, Problem> {
        if let Some((last, dir)) = &self.last
            && last == path
        {
            return Ok(Rc::clone(dir));
        }
        let dir = match self.open.get(path) {
            Some(dir) => Rc::clone(dir),
            None => {
                let dir = Rc::new(self.open_directory(path)?);
                self.keep_times(&dir)?;
                if self.open.len() >= OPEN_DIRECTORIES {
                    self.open.clear();
                }
                self.open.insert(path.to_vec(), Rc::clone(&dir));
                dir
            }
        };
        self.last = Some((path.to_vec(), Rc::clone(&dir)));
        Ok(dir)
    }

    /// The same of one that exists: None where it does not, or is no directory.
    pub(super) fn existing_directory(&mut self, path: &[u8]) -> Option<Rc<Dir>> {
        let fd = self.find(path).ok()?;
        let path = self.canonical(&fd).ok()?;
        let dir = Dir { fd, path };
        self.keep_times(&dir).ok()?;
        Some(Rc::new(dir))
    }

    fn keep_times(&mut self, dir: &Dir) -> Result<(), Problem> {
        if self.policy.whiteouts != Whiteouts::Delete || self.kept_times.contains_key(&dir.path) {
            return Ok(());
        }
        let stat = rustix::fs::fstat(&dir.fd).map_err(Problem::write("look at its directory"))?;
        let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
        let times = Timestamps {
            last_access: time(stat.st_atime, stat.st_atime_nsec),
            last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
        };
        self.kept_times.insert(dir.path.clone(), times);
        Ok(())
    }

    fn open_directory(&mut self, path: &[u8]) -> Result<Dir, Problem> {
        let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match self.resolve(path, strict) {
            Ok(fd) => Ok(Dir { fd, path: path.to_vec() }),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => self.walk(path),
            Err(error) => Err(Problem::Write("open its directory", error.into())),
        }
    }

    /// Part by part: follow the layer's own links, and make what is missing.
    fn walk(&mut self, path: &[u8]) -> Result<Dir, Problem> {
        let root = self.resolve(b"", ResolveFlags::BENEATH).map_err(Problem::write("open the layer"))?;
        let mut dir = Dir { fd: root, path: Vec::new() };
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let prefix = &path[..end];
            let fd = match self.find(prefix) {
                Ok(fd) => fd,
                Err(error) => {
                    let (_, name) = split(prefix);
                    self.make_parent(&dir, name, prefix, error)?;
                    let made = self.find(prefix);
                    made.map_err(Problem::write("open its directory"))?
                }
            };
            let path = self.canonical(&fd)?;
            dir = Dir { fd, path };
        }
        Ok(dir)
    }

    /// Make `prefix`, which is `name` in `dir`, a directory if it is missing or whited out.
    fn make_parent(&mut self, dir: &Dir, name: &[u8], prefix: &[u8], error: Errno) -> Result<(), Problem> {
        let op = "make its directory";
        let make = || rustix::fs::mkdirat(&dir.fd, name, Mode::from(0o755));
        match self.stat(dir, name)? {
            None => {
                make().map_err(Problem::write(op))?;
                self.note_implied(dir.join(name));
            }
            Some(stat) if self.is_whiteout(&stat) => {
                self.remove(dir, name)?;
                make().map_err(Problem::write(op))?;
                self.set_opaque(dir, name)?;
            }
            Some(stat) if file_type(&stat) == FileType::Symlink => {
                let link = EntryName::new(prefix);
                let target = rustix::fs::readlinkat(&dir.fd, name, Vec::new());
                let target = EntryName::new(target.map_err(Problem::write("read a link"))?.into_bytes());
                return Err(Problem::Refused(match error {
                    Errno::XDEV => Refusal::LinkEscapes { link, target },
                    _ => Refusal::LinkDangles { link, target },
                }));
            }
            Some(_) => return Err(Refusal::NotADirectory(EntryName::new(prefix)).into()),
        }
        if self.umask & 0o755 != 0 || self.is_shared() {
            let mode = Mode::from(0o755);
            rustix::fs::chmodat(&dir.fd, name, mode, AtFlags::empty()).map_err(Problem::write(op))?;
        }
        self.whited_out_reappears(dir, name, true)
    }

    /// Remember a directory that the layer only implies. Lower layers may have it, with attributes of its own.
    fn note_implied(&mut self, path: Vec<u8>) {
        let bytes = self.implied_bytes.saturating_add(path.len());
        if !self.is_shared() && bytes <= MOST_IMPLIED {
            self.implied_bytes = bytes;
            self.implied.insert(path);
        }
    }

    /// The directory at a path, links followed.
    fn find(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let scope = if self.policy.in_root { ResolveFlags::IN_ROOT } else { ResolveFlags::BENEATH };
        match self.resolve(path, scope | ResolveFlags::NO_MAGICLINKS) {
            Err(Errno::XDEV) if !self.policy.in_root => self.find_by_absolute_links(path),
            found => found,
        }
    }

    /// Where an absolute link is on the way: it begins at the layer's root, as it will in a container. One that
    /// climbs out of the root leads out, though a process would only get to the root.
    fn find_by_absolute_links(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let parts =
            |path: &[u8]| path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect::<Vec<_>>();
        let (mut todo, mut links) = (parts(path), 0);
        // Free of links, and of `..`.
        let mut found: Vec<Vec<u8>> = Vec::new();
        while let Some(name) = todo.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    found.pop().ok_or(Errno::XDEV)?;
                    continue;
                }
                _ => found.push(name),
            }
            match rustix::fs::readlinkat(self.root, found.join(&b'/'), Vec::new()) {
                Ok(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP);
                    }
                    let target = target.into_bytes();
                    found.pop();
                    if target.starts_with(b"/") {
                        found.clear();
                    }
                    todo.extend(parts(&target));
                }
                Err(Errno::INVAL) => {}
                Err(error) => return Err(error),
            }
        }
        self.resolve(&found.join(&b'/'), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
    }

    pub(super) fn resolve(&self, path: &[u8], how: ResolveFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // The kernel asks to try again when something was renamed or mounted meanwhile (openat2(2), EAGAIN).
        for _ in 0..100 {
            match rustix::fs::openat2(self.root, path, flags, Mode::empty(), how) {
                Err(Errno::AGAIN | Errno::INTR) => continue,
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Where links have led to.
    fn canonical(&self, fd: &OwnedFd) -> Result<Vec<u8>, Problem> {
        let read = |fd: BorrowedFd<'_>| {
            let path = rustix::fs::readlink(proc_path(fd, None), Vec::new());
            path.map(|path| path.into_bytes()).map_err(Problem::write("read /proc/self/fd"))
        };
        let (path, root) = (read(fd.as_fd())?, read(self.root)?);
        let rest = if root == b"/" { path.strip_prefix(b"") } else { path.strip_prefix(root.as_slice()) };
        match rest {
            Some(b"") => Ok(Vec::new()),
            Some([b'/', rest @ ..]) => Ok(rest.to_vec()),
            _ => Err(Problem::Write("find the path of its directory", Errno::XDEV.into())),
        }
    }

    pub(super) fn stat(&self, dir: &Dir, name: &[u8]) -> Result<Option<Stat>, Problem> {
        match rustix::fs::statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Problem::Write("stat", error.into())),
        }
    }

    /// A character device 0:0, where that is how whiteouts are written.
    pub(super) fn is_whiteout(&self, stat: &Stat) -> bool {
        self.policy.whiteouts == Whiteouts::Overlay
            && file_type(stat) == FileType::CharacterDevice
            && stat.st_rdev == 0
    }

    /// The directory and the last part of the target of a hard link, which must exist.
    pub(super) fn link_target(&mut self, link: &[u8]) -> Result<(Rc<Dir>, Vec<u8>), Problem> {
        let missing = || Problem::Refused(Refusal::HardLinkMissing(EntryName::new(link)));
        let outside = || Problem::Refused(Refusal::HardLinkEscapes(EntryName::new(link)));
        let path = match clean(link, &self.policy.limits) {
            Ok(path) if path.is_empty() => {
                return Err(Refusal::HardLinkKind(EntryName::new(link)).into());
            }
            Ok(path) => path,
            Err(Problem::Refused(Refusal::Name)) => return Err(missing()),
            Err(Problem::Refused(_)) => return Err(outside()),
            Err(problem) => return Err(problem),
        };
        let (parent, name) = split(&path);
        let fd = match self.find(parent) {
            Ok(fd) => fd,
            Err(Errno::XDEV) => return Err(outside()),
            Err(_) => return Err(missing()),
        };
        let canonical = self.canonical(&fd)?;
        let dir = Dir { fd, path: canonical };
        match self.stat(&dir, name)? {
            None => Err(missing()),
            Some(stat) if file_type(&stat) == FileType::Directory || self.is_whiteout(&stat) => {
                Err(Refusal::HardLinkKind(EntryName::new(link)).into())
            }
            Some(_) => Ok((Rc::new(dir), name.to_vec())),
        }
    }
}

pub(super) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode as RawMode)
}

/// Directory and last part of a clean path.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    if !directory.is_empty() {
        path.extend_from_slice(directory);
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// For the calls that know no directory descriptors, such as `lsetxattr(2)`.
pub(super) fn proc_path(fd: BorrowedFd<'_>, name: Option<&[u8]>) -> Vec<u8> {
    use std::os::fd::AsRawFd;
    let mut path = format!("/proc/self/fd/{}", fd.as_raw_fd()).into_bytes();
    if let Some(name) = name {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

/// The kernel takes these bits from every mode. Unknown, it is taken for the worst.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o777)
}
