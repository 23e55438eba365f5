use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::PathBuf;

use nacre_sys::Dir;
use rustix::fs::FileType;

use crate::error::Result;
use crate::layer::Layer;

/// What a layer has under a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentKind {
    /// Anything but a directory.
    File,
    /// A directory.
    Directory,
    /// A directory that hides what the layers below have.
    OpaqueDirectory,
    /// A deleted name.
    Whiteout,
}

/// All that one layer has, its root apart: each directory before what is in it. Both an entry and a whiteout of one path
/// are told where there are both, as aufs has it.
#[derive(Debug)]
pub struct Contents<'a> {
    layer: &'a Layer,
    /// Directories to be read.
    pending: Vec<PathBuf>,
    /// Of the directory that was read last.
    found: VecDeque<(PathBuf, ContentKind)>,
}

impl Layer {
    /// Go through all that this layer has.
    pub fn contents(&self) -> Contents<'_> {
        Contents { layer: self, pending: vec![PathBuf::new()], found: VecDeque::new() }
    }
}

impl Contents<'_> {
    fn read(&mut self, path: PathBuf) -> Result<()> {
        let root = &self.layer.root;
        let dir = if path.as_os_str().is_empty() { root.try_clone()? } else { root.sub(&path)? };
        let listing = self.layer.whiteouts.list(&dir)?;
        for (name, kind, _) in listing.entries {
            let (at, kind) = (path.join(&name), self.kind(&dir, &name, kind)?);
            if matches!(kind, ContentKind::Directory | ContentKind::OpaqueDirectory) {
                self.pending.push(at.clone());
            }
            self.found.push_back((at, kind));
        }
        let whiteouts = listing.whiteouts.iter();
        self.found.extend(whiteouts.map(|name| (path.join(name), ContentKind::Whiteout)));
        Ok(())
    }

    fn kind(&self, dir: &Dir, name: &OsStr, kind: FileType) -> Result<ContentKind> {
        let whiteouts = self.layer.whiteouts;
        let entered = match kind {
            FileType::Directory | FileType::Unknown => whiteouts.enter(dir, name)?,
            _ => None,
        };
        Ok(match entered {
            Some(entered) if whiteouts.hides(dir, name, &entered)? => ContentKind::OpaqueDirectory,
            Some(_) => ContentKind::Directory,
            None => ContentKind::File,
        })
    }
}

impl Iterator for Contents<'_> {
    type Item = Result<(PathBuf, ContentKind)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Some(Ok(found));
            }
            if let Err(error) = self.pending.pop().map(|path| self.read(path))? {
                return Some(Err(error));
            }
        }
    }
}
