//! What is there already when an entry comes: removed, and kept for the framing as far as it needs it.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::error::{LimitName, Problem, Refusal};
use super::ledger::Made;
use super::sparse::Segment;
use super::tree::{Dir, Tree, file_type, split};

impl Tree<'_> {
    /// Make something that must not be there yet; what is there is replaced.
    pub(super) fn create<T>(
        &mut self,
        dir: &Dir,
        name: &[u8],
        op: &'static str,
        make: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, Problem> {
        match make() {
            Err(Errno::EXIST) => {
                self.remove(dir, name)?;
                make()
            }
            result => result,
        }
        .map_err(Problem::write(op))
    }

    /// Remove what has this name: a file, or a whole tree where that is allowed.
    pub(super) fn remove(&mut self, dir: &Dir, name: &[u8]) -> Result<(), Problem> {
        let Some(stat) = self.stat(dir, name)? else { return Ok(()) };
        let path = dir.join(name);
        let kind = file_type(&stat);
        if kind == FileType::Directory && !self.policy.replace_directories {
            return Err(Refusal::DirectoryOverFile.into());
        }
        if kind == FileType::Directory || kind == FileType::Symlink {
            self.open.clear();
            self.last = None;
        }
        if kind == FileType::Directory {
            return self.remove_tree(&path);
        }
        self.forget(&path, &stat)?;
        rustix::fs::unlinkat(&dir.fd, name, AtFlags::empty()).map_err(Problem::write("replace"))
    }

    /// Before something is removed: keep what the framing refers to, and correct the size.
    fn forget(&mut self, path: &[u8], stat: &Stat) -> Result<(), Problem> {
        if file_type(stat) == FileType::RegularFile
            && stat.st_nlink == 1
            && (!self.is_shared() || self.ledger.has_exactly(path))
        {
            self.content_bytes = self.content_bytes.saturating_sub(stat.st_size as u64);
        }
        for (path, made) in self.ledger.take(path) {
            if let (true, Made::Content { size, segments }) = (self.policy.keep_replaced, made) {
                let content = self.read_replaced(&path, size, segments)?;
                self.replaced.push((path, content));
            }
        }
        Ok(())
    }

    fn read_replaced(
        &mut self,
        path: &[u8],
        size: u64,
        segments: Option<Vec<Segment>>,
    ) -> Result<Vec<u8>, Problem> {
        let op = "read what is replaced";
        let segments = segments.unwrap_or_else(|| vec![Segment { offset: 0, length: size }]);
        self.replaced_bytes += segments.iter().map(|segment| segment.length).sum::<u64>();
        let max = self.policy.limits.inline_bytes;
        if self.replaced_bytes > max {
            return Err(Problem::Limit(LimitName::InlineBytes, max));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let file = rustix::fs::openat2(self.root, path, flags, Mode::empty(), how);
        let file = std::fs::File::from(file.map_err(Problem::write(op))?);
        let mut content = Vec::new();
        for segment in segments {
            let at = content.len();
            content.resize(at + segment.length as usize, 0);
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut content[at..], segment.offset)
                .map_err(Problem::write(op))?;
        }
        Ok(content)
    }

    /// All that is below a canonical path, and the path itself. By paths instead of recursion, so that a
    /// deep tree takes neither stack nor file descriptors.
    pub(super) fn remove_tree(&mut self, path: &[u8]) -> Result<(), Problem> {
        let op = "remove what is replaced";
        let mut left = vec![(path.to_vec(), false)];
        while let Some((path, emptied)) = left.pop() {
            let (parent, name) = split(&path);
            let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            let parent = self.resolve(parent, how).map_err(Problem::write(op))?;
            if emptied {
                rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR).map_err(Problem::write(op))?;
                self.ledger.take(&path);
                continue;
            }
            left.push((path.clone(), true));
            let names = self.names(&path)?;
            let dir = Dir { fd: self.resolve(&path, how).map_err(Problem::write(op))?, path };
            for name in names {
                let Some(stat) = self.stat(&dir, &name)? else { continue };
                if file_type(&stat) == FileType::Directory {
                    left.push((dir.join(&name), false));
                    continue;
                }
                self.forget(&dir.join(&name), &stat)?;
                rustix::fs::unlinkat(&dir.fd, name, AtFlags::empty()).map_err(Problem::write(op))?;
            }
        }
        Ok(())
    }

    /// The names in a directory with a canonical path.
    pub(super) fn names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
        let op = "list what is replaced";
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let fd = rustix::fs::openat2(self.root, path, flags, Mode::empty(), how);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(fd.map_err(Problem::write(op))?).map_err(Problem::write(op))? {
            let name = entry.map_err(Problem::write(op))?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        Ok(names)
    }
}
