use std::path::PathBuf;

use crate::error::Result;
use crate::node::Node;
use crate::stack::{Child, Merged, MergedEntry, Stack};

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
pub struct Walk<'a> {
    start: Option<&'a Stack>,
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
    pub fn walk(&self) -> Walk<'_> {
        Walk { start: Some(self), levels: Vec::new() }
    }
}

impl Walk<'_> {
    fn visit(&mut self, path: PathBuf, child: Child) -> Result<WalkEntry> {
        if let Some(merged) = child.merged {
            let left = merged.entries()?.into_iter();
            self.levels.push(Level { path: path.clone(), merged, left });
        }
        Ok(WalkEntry { path, node: child.node })
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<WalkEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(stack) = self.start.take() {
            return stack.root().transpose().map(|root| self.visit(PathBuf::new(), root?));
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
