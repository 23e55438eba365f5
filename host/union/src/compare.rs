use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::change::{Change, ChangeKind, Difference, Inside, Report};
use crate::error::{Context, Result};
use crate::node::{Metadata, Node};
use crate::stack::{Child, MAX_OPEN, Merged, Stack};

/// The differences between two trees, sorted by path, in the manner of [`crate::changes`].
///
/// Files differ when their type, mode, owner, size, time of modification, device number, link target or
/// extended attributes do. Where size and time are equal but the time is one of whole seconds, as a program
/// or an archive sets it, their content is compared. A file is the other one, and not looked at further, where both have
/// one inode number and one time of change (ctime, to less than a second): a snapshot keeps these, and nothing but the
/// kernel's clock sets the latter.
pub fn compare(old: &Stack, new: &Stack, placeholders: &[impl AsRef<Path>]) -> Result<Vec<Change>> {
    let mut report = Report::new(placeholders);
    let merged = |stack: &Stack| Ok::<_, crate::Error>(stack.root()?.and_then(|root| root.merged));
    let mut stack = vec![level(PathBuf::new(), merged(old)?, merged(new)?, Difference::None)?];
    while let Some(level) = stack.last_mut() {
        if let Some((name, sides)) = level.left.next() {
            if level.closed {
                (level.old, level.new) = (reopen(old, level.in_old, &level.path)?, new.merged(&level.path)?);
                level.closed = false;
            }
            let Some(next) = entry(&mut report, level, name, sides)? else { continue };
            if stack.iter().map(Level::width).sum::<usize>() > MAX_OPEN
                && let Some(left) = stack.last_mut()
            {
                (left.old, left.new, left.closed) = (None, None, true);
            }
            stack.push(next);
        } else if let Some(done) = stack.pop()
            && let Some(parent) = stack.last_mut()
        {
            report.leave(&done.path, done.how, done.inside, &mut parent.inside);
        }
    }
    Ok(report.finish())
}

/// The layers from which a name is, in the old tree and in the new one.
type Sides = (Option<usize>, Option<usize>);

/// A directory of the new tree.
struct Level {
    path: PathBuf,
    old: Option<Merged>,
    new: Option<Merged>,
    /// Whether the old tree has it.
    in_old: bool,
    /// Its directories are to be opened anew.
    closed: bool,
    how: Difference,
    inside: Inside,
    left: std::collections::btree_map::IntoIter<OsString, Sides>,
}

impl Level {
    fn width(&self) -> usize {
        [&self.old, &self.new].into_iter().flatten().map(Merged::width).sum()
    }
}

fn reopen(old: &Stack, in_old: bool, path: &Path) -> Result<Option<Merged>> {
    if in_old { old.merged(path) } else { Ok(None) }
}

fn level(path: PathBuf, old: Option<Merged>, new: Option<Merged>, how: Difference) -> Result<Level> {
    let mut names: BTreeMap<OsString, Sides> = BTreeMap::new();
    for entry in old.as_ref().map(Merged::entries).transpose()?.unwrap_or_default() {
        names.entry(entry.name).or_default().0 = Some(entry.layer);
    }
    for entry in new.as_ref().map(Merged::entries).transpose()?.unwrap_or_default() {
        names.entry(entry.name).or_default().1 = Some(entry.layer);
    }
    let (in_old, left) = (old.is_some(), names.into_iter());
    Ok(Level { path, old, new, in_old, closed: false, how, inside: Inside::default(), left })
}

/// Compare one entry; a directory is returned for its entries to be compared.
fn entry(report: &mut Report, level: &mut Level, name: OsString, sides: Sides) -> Result<Option<Level>> {
    let path = level.path.join(&name);
    let child = |tree: &Option<Merged>, layer: Option<usize>| match (tree, layer) {
        (Some(tree), Some(layer)) => tree.child_from(layer, &name),
        _ => Ok(None),
    };
    let inside = &mut level.inside;
    let (how, was, is) = match (child(&level.old, sides.0)?, child(&level.new, sides.1)?) {
        (None, None) => return Ok(None),
        (Some(was), None) => {
            report.note(&path, ChangeKind::Deleted, was.node.metadata.is_dir(), inside);
            return Ok(None);
        }
        (None, Some(is)) => (Difference::Added, None, is),
        (Some(was), Some(is)) => (difference(&was, &is)?, Some(was), is),
    };
    match (is.merged, how) {
        (Some(new), how) => level_below(path, was, new, how).map(Some),
        (None, Difference::Added) => {
            report.note_new_file(&path, &is.node, inside);
            Ok(None)
        }
        (None, Difference::None) => Ok(None),
        (None, _) => {
            report.note(&path, ChangeKind::Modified, false, inside);
            Ok(None)
        }
    }
}

fn level_below(path: PathBuf, was: Option<Child>, new: Merged, how: Difference) -> Result<Level> {
    level(path, was.and_then(|was| was.merged), Some(new), how)
}

fn difference(was: &Child, is: &Child) -> Result<Difference> {
    match (&was.merged, &is.merged) {
        (Some(_), Some(_)) => Difference::of(&was.node, &is.node),
        (None, None) if !files_differ(&was.node, &is.node)? => Ok(Difference::None),
        _ => Ok(Difference::Other),
    }
}

fn files_differ(old: &Node, new: &Node) -> Result<bool> {
    let (was, is) = (&old.metadata, &new.metadata);
    let unchanged_in_snapshot = was.inode.1 == is.inode.1 && was.ctime == is.ctime && was.ctime.1 != 0;
    if was.inode == is.inode || unchanged_in_snapshot {
        return Ok(false);
    }
    let plain = |m: &Metadata| (m.kind, m.mode, m.uid, m.gid, m.rdev, m.size, m.mtime);
    if plain(was) != plain(is) || old.xattrs()? != new.xattrs()? {
        return Ok(true);
    }
    match was.kind {
        FileType::Symlink => Ok(old.read_link()? != new.read_link()?),
        FileType::RegularFile if was.mtime.1 == 0 => contents_differ(old, new),
        _ => Ok(false),
    }
}

fn contents_differ(old: &Node, new: &Node) -> Result<bool> {
    let (mut a, mut b) = (std::fs::File::from(old.open()?), std::fs::File::from(new.open()?));
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        for (file, buffer, node) in [(&mut a, &mut left, old), (&mut b, &mut right, new)] {
            buffer.clear();
            file.by_ref().take(128 * 1024).read_to_end(buffer).on("read", node.parent.path(), &node.name)?;
        }
        if left != right || left.is_empty() {
            return Ok(left != right);
        }
    }
}
