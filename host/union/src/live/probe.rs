use std::ffi::OsStr;
use std::sync::Arc;

use nacre_sys::Dir;
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::inode::{Inode, Part, Parts};
use super::place::Place;
use super::sought::Sought;
use super::{Counters, Result, Tree, errno};
use crate::layer::{Whiteouts, has_whiteout_file};

/// What one layer has under a name.
pub(crate) enum Here {
    Absent,
    Whiteout,
    Entry(Stat),
}

/// What a name in a directory of the tree is.
pub(crate) struct Found {
    /// Of the topmost layer that has it.
    pub(crate) stat: Stat,
    pub(crate) upper: Option<Place>,
    pub(crate) lower: Option<Place>,
    /// Of a directory.
    pub(crate) parts: Option<Parts>,
}

pub(crate) fn find(whiteouts: Whiteouts, dir: &Dir, name: &OsStr) -> Result<Here> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if whiteouts == Whiteouts::Overlay && is_whiteout(&stat) => Ok(Here::Whiteout),
        Ok(stat) => Ok(Here::Entry(stat)),
        Err(Errno::NOENT) if whiteouts == Whiteouts::Aufs => {
            let gone = has_whiteout_file(dir, name).map_err(|e| errno(&e))?;
            Ok(if gone { Here::Whiteout } else { Here::Absent })
        }
        Err(Errno::NOENT) => Ok(Here::Absent),
        Err(e) => Err(e),
    }
}

fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

impl Tree {
    /// Search for a name in a directory: the writable layer first, then the others.
    pub(crate) fn probe(&self, inode: &Inode, name: &OsStr) -> Result<Option<Found>> {
        let Parts { upper, lowers } = inode.parts().ok_or(Errno::NOTDIR)?;
        if self.reserved(name) {
            return Ok(None);
        }
        if let (Some(dir), Some(top)) = (&upper, &self.upper) {
            match find(top.whiteouts, dir, name)? {
                Here::Whiteout => return Ok(None),
                Here::Absent => {}
                Here::Entry(stat) => return self.in_upper(inode, top.whiteouts, dir, &lowers, name, stat),
            }
        }
        lower(self, inode, &lowers, name)
    }

    fn in_upper(
        &self,
        inode: &Inode,
        whiteouts: Whiteouts,
        dir: &Arc<Dir>,
        lowers: &Arc<[Part]>,
        name: &OsStr,
        stat: Stat,
    ) -> Result<Option<Found>> {
        if kind(&stat) != FileType::Directory {
            let upper = Place::At(dir.clone(), name.to_owned());
            let stat = match self.ranges_of(&stat) {
                Some(ranges) => ranges.adjusted(|| upper.stat())?,
                None => stat,
            };
            let upper = Some(upper);
            return Ok(Some(Found { stat, upper, lower: None, parts: None }));
        }
        let Some(entered) = whiteouts.enter(dir, name).map_err(|e| errno(&e))? else { return Ok(None) };
        let entered = Arc::new(entered);
        let opaque = lowers.is_empty() || whiteouts.hides(dir, name, &entered).map_err(|e| errno(&e))?;
        let below = if opaque { None } else { lower(self, inode, lowers, name)? };
        // What lies below is merged only where it is a directory too.
        let below = below.and_then(|found| Some((found.lower?, found.parts?.lowers)));
        let (lower, lowers) = below.unzip();
        let parts = Parts { upper: Some(entered.clone()), lowers: lowers.unwrap_or_default() };
        let upper = Some(Place::At(entered, "".into()));
        Ok(Some(Found { stat, upper, lower, parts: Some(parts) }))
    }
}

/// Search the read-only layers that take part in a directory, the newest first.
pub(crate) fn lower(tree: &Tree, inode: &Inode, parts: &[Part], name: &OsStr) -> Result<Option<Found>> {
    let counters = &tree.counters;
    let (mut start, mut known) = (0, None);
    let names = tree.known_names(inode, parts)?;
    Counters::one(if names.is_some() { &counters.hits } else { &counters.misses });
    if let Some(names) = &names {
        match names.part(name) {
            Some(part) => (start, known) = (part, Some(part)),
            None => return Ok(None),
        }
    }
    let mut sought = Sought::of(tree, parts, name);
    let mut found: Option<(Stat, Vec<Part>)> = None;
    let mut wasted = 0;
    for (n, part) in parts.iter().enumerate().skip(start) {
        let wanted = known == Some(n) || sought.wants(part.layer);
        if !wanted && sought.is_trusted() {
            continue;
        }
        if names.is_none() {
            Counters::one(&counters.probes);
        }
        let here = find(part.whiteouts, &part.dir, name)?;
        if !wanted && !matches!(here, Here::Absent) {
            sought.refute(part.layer);
        }
        let stat = match here {
            Here::Absent => {
                wasted += 1;
                continue;
            }
            Here::Whiteout => break,
            Here::Entry(stat) => stat,
        };
        if kind(&stat) != FileType::Directory {
            if found.is_none() {
                tree.note_waste(inode, wasted);
                let lower = Some(Place::At(part.dir.clone(), name.to_owned()));
                return Ok(Some(Found { stat, upper: None, lower, parts: None }));
            }
            break;
        }
        let Some(dir) = part.whiteouts.enter(&part.dir, name).map_err(|e| errno(&e))? else { continue };
        let opaque =
            n + 1 < parts.len() && part.whiteouts.hides(&part.dir, name, &dir).map_err(|e| errno(&e))?;
        let (_, below) = found.get_or_insert_with(|| (stat, Vec::new()));
        below.push(Part { layer: part.layer, whiteouts: part.whiteouts, dir: Arc::new(dir) });
        if opaque {
            break;
        }
    }
    tree.note_waste(inode, wasted);
    let Some((stat, lowers)) = found else { return Ok(None) };
    let lower = lowers.first().map(|part| Place::At(part.dir.clone(), "".into()));
    let parts = Parts { upper: None, lowers: lowers.into() };
    Ok(Some(Found { stat, upper: None, lower, parts: Some(parts) }))
}

impl Tree {
    /// The names of the lower layers in a directory, where they are known or it pays to read them now: once
    /// the probes that found nothing cost more than reading each layer's directory does.
    fn known_names(&self, inode: &Inode, parts: &[Part]) -> Result<Option<Arc<super::listing::LowerNames>>> {
        {
            let state = inode.state.lock();
            let Some(dir) = &state.dir else { return Ok(None) };
            if dir.names.is_some() {
                self.cache.touch(inode.ino);
                return Ok(dir.names.clone());
            }
            if parts.len() < 2 || (dir.wasted as usize) < PATIENCE * parts.len() {
                return Ok(None);
            }
        }
        self.lower_names(inode, parts).map(Some)
    }

    fn note_waste(&self, inode: &Inode, wasted: u32) {
        if wasted > 0
            && let Some(dir) = &mut inode.state.lock().dir
        {
            dir.wasted = dir.wasted.saturating_add(wasted);
        }
    }
}

/// Reading a small directory costs about as much as so many probes.
const PATIENCE: usize = 4;
