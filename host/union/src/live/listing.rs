use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use nacre_sys::Dir;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::inode::{Inode, Part};
use super::{Result, Tree, errno, probe};
use crate::layer::{Listing as LayerListing, WHITEOUT_PREFIX, Whiteouts};

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Upper,
    /// Which of the directory's lower parts.
    Lower(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Named {
    /// Where a reader of the directory goes on behind it. It depends on the name alone, so that it stays
    /// true when the directory changes or its list is made anew.
    pub(crate) cookie: u64,
    pub(crate) name: OsString,
    pub(crate) kind: FileType,
    /// The real inode's number.
    pub(crate) real: u64,
    pub(crate) source: Source,
}

/// The names that the read-only layers have in a directory, by cookie. They never change.
#[derive(Debug)]
pub(crate) struct LowerNames {
    pub(crate) entries: Vec<Named>,
}

/// The entries of a directory of the tree, by cookie.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) entries: Vec<Named>,
}

impl LowerNames {
    /// The lower part that a name is found in; none where no layer shows it.
    pub(crate) fn part(&self, name: &OsStr) -> Option<usize> {
        let cookie = cookie(name);
        let start = self.entries.partition_point(|entry| entry.cookie < cookie);
        self.entries
            .iter()
            .skip(start)
            .take_while(|entry| entry.cookie == cookie)
            .find(|entry| entry.name == name)
            .and_then(|entry| if let Source::Lower(n) = entry.source { Some(n) } else { None })
    }
}

impl Listing {
    /// The entries behind a cookie.
    pub(crate) fn after(&self, cookie: u64) -> &[Named] {
        let start = self.entries.partition_point(|entry| entry.cookie <= cookie);
        self.entries.get(start..).unwrap_or_default()
    }
}

/// 62 bits of a name. 0 to 2 are for the start, `.` and `..`.
fn cookie(name: &OsStr) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.as_bytes().hash(&mut hasher);
    (hasher.finish() >> 2).max(3)
}

/// Bytes of memory.
fn size(entries: &[Named]) -> usize {
    entries.iter().map(|entry| size_of::<Named>() + entry.name.len()).sum()
}

fn list(whiteouts: Whiteouts, dir: &Dir) -> Result<LayerListing> {
    whiteouts.list(dir).map_err(|e| errno(&e))
}

impl Tree {
    /// The names of the lower layers in a directory; they are read once.
    pub(crate) fn lower_names(&self, inode: &Inode, parts: &[Part]) -> Result<Arc<LowerNames>> {
        if let Some(dir) = &inode.state.lock().dir
            && let Some(names) = &dir.names
        {
            return Ok(names.clone());
        }
        let mut entries = Vec::new();
        let mut decided = HashSet::new();
        let last = parts.len().saturating_sub(1);
        for (n, part) in parts.iter().enumerate() {
            let listing = list(part.whiteouts, &part.dir)?;
            for (name, kind, real) in listing.entries {
                let new = if n == last { !decided.contains(&name) } else { decided.insert(name.clone()) };
                if new {
                    entries.push(Named { cookie: cookie(&name), name, kind, real, source: Source::Lower(n) });
                }
            }
            decided.extend(listing.whiteouts);
        }
        entries.sort_unstable_by(|a, b| a.cookie.cmp(&b.cookie).then_with(|| a.name.cmp(&b.name)));
        let names = Arc::new(LowerNames { entries });
        if let Some(dir) = &mut inode.state.lock().dir {
            dir.names = Some(names.clone());
        }
        self.make_room(inode);
        Ok(names)
    }

    /// What a directory shows.
    pub(crate) fn listing(&self, inode: &Inode) -> Result<Arc<Listing>> {
        let _tree = self.names.read();
        self.listing_locked(inode)
    }

    pub(crate) fn listing_locked(&self, inode: &Inode) -> Result<Arc<Listing>> {
        if let Some(dir) = &inode.state.lock().dir
            && let Some(listing) = &dir.listing
        {
            self.cache.touch(inode.ino);
            return Ok(listing.clone());
        }
        let parts = inode.parts().ok_or(Errno::NOTDIR)?;
        let mut entries = Vec::new();
        let mut decided = HashSet::new();
        if let (Some(upper), Some(top)) = (&parts.upper, &self.upper) {
            let listing = list(top.whiteouts, upper)?;
            for (name, kind, real) in listing.entries {
                if !parts.lowers.is_empty() {
                    decided.insert(name.clone());
                }
                entries.push(Named { cookie: cookie(&name), name, kind, real, source: Source::Upper });
            }
            decided.extend(listing.whiteouts);
        }
        if !parts.lowers.is_empty() {
            let lower = self.lower_names(inode, &parts.lowers)?;
            entries.extend(lower.entries.iter().filter(|entry| !decided.contains(&entry.name)).cloned());
        }
        entries.sort_unstable_by(|a, b| a.cookie.cmp(&b.cookie).then_with(|| a.name.cmp(&b.name)));
        // Two names of one cookie would be one to a reader who stops between them.
        let mut last = 2;
        for entry in &mut entries {
            entry.cookie = entry.cookie.max(last + 1);
            last = entry.cookie;
        }
        let listing = Arc::new(Listing { entries });
        if let Some(dir) = &mut inode.state.lock().dir {
            dir.listing = Some(listing.clone());
        }
        self.make_room(inode);
        Ok(listing)
    }

    /// Count what a directory keeps, and drop what others keep where that is too much.
    fn make_room(&self, inode: &Inode) {
        let bytes = {
            let state = inode.state.lock();
            let Some(dir) = &state.dir else { return };
            dir.names.as_ref().map_or(0, |names| size(&names.entries))
                + dir.listing.as_ref().map_or(0, |listing| size(&listing.entries))
        };
        for victim in self.cache.admit(inode.ino, bytes) {
            let known = if victim == super::ROOT { Some(self.root()) } else { self.table.lock().get(victim) };
            if let Some(known) = known
                && let Some(dir) = &mut known.state.lock().dir
            {
                (dir.names, dir.listing) = (None, None);
            }
        }
    }

    /// Whether the lower layers show a name in a directory.
    pub(crate) fn lower_has(&self, inode: &Inode, name: &OsStr) -> Result<bool> {
        let Some(parts) = inode.parts() else { return Ok(false) };
        if parts.lowers.is_empty() {
            return Ok(false);
        }
        Ok(probe::lower(self, inode, &parts.lowers, name)?.is_some())
    }

    /// Whether a name could not be one of the tree's, because it is how its layers write deletions.
    pub(crate) fn reserved(&self, name: &OsStr) -> bool {
        let aufs = self.upper.as_ref().is_some_and(|top| top.whiteouts == Whiteouts::Aufs)
            || self.lowers.iter().any(|layer| layer.whiteouts == Whiteouts::Aufs);
        aufs && name.as_bytes().starts_with(WHITEOUT_PREFIX)
    }
}
