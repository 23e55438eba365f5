use std::ffi::OsString;
use std::sync::Arc;

use rustix::fs::FileType;

use super::inode::Inode;
use super::listing::{Listing, Source};
use super::{Result, Tree};

/// An entry of a directory of the tree.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where to go on behind it: it stays true when the directory changes.
    pub cookie: u64,
    /// Its name.
    pub name: OsString,
    /// Its type; `Unknown` where the layer's file system does not tell.
    pub kind: FileType,
    /// Its inode's number, as far as that is known without a look at it.
    pub number: u64,
}

/// The entries of a directory as they were at one moment.
#[derive(Debug, Clone)]
pub struct Entries {
    listing: Arc<Listing>,
    upper: u64,
    lowers: Vec<u64>,
}

impl Tree {
    /// The entries of a directory.
    pub fn entries(&self, inode: &Inode) -> Result<Entries> {
        let listing = self.listing(inode)?;
        let parts = inode.parts().unwrap_or_default();
        let device = |dir: &nacre_sys::Dir| rustix::fs::fstat(dir).map_or(0, |stat| stat.st_dev);
        Ok(Entries {
            listing,
            upper: parts.upper.as_deref().map_or(0, device),
            lowers: parts.lowers.iter().map(|part| device(&part.dir)).collect(),
        })
    }

    /// The entries behind a cookie; 0 is the start.
    pub fn entries_after<'a>(
        &'a self,
        entries: &'a Entries,
        cookie: u64,
    ) -> impl Iterator<Item = Entry> + 'a {
        entries.listing.after(cookie).iter().map(move |named| {
            let device = match named.source {
                Source::Upper => entries.upper,
                Source::Lower(n) => entries.lowers.get(n).copied().unwrap_or(0),
            };
            let real = (device, named.real);
            let known = self.table.lock().aliased(real);
            let number = known.unwrap_or_else(|| self.number(real));
            Entry { cookie: named.cookie, name: named.name.clone(), kind: named.kind, number }
        })
    }
}
