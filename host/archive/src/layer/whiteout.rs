//! Whiteouts (OCI image-spec, layer.md, "Whiteouts"), in the form that a driver's layers have.
//!
//! They concern what lower layers left, never the layer's own entries, whichever comes first. So a name that
//! is both whited out and there stays, and is opaque if it is a directory.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::error::{Problem, Refusal};
use super::options::Whiteouts;
use super::tree::{Dir, Tree, file_type, join, split};

pub(super) const PREFIX: &[u8] = b".wh.";
pub(super) const OPAQUE: &[u8] = b".wh..wh..opq";
pub(super) const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// What the name of an entry means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// A file of the layer.
    File,
    /// What has this name in this directory is gone.
    Whiteout { directory: &'a [u8], name: &'a [u8] },
    /// What lower layers have in this directory is gone.
    Opaque { directory: &'a [u8] },
    /// aufs's own bookkeeping (`.wh..wh.plnk` and the like), or below it.
    Aufs,
}

/// Read a clean path.
pub(super) fn meaning(path: &[u8]) -> Result<Meaning<'_>, Refusal> {
    let (directory, last) = split(path);
    for part in directory.split(|byte| *byte == b'/') {
        if part.starts_with(b".wh..wh.") {
            return Ok(Meaning::Aufs);
        }
        if part.starts_with(PREFIX) {
            return Err(Refusal::Whiteout);
        }
    }
    match last.strip_prefix(PREFIX) {
        None => Ok(Meaning::File),
        Some(_) if last == OPAQUE => Ok(Meaning::Opaque { directory }),
        Some(name) if name.starts_with(PREFIX) && name.len() > PREFIX.len() => Ok(Meaning::Aufs),
        Some(b"" | b"." | b".." | b".wh.") => Err(Refusal::Whiteout),
        Some(name) => Ok(Meaning::Whiteout { directory, name }),
    }
}

impl Tree<'_> {
    /// Hide what lower layers have under this name.
    pub(super) fn white_out(&mut self, directory: &[u8], name: &[u8], mode: u32) -> Result<(), Problem> {
        if self.policy.whiteouts == Whiteouts::Delete {
            let Some(dir) = self.existing_directory(directory) else { return Ok(()) };
            return self.delete_lower(&dir.join(name));
        }
        let dir = self.directory(directory)?;
        let existing = self.stat(&dir, name)?;
        match existing {
            Some(stat) if file_type(&stat) == FileType::Directory => return self.set_opaque(&dir, name),
            Some(_) => return Ok(()),
            None => {}
        }
        if self.policy.whiteouts == Whiteouts::Aufs {
            let file = [PREFIX, name].concat();
            self.whited_out.insert(dir.join(name));
            return write_marker(&dir, &file, mode);
        }
        rustix::fs::mknodat(&dir.fd, name, FileType::CharacterDevice, Mode::empty(), 0)
            .map_err(Problem::write("make a whiteout"))
    }

    /// Hide all that lower layers have in this directory.
    pub(super) fn make_opaque(&mut self, directory: &[u8], mode: u32) -> Result<(), Problem> {
        match self.policy.whiteouts {
            Whiteouts::Delete => match self.existing_directory(directory) {
                Some(dir) => self.delete_lower_in(&dir.path),
                None => Ok(()),
            },
            Whiteouts::Aufs => write_marker(&*self.directory(directory)?, OPAQUE, mode),
            Whiteouts::Overlay | Whiteouts::Literal => {
                let dir = self.directory(directory)?;
                self.set_opaque(&dir, b".")
            }
        }
    }

    pub(super) fn set_opaque(&mut self, dir: &Dir, name: &[u8]) -> Result<(), Problem> {
        let op = "make a directory opaque";
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&dir.fd, name, flags, Mode::empty()).map_err(Problem::write(op))?;
        match self.policy.whiteouts {
            Whiteouts::Overlay => rustix::fs::fsetxattr(&fd, OPAQUE_XATTR, b"y", XattrFlags::empty())
                .map_err(Problem::write(op)),
            Whiteouts::Aufs => write_marker(&Dir { fd, path: join(&dir.path, name) }, OPAQUE, 0o644),
            Whiteouts::Delete | Whiteouts::Literal => Ok(()),
        }
    }

    /// A name was made in this layer. If the layer whites it out too, that is put right where only the
    /// whiteout's own file tells.
    pub(super) fn whited_out_reappears(
        &mut self,
        dir: &Dir,
        name: &[u8],
        is_dir: bool,
    ) -> Result<(), Problem> {
        if self.whited_out.is_empty() || !self.whited_out.remove(&dir.join(name)) {
            return Ok(());
        }
        let marker = [PREFIX, name].concat();
        rustix::fs::unlinkat(&dir.fd, marker, AtFlags::empty()).map_err(Problem::write("drop a whiteout"))?;
        if is_dir { self.set_opaque(dir, name) } else { Ok(()) }
    }

    /// Delete what this layer did not make, at a canonical path.
    fn delete_lower(&mut self, path: &[u8]) -> Result<(), Problem> {
        let mut left = vec![path.to_vec()];
        while let Some(path) = left.pop() {
            let (parent, name) = split(&path);
            let Some(dir) = self.existing_directory(parent) else { continue };
            let Some(stat) = self.stat(&dir, name)? else { continue };
            match (self.ledger.has(&path), file_type(&stat) == FileType::Directory) {
                (false, _) => self.remove(&dir, name)?,
                (true, true) => left.extend(self.names(&path)?.iter().map(|name| join(&path, name))),
                (true, false) => {}
            }
        }
        Ok(())
    }

    fn delete_lower_in(&mut self, path: &[u8]) -> Result<(), Problem> {
        for name in self.names(path)? {
            self.delete_lower(&join(path, &name))?;
        }
        Ok(())
    }
}

/// An empty file whose name is what it says.
fn write_marker(dir: &Dir, name: &[u8], mode: u32) -> Result<(), Problem> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(&dir.fd, name, flags, Mode::from_raw_mode(mode & 0o777)) {
        Ok(_) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(Problem::Write("make a whiteout", error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_whiteouts_are_read_as_the_specification_says() {
        let whiteout = |directory, name| Ok(Meaning::Whiteout { directory, name });
        let cases: &[(&[u8], Result<Meaning<'_>, Refusal>)] = &[
            (b"a/b", Ok(Meaning::File)),
            (b"a/.wh", Ok(Meaning::File)),
            (b"a/.wh.b", whiteout(b"a", b"b")),
            (b".wh.b", whiteout(b"", b"b")),
            (b".wh...b", whiteout(b"", b"..b")),
            (b"a/.wh..wh..opq", Ok(Meaning::Opaque { directory: b"a" })),
            (b".wh..wh.plnk/1.2", Ok(Meaning::Aufs)),
            (b".wh..wh.aufs", Ok(Meaning::Aufs)),
            (b"a/.wh.", Err(Refusal::Whiteout)),
            (b"a/.wh..", Err(Refusal::Whiteout)),
            (b"a/.wh...", Err(Refusal::Whiteout)),
            (b"a/.wh..wh.", Err(Refusal::Whiteout)),
            (b".wh.a/b", Err(Refusal::Whiteout)),
        ];
        for (path, expected) in cases {
            assert_eq!(meaning(path), *expected, "{}", path.escape_ascii());
        }
    }
}
