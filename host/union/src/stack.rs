use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use nacre_sys::Dir;
use rustix::fs::FileType;

use crate::error::{Error, Result};
use crate::layer::{Here, Layer, Whiteouts};
use crate::node::{Metadata, Node};

/// A walk opens the directories that it left for their subdirectories anew, when so many are open already: depth
/// times layers would be more than a process may have.
pub(crate) const MAX_OPEN: usize = 256;

/// As many symbolic links as Linux follows on one path.
const MAX_LINKS: usize = 40;

/// Layers as one tree, newest first.
#[derive(Debug, Clone)]
pub struct Stack {
    pub(crate) layers: Vec<Layer>,
    pub(crate) writable: bool,
}

/// An entry of a merged directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedEntry {
    /// Its name.
    pub name: OsString,
    /// Its type; `Unknown` where the layer's file system does not tell.
    pub kind: FileType,
    /// The layer that answers for it.
    pub layer: usize,
}

/// A directory of the tree: what each layer that takes part has there, newest first.
#[derive(Debug, Clone)]
pub(crate) struct Merged {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    layer: usize,
    whiteouts: Whiteouts,
    dir: Arc<Dir>,
}

/// What a name in a merged directory is: with the directory, where it is one.
pub(crate) struct Child {
    pub(crate) node: Node,
    pub(crate) merged: Option<Merged>,
}

impl Stack {
    /// These layers, newest first.
    pub fn new(layers: impl IntoIterator<Item = Layer>) -> Self {
        Self { layers: layers.into_iter().collect(), writable: false }
    }

    /// A whole tree, as one layer without whiteouts.
    pub fn whole(root: Dir) -> Self {
        Self::new([Layer::new(root, Whiteouts::None)])
    }

    /// These layers, the first of which takes what is written.
    pub fn writable(upper: Layer, lowers: impl IntoIterator<Item = Layer>) -> Self {
        Self { layers: std::iter::once(upper).chain(lowers).collect(), writable: true }
    }

    /// Its layers, newest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What is at a path; none where nothing is. A symbolic link is found itself, and is no directory on
    /// the way ([`Error::NotADirectory`]). `..` goes back one name.
    pub fn lookup(&self, path: impl AsRef<Path>) -> Result<Option<Node>> {
        let names = names(path.as_ref());
        Ok(self.find(&names)?.map(|child| child.node))
    }

