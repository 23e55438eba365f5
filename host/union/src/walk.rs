use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::node::Node;
use crate::stack::{Child, Merged, MergedEntry, Stack, names};

/// One entry of a walk.
#[derive(Debug, Clone)]
pub struct WalkEntry {
    /// Where, from the root of the tree, which itself is the empty path.
    pub path: PathBuf,
    /// What.
    pub node: Node,
}

/// A walk over a tree: every directory before its entries, these sorted by name. Directories are read as
/// the walk gets to them. After an error the walk goes on behind what could not be read.
#[derive(Debug)]
pub struct Walk {
    start: Option<(Stack, PathBuf)>,
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    path: PathBuf,
    merged: Merged,
    left: std::vec::IntoIter<MergedEntry>,
}

impl Stack {
    /// Go through the whole tree, its root first.
    pub fn walk(&self) -> Walk {
        self.walk_from("")
    }

    /// Go through what is at a path and below it; nothing where nothing is there. No symbolic link is followed.
    pub fn walk_from(&self, path: impl AsRef<Path>) -> Walk {
        Walk { start: Some((self.clone(), names(path.as_ref()).iter().collect())), levels: Vec::new() }
    }
}

impl Walk {
    fn visit(&mut self, path: PathBuf, child: Child) -> Result<WalkEntry> {
        if let Some(merged) = child.merged {
            let left = merged.entries()?.into_iter();
            self.levels.push(Level { path: path.clone(), merged, left });
        }
        Ok(WalkEntry { path, node: child.node })
    }
}

impl Iterator for Walk {
    type Item = Result<WalkEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((stack, path)) = self.start.take() {
            return stack.find(&names(&path)).transpose().map(|child| self.visit(path, child?));
        }
        loop {
            let level = self.levels.last_mut()?;
            let Some(entry) = level.left.next() else {
                self.levels.pop();
                continue;
            };
            match level.merged.child_from(entry.layer, &entry.name) {
                Ok(Some(child)) => {
                    let path = level.path.join(&entry.name);
                    return Some(self.visit(path, child));
                }
                // It vanished meanwhile.
                Ok(None) => {}
                Err(e) => return Some(Err(e)),
            }
        }
    }
}
