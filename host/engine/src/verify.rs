//! Whether a container's copy on another driver is the container.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nacre_store::Container;
use nacre_union::{FileType, Node, Stack};

use crate::diff::placeholders;
use crate::{Engine, Error};

impl Engine {
    /// The whole tree of the copy is that of the container: types, modes, owners, times, attributes and links,
    /// and the bytes of every file that the container changed. The image's layers were verified by their digests.
    pub(crate) fn verify_copy(&self, container: &Container, copy: &Container) -> Result<(), Error> {
        let (old, _) = self.stack_of(container.id.as_str())?;
        let (new, _) = self.stack_of(copy.id.as_str())?;
        let (old, new): (&Stack, &Stack) = (&old, &new);
        let differs = |path: &Path| Error::Unsupported {
            what: format!(
                "{} cannot be moved: {} is another one in the copy",
                container.name,
                path.display()
            ),
        };
        let root = Path::new("/");
        if !dressed_alike(old, new, root)? {
            return Err(differs(root));
        }
        // The other way round: what a runtime made to mount something on may be missing in the copy.
        let made: Vec<&str> = placeholders().collect();
        let changes = nacre_union::compare(new, old, &made)?;
        let sockets = left_behind(old, changes.iter().map(|change| change.path.as_path()))?;
        for change in &changes {
            let lost_one = || sockets.iter().any(|socket| socket.starts_with(&change.path));
            let is_alike = match change.is_dir {
                true => lost_one() && dressed_alike(old, new, &change.path)?,
                false => sockets.contains(&change.path.as_path()),
            };
            if !is_alike && !rounded(old, new, &change.path)? {
                return Err(differs(&change.path));
            }
        }
        for change in self.changes(container)? {
            if !same_bytes(old, new, &change.path)? {
                return Err(differs(&change.path));
            }
        }
        Ok(())
    }
}

/// The sockets among some paths. Nobody hears one of a container that does not run, and a tar has no type for it: it
/// stays behind, and the directories above it are told as changed.
fn left_behind<'a>(stack: &Stack, paths: impl Iterator<Item = &'a Path>) -> Result<Vec<&'a Path>, Error> {
    let mut sockets = Vec::new();
    for path in paths {
        if stack.lookup(path)?.is_some_and(|node| node.metadata.kind == FileType::Socket) {
            sockets.push(path);
        }
    }
    Ok(sockets)
}

/// Whether all that differs is that the copy's time is of whole seconds: some file systems keep no parts of them
/// (zfs-fuse), and what is in them has no others before it is changed.
fn rounded(old: &Stack, new: &Stack, path: &Path) -> Result<bool, Error> {
    let (Some(was), Some(is)) = (old.lookup(path)?, new.lookup(path)?) else { return Ok(false) };
    let (old_data, new_data) = (&was.metadata, &is.metadata);
    if new_data.mtime != (old_data.mtime.0, 0) || !dressed_alike(old, new, path)? {
        return Ok(false);
    }
    match new_data.kind {
        FileType::Directory => Ok(true),
        FileType::Symlink => Ok(was.read_link()? == is.read_link()?),
        _ => {
            Ok((old_data.rdev, old_data.size) == (new_data.rdev, new_data.size)
                && same_bytes(old, new, path)?)
        }
    }
}

/// Whether both trees have the same mode, owner and extended attributes at a path.
fn dressed_alike(old: &Stack, new: &Stack, path: &Path) -> Result<bool, Error> {
    let (Some(old), Some(new)) = (old.lookup(path)?, new.lookup(path)?) else { return Ok(false) };
    let plain = |node: &Node| (node.metadata.kind, node.metadata.mode, node.metadata.uid, node.metadata.gid);
    Ok(plain(&old) == plain(&new) && old.xattrs()? == new.xattrs()?)
}

/// Whether two trees have the same bytes under a name, where both have a regular file.
fn same_bytes(old: &Stack, new: &Stack, path: &Path) -> Result<bool, Error> {
    let file = |stack: &Stack| -> Result<Option<File>, Error> {
        let node = stack.lookup(path)?.filter(|node| node.metadata.kind == FileType::RegularFile);
        Ok(node.map(|node| node.open()).transpose()?.map(File::from))
    };
    let (Some(mut one), Some(mut other)) = (file(old)?, file(new)?) else { return Ok(true) };
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        for (file, buffer) in [(&mut one, &mut left), (&mut other, &mut right)] {
            buffer.clear();
            file.by_ref().take(256 << 10).read_to_end(buffer).map_err(|e| Error::io("read", path, e))?;
        }
        if left != right || left.is_empty() {
            return Ok(left == right);
        }
    }
}