    /// What is at a path when every symbolic link, also the last, is followed inside the tree as a process
    /// whose root it is would. With the path, free of links, at which it was found.
    pub fn lookup_following(&self, path: impl AsRef<Path>) -> Result<Option<(PathBuf, Node)>> {
        let asked = path.as_ref();
        let mut left: Vec<OsString> = parts(asked).rev().collect();
        let mut links = 0;
        let Some(mut at) = self.root()? else { return Ok(None) };
        let mut trail: Vec<(OsString, Child)> = Vec::new();
        while let Some(name) = left.pop() {
            if name == ".." {
                trail.pop();
                continue;
            }
            let here = trail.last().map_or(&at, |(_, child)| child);
            let Some(merged) = &here.merged else {
                return Err(Error::NotADirectory { path: trail.iter().map(|(name, _)| name).collect() });
            };
            let Some(child) = merged.child(&name)? else { return Ok(None) };
            if child.node.metadata.kind == FileType::Symlink {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::TooManyLinks { path: asked.to_owned() });
                }
                let said = child.node.read_link()?;
                if said.is_absolute() {
                    trail.clear();
                }
                left.extend(parts(&said).rev());
            } else {
                trail.push((name, child));
            }
        }
        let found = trail.iter().map(|(name, _)| name).collect();
        if let Some((_, child)) = trail.pop() {
            at = child;
        }
        Ok(Some((found, at.node)))
    }

    /// The entries of a directory of the tree, sorted by name.
    pub fn read_dir(&self, path: impl AsRef<Path>) -> Result<Vec<MergedEntry>> {
        let path = path.as_ref();
        match self.find(&names(path))? {
            Some(Child { merged: Some(merged), .. }) => merged.entries(),
            Some(_) => Err(Error::NotADirectory { path: path.to_owned() }),
            None => Err(Error::NotFound { path: path.to_owned() }),
        }
    }

    /// The root of the tree; none in a stack without layers. As in overlayfs, every layer takes part.
    pub(crate) fn root(&self) -> Result<Option<Child>> {
        let mut parts = Vec::new();
        for (layer, Layer { root, whiteouts }) in self.layers.iter().enumerate() {
            parts.push(Part { layer, whiteouts: *whiteouts, dir: root.clone() });
            if *whiteouts == Whiteouts::Aufs && whiteouts.is_opaque(root)? {
                break;
            }
        }
        let Some(top) = parts.first() else { return Ok(None) };
        let metadata = Metadata::of(&top.dir.stat("")?);
        let node = Node { layer: 0, metadata, parent: top.dir.clone(), name: OsString::new() };
        Ok(Some(Child { node, merged: Some(Merged { parts }) }))
    }

    pub(crate) fn find(&self, names: &[OsString]) -> Result<Option<Child>> {
        let Some(mut at) = self.root()? else { return Ok(None) };
        for (depth, name) in names.iter().enumerate() {
            let Some(merged) = &at.merged else {
                return Err(Error::NotADirectory { path: names.iter().take(depth).collect() });
            };
            match merged.child(name)? {
                Some(child) => at = child,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }
}

impl Stack {
    /// A directory of the tree by a path that was found before; none where it is none by now.
    pub(crate) fn merged(&self, path: &Path) -> Result<Option<Merged>> {
        match self.find(&names(path)) {
            Ok(found) => Ok(found.and_then(|child| child.merged)),
            Err(Error::NotADirectory { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

impl Merged {
    /// As many directories as this has open.
    pub(crate) fn width(&self) -> usize {
        self.parts.len()
    }

    /// What a name is. The newest layer that has it answers; directories are merged down to a whiteout,
    /// something that is no directory, or an opaque directory.
    pub(crate) fn child(&self, name: &OsStr) -> Result<Option<Child>> {
        self.child_from(0, name)
    }

    /// The same, where it is known that no layer above `layer` has the name.
    pub(crate) fn child_from(&self, layer: usize, name: &OsStr) -> Result<Option<Child>> {
        let mut found: Option<(Node, Vec<Part>)> = None;
        for part in self.parts.iter().filter(|part| part.layer >= layer) {
            let metadata = match part.whiteouts.find(&part.dir, name)? {
                Here::Absent => continue,
                Here::Whiteout => break,
                Here::Entry(metadata) => metadata,
            };
            let node =
                || Node { layer: part.layer, metadata, parent: part.dir.clone(), name: name.to_owned() };
            if !metadata.is_dir() {
                if found.is_none() {
                    return Ok(Some(Child { node: node(), merged: None }));
                }
                break;
            }
            let Some(dir) = part.whiteouts.enter(&part.dir, name)? else { continue };
            let opaque = part.whiteouts.hides(&part.dir, name, &dir)?;
            let (_, parts) = found.get_or_insert_with(|| (node(), Vec::new()));
            parts.push(Part { layer: part.layer, whiteouts: part.whiteouts, dir: Arc::new(dir) });
            if opaque {
                break;
            }
        }
        Ok(found.map(|(node, parts)| Child { node, merged: Some(Merged { parts }) }))
    }

    /// Its entries, sorted by name.
    pub(crate) fn entries(&self) -> Result<Vec<MergedEntry>> {
        let mut merged = Vec::new();
        let mut decided: HashSet<OsString> = HashSet::new();
        let last = self.parts.len().saturating_sub(1);
        for (n, Part { layer, whiteouts, dir }) in self.parts.iter().enumerate() {
            let listing = whiteouts.list(dir)?;
            for (name, kind, _) in listing.entries {
                // Names are only remembered where there is a layer left to hide them in.
                let new = if n == last { !decided.contains(&name) } else { decided.insert(name.clone()) };
                if new {
                    merged.push(MergedEntry { name, kind, layer: *layer });
                }
            }
            decided.extend(listing.whiteouts);
        }
        merged.sort_unstable_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(merged)
    }
}

/// The names on a path, `..` among them.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    })
}

/// The names on a path; each `..` takes one back.
pub(crate) fn names(path: &Path) -> Vec<OsString> {
    let mut names = Vec::new();
    for name in parts(path) {
        if name == ".." {
            names.pop();
        } else {
            names.push(name);
        }
    }
    names
}
