use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;
use crate::layer::{Here, Layer, Whiteouts};
use crate::node::Metadata;
use crate::stack::{Stack, names};

/// How a path was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// The path, from the root of the tree.
    pub path: PathBuf,
    /// The layers that were looked at, newest first. Those behind the last step were not: what they have
    /// is hidden, or they are none.
    pub steps: Vec<Step>,
    /// The layer that answers; none where nothing is at the path.
    pub answer: Option<usize>,
    /// What answers.
    pub metadata: Option<Metadata>,
    /// What a first write to it costs; none where there is nothing, or the stack takes no writes.
    pub first_write: Option<FirstWrite>,
}

/// One layer that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its place in the stack.
    pub layer: usize,
    /// What it has.
    pub found: Found,
    /// The directory on the path, or at it, by which this layer hides what the layers below have
    /// there: it is opaque.
    pub opaque: Option<PathBuf>,
}

/// What one layer has at a path. Each `at` is the path itself or a directory on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the first name that it lacks.
    Absent {
        /// Where.
        at: PathBuf,
    },
    /// It is deleted here, so that the layers below are not looked at.
    Whiteout {
        /// Where.
        at: PathBuf,
    },
    /// Something that is no directory is in the way: nothing can be below it.
    NotADirectory {
        /// Where.
        at: PathBuf,
    },
    /// Something that is no directory, under a directory of a newer layer: it is hidden, and with it
    /// what lies below.
    UnderDirectory {
        /// Where.
        at: PathBuf,
    },
    /// A file, or anything else that is no directory: the answer.
    File(Metadata),
    /// A directory: the answer if it is the first, else merged into it.
    Directory(Metadata),
}

/// What a first write to something costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstWrite {
    /// Nothing: it is in the writable layer already.
    InUpper,
    /// It is copied up first.
    CopyUp {
        /// Its length in bytes: what is copied where data cannot be shared. 0 for what has no data.
        bytes: u64,
        /// What of it is no hole.
        allocated: u64,
        /// It is on the file system of the writable layer, so that data can be shared if that can.
        same_filesystem: bool,
        /// Directories on the way that are made in the writable layer.
        parents: usize,
    },
}

/// What a layer told, and whether the search ends with it.
struct Told {
    step: Step,
    ends: bool,
    /// Names on the path that are directories in this layer.
    depth: usize,
}

impl Stack {
    /// Search for a path as [`Stack::lookup`] does, and tell how.
    pub fn trail(&self, path: impl AsRef<Path>) -> Result<Trail> {
        let names = names(path.as_ref());
        let mut directories = vec![false; names.len()];
        let mut trail = Trail {
            path: names.iter().collect(),
            steps: Vec::new(),
            answer: None,
            metadata: None,
            first_write: None,
        };
        let mut upper_depth = 0;
        for (layer, at) in self.layers.iter().enumerate() {
            let told = ask(layer, at, &names, &mut directories)?;
            if layer == 0 {
                upper_depth = told.depth;
            }
            if let Found::File(metadata) | Found::Directory(metadata) = told.step.found
                && trail.answer.is_none()
            {
                (trail.answer, trail.metadata) = (Some(layer), Some(metadata));
            }
            trail.steps.push(told.step);
            if told.ends {
                break;
            }
        }
        trail.first_write = self.first_write(&trail, names.len(), upper_depth)?;
        Ok(trail)
    }

    fn first_write(&self, trail: &Trail, names: usize, upper_depth: usize) -> Result<Option<FirstWrite>> {
        let (Some(layer), Some(metadata), Some(upper)) = (trail.answer, trail.metadata, self.layers.first())
        else {
            return Ok(None);
        };
        if !self.writable {
            return Ok(None);
        }
        if layer == 0 {
            return Ok(Some(FirstWrite::InUpper));
        }
        let data = metadata.kind == rustix::fs::FileType::RegularFile;
        Ok(Some(FirstWrite::CopyUp {
            bytes: if data { metadata.size } else { 0 },
            allocated: if data { metadata.allocated } else { 0 },
            same_filesystem: upper.root.stat("")?.st_dev == metadata.inode.0,
            parents: names.saturating_sub(1).saturating_sub(upper_depth),
        }))
    }
}

/// Go down the path in one layer. `directories` are the names that are directories in newer layers.
fn ask(layer: usize, at: &Layer, names: &[OsString], directories: &mut [bool]) -> Result<Told> {
    let Layer { root, whiteouts } = at;
    let mut dir = Arc::clone(root);
    let aufs_root = *whiteouts == Whiteouts::Aufs && whiteouts.is_opaque(&dir)?;
    let mut opaque = aufs_root.then(PathBuf::new);
    let mut metadata = Metadata::of(&dir.stat("")?);
    let mut path = PathBuf::new();
    for (depth, (name, newer)) in names.iter().zip(directories).enumerate() {
        path.push(name);
        let told = |found, opaque: Option<PathBuf>, ends: bool| Told {
            ends: ends || opaque.is_some(),
            step: Step { layer, found, opaque },
            depth,
        };
        metadata = match whiteouts.find(&dir, name)? {
            Here::Absent => return Ok(told(Found::Absent { at: path }, opaque, false)),
            Here::Whiteout => return Ok(told(Found::Whiteout { at: path }, opaque, true)),
            Here::Entry(metadata) => metadata,
        };
        if !metadata.is_dir() {
            let found = match (*newer, depth + 1 == names.len()) {
                (true, _) => Found::UnderDirectory { at: path },
                (false, true) => Found::File(metadata),
                (false, false) => Found::NotADirectory { at: path },
            };
            return Ok(told(found, opaque, true));
        }
        let Some(entered) = whiteouts.enter(&dir, name)? else {
            return Ok(told(Found::Absent { at: path }, opaque, false));
        };
        if opaque.is_none() && whiteouts.hides(&dir, name, &entered)? {
            opaque = Some(path.clone());
        }
        *newer = true;
        dir = Arc::new(entered);
    }
    let ends = opaque.is_some();
    Ok(Told { step: Step { layer, found: Found::Directory(metadata), opaque }, ends, depth: names.len() })
}
