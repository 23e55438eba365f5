use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nacre_sys::Dir;

use crate::change::{Change, ChangeKind, Difference, Inside, Report};
use crate::error::Result;
use crate::layer::{Here, Layer, Whiteouts};
use crate::node::Node;
use crate::stack::{Child, MAX_OPEN, Merged, Stack};

/// What a writable layer changes in the tree below it, sorted by path, as `docker diff` prints it.
///
/// Whatever the layer has and the tree does not is added; what both have is modified, but a directory only if
/// it is different itself (mode, owner, time, attributes) or something in it is. Of a deleted tree the top
/// alone is listed. A directory that hides what the tree has there lists what is gone with it.
///
/// `placeholders` are paths that a runtime makes, empty, to mount something on (`/etc/hosts`, `/dev`). Where
/// they are empty and not in the tree they are left out, and so is a directory whose only change they are.
#[tracing::instrument(level = "debug", skip_all)]
pub fn changes(upper: &Layer, below: &Stack, placeholders: &[impl AsRef<Path>]) -> Result<Vec<Change>> {
    let mut search = Search { whiteouts: upper.whiteouts, report: Report::new(placeholders) };
    let root = below.root()?.and_then(|root| root.merged).map(Arc::new);
    let hides = upper.whiteouts == Whiteouts::Aufs && upper.whiteouts.is_opaque(&upper.root)?;
    let open = Open { dir: upper.root.clone(), below: root };
    let mut stack = vec![search.level(PathBuf::new(), open, Difference::None, hides)?];
    while let Some(level) = stack.last_mut() {
        if let Some(name) = level.left.next() {
            if level.open.is_none() {
                level.open = reopen(upper, below, level)?;
            }
            // It may have gone meanwhile.
            let Some(open) = level.open.clone() else { continue };
            let Some(next) = search.entry(level, &open, &name)? else { continue };
            drop(open);
            if stack.iter().map(Level::width).sum::<usize>() > MAX_OPEN
                && let Some(left) = stack.last_mut()
            {
                left.open = None;
            }
            stack.push(next);
        } else if let Some(done) = stack.pop()
            && let Some(parent) = stack.last_mut()
        {
            search.report.leave(&done.path, done.how, done.inside, &mut parent.inside);
        }
    }
    Ok(search.report.finish())
}

struct Search {
    whiteouts: Whiteouts,
    report: Report,
}

/// A directory of the writable layer.
struct Level {
    path: PathBuf,
    /// None where it is to be opened anew.
    open: Option<Open>,
    /// Whether the tree has a directory there.
    in_tree: bool,
    how: Difference,
    /// It, or a directory above it, hides what the tree has.
    hides: bool,
    inside: Inside,
    left: std::vec::IntoIter<OsString>,
}

/// What is open of a level.
#[derive(Clone)]
struct Open {
    dir: Arc<Dir>,
    /// What the tree has there, be it hidden or not.
    below: Option<Arc<Merged>>,
}

impl Level {
    fn width(&self) -> usize {
        let below = |open: &Open| open.below.as_ref().map_or(0, |below| below.width());
        self.open.as_ref().map_or(0, |open| 1 + below(open))
    }
}

/// What a level was opened as, once more; none where its directory has gone.
fn reopen(upper: &Layer, below: &Stack, level: &Level) -> Result<Option<Open>> {
    let mut dir = upper.root.clone();
    for name in level.path.iter() {
        let Some(sub) = upper.whiteouts.enter(&dir, name)? else { return Ok(None) };
        dir = Arc::new(sub);
    }
    let below = if level.in_tree { below.merged(&level.path)? } else { None };
    Ok(Some(Open { dir, below: below.map(Arc::new) }))
}

impl Search {
    fn level(&mut self, path: PathBuf, open: Open, how: Difference, hides: bool) -> Result<Level> {
        let listing = self.whiteouts.list(&open.dir)?;
        let left: Vec<_> = listing.entries.into_iter().map(|(name, ..)| name).collect();
        let (in_tree, below) = (open.below.is_some(), open.below.clone());
        let left = left.into_iter();
        let mut level =
            Level { path, open: Some(open), in_tree, how, hides, inside: Inside::default(), left };
        if let Some(below) = below {
            let had = if hides {
                below.entries()?.into_iter().map(|entry| entry.name).collect()
            } else {
                Vec::from_iter(listing.whiteouts)
            };
            let here: std::collections::HashSet<_> = level.left.as_slice().iter().collect();
            for name in had.iter().filter(|name| !here.contains(name)) {
                if let Some(gone) = below.child(name)? {
                    let is_dir = gone.node.metadata.is_dir();
                    self.report.note(&level.path.join(name), ChangeKind::Deleted, is_dir, &mut level.inside);
                }
            }
        }
        Ok(level)
    }

    /// Look at one entry; a directory is returned for its entries to be looked at.
    fn entry(&mut self, level: &mut Level, open: &Open, name: &OsStr) -> Result<Option<Level>> {
        let Here::Entry(metadata) = self.whiteouts.find(&open.dir, name)? else { return Ok(None) };
        let node = Node { layer: 0, metadata, parent: open.dir.clone(), name: name.to_owned() };
        let path = level.path.join(name);
        let was = open.below.as_ref().map(|below| below.child(name)).transpose()?.flatten();
        if !metadata.is_dir() {
            match was {
                Some(_) => self.report.note(&path, ChangeKind::Modified, false, &mut level.inside),
                None => self.report.note_new_file(&path, &node, &mut level.inside),
            }
            return Ok(None);
        }
        let Some(dir) = self.whiteouts.enter(&open.dir, name)? else { return Ok(None) };
        let hides = level.hides || self.whiteouts.hides(&open.dir, name, &dir)?;
        let how = difference(was.as_ref(), &node)?;
        let below = was.and_then(|was| was.merged).map(Arc::new);
        self.level(path, Open { dir: Arc::new(dir), below }, how, hides).map(Some)
    }
}

fn difference(was: Option<&Child>, is: &Node) -> Result<Difference> {
    match was {
        None => Ok(Difference::Added),
        Some(Child { merged: None, .. }) => Ok(Difference::Other),
        Some(was) => Difference::of(&was.node, is),
    }
}
