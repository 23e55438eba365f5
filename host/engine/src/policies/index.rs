//! The indexes that search policies make of layers.
//!
//! ```text
//! <root>/nacre/indexes/<layer>/<digest of the component>      "nacre-i1", the digits of the index's SHA-256, the index
//! ```
//!
//! An index can be made again at any time, so none is synced: what a power cut left half written does not have its
//! checksum, is removed, and made again by the next mount. The folder of a layer goes with the layer. A layer that is
//! made meanwhile cannot go: its container or image holds it; one that goes all the same takes its index along, since
//! whoever wrote that looks for the layer's record afterwards.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nacre_archive::digest::Digest;
use nacre_plugin::SearchComponent;
use nacre_plugin::plan::Place;
use nacre_plugin::searching::{Entry, EntryKind};
use nacre_plugin::types::LayerKind;
use nacre_sys::dir::Dir;
use nacre_union::{ContentKind, Layer};

use super::{Chosen, OWN};
use crate::components::Found;
use crate::driver::{Chain, Driver};
use crate::{Engine, Error};

/// The folder of indexes.
const INDEXES: &str = "indexes";
const MAGIC: &[u8; 8] = b"nacre-i1";
/// Digits of the checksum.
const SUM: usize = 64;
/// What is handed over at once (`wit/search-policy.wit`).
const BATCH: usize = 1024;
/// The most bytes of an index (`wit/search-policy.wit`), and what comes before it.
const MOST: u64 = (16 << 20) + (MAGIC.len() + SUM) as u64;

/// The name of a component's index among those of a layer.
fn name(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

/// The index of a layer, where there is a whole one. Another is removed.
pub(super) fn read(indexes: &Path, layer: &str, digest: &str) -> Option<Vec<u8>> {
    let path = indexes.join(layer).join(name(digest));
    if std::fs::metadata(&path).ok()?.len() > MOST {
        return None;
    }
    let mut bytes = std::fs::read(&path).ok()?;
    let whole = bytes
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.split_at_checked(SUM))
        .is_some_and(|(sum, index)| Digest::of(index).hex().as_bytes() == sum);
    if !whole {
        let _ = std::fs::remove_file(&path);
        return None;
    }
    Some(bytes.split_off(MAGIC.len() + SUM))
}

/// Remove the indexes of a layer.
pub(super) fn forget(root: &Path, layer: &str) {
    let remove = || {
        let folder = Path::new(OWN).join(INDEXES);
        Dir::open(root)?.sub(folder)?.remove_tree(layer)
    };
    match remove() {
        Err(error) if !error.is_not_found() => {
            tracing::debug!(%error, "the indexes of a layer stay");
        }
        _ => {}
    }
}

impl Engine {
    /// The folder of indexes.
    pub(super) fn indexes(&self) -> PathBuf {
        self.root().join(OWN).join(INDEXES)
    }

    /// The layer of a chain that each directory of a mount is; none where it is none.
    pub(super) fn layers_of(
        &self,
        driver: &Driver,
        chain: &Chain,
        lowers: &[Place],
    ) -> Result<Vec<Option<String>>, Error> {
        let own = (chain.kind == LayerKind::Image).then_some(&chain.layer);
        let mut known = std::collections::HashMap::new();
        for layer in own.into_iter().chain(&chain.parents) {
            if let Some((content, _)) = driver.content(layer)? {
                let stat = content.stat("")?;
                known.insert((stat.st_dev, stat.st_ino), layer);
            }
        }
        let layer_of = |place: &Place| {
            let stat = driver.roots().open_place(place)?.stat("")?;
            Ok(known.get(&(stat.st_dev, stat.st_ino)).map(|layer| (*layer).clone()))
        };
        lowers.iter().map(layer_of).collect()
    }

    /// Make those indexes that are missing. A layer for which that fails is searched without one.
    pub(super) fn make_indexes<'a>(
        &self,
        driver: &Driver,
        layers: impl Iterator<Item = &'a String>,
        (found, chosen): (&Found, &Chosen),
    ) {
        if self.store.is_read_only() {
            return;
        }
        for layer in layers {
            if self.indexes().join(layer).join(name(&chosen.digest)).exists() {
                continue;
            }
            match self.make_index(driver, layer, (found, chosen)) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(
                        component = chosen.name, layer = layer.get(..12).unwrap_or(layer), %error,
                        "a layer has no index, and is always searched"
                    );
                    // It fails as well for the next one.
                    if matches!(error, Error::Plugin(_)) {
                        return;
                    }
                }
            }
        }
    }

    /// False where the component makes none at all.
    fn make_index(
        &self,
        driver: &Driver,
        layer: &str,
        (found, chosen): (&Found, &Chosen),
    ) -> Result<bool, Error> {
        let Some(content) = driver.content(layer)? else { return Ok(true) };
        let mut policy = found.component.search_policy(chosen.settings.clone())?;
        let Some(file) = file_of(&mut policy, &crate::diff::layer(content))? else { return Ok(false) };
        let folder = Path::new(OWN).join(INDEXES).join(layer);
        let root = Dir::open(self.root())?;
        [Path::new(OWN), &Path::new(OWN).join(INDEXES), &folder]
            .into_iter()
            .try_for_each(|folder| root.ensure_dir(folder, 0o700).map(drop))?;
        root.write_atomic(folder.join(name(&chosen.digest)), &file, 0o600)?;
        let is_there = self.store.read(|view| view.layers(Some(driver.name())))?;
        if !is_there.iter().any(|known| known.dir.as_str() == layer) {
            forget(self.root(), layer);
        }
        Ok(true)
    }
}

/// The file of the index that a policy makes of a layer; none where it makes none.
pub(super) fn file_of(policy: &mut SearchComponent, layer: &Layer) -> Result<Option<Vec<u8>>, Error> {
    let mut contents = layer.contents().map(|entry| Ok::<_, Error>(entry_of(entry?)));
    let batches = std::iter::from_fn(|| {
        let batch: Result<Vec<Entry>, Error> = contents.by_ref().take(BATCH).collect();
        if matches!(&batch, Ok(batch) if batch.is_empty()) { None } else { Some(batch) }
    });
    let Some(index) = policy.index(batches)? else { return Ok(None) };
    let mut file = MAGIC.to_vec();
    file.extend_from_slice(Digest::of(&index).hex().as_bytes());
    file.extend_from_slice(&index);
    Ok(Some(file))
}

fn entry_of((path, kind): (PathBuf, ContentKind)) -> Entry {
    let kind = match kind {
        ContentKind::File => EntryKind::File,
        ContentKind::Directory => EntryKind::Directory,
        ContentKind::OpaqueDirectory => EntryKind::OpaqueDirectory,
        ContentKind::Whiteout => EntryKind::Whiteout,
    };
    Entry { path: path.into_os_string().into_vec(), kind }
}
