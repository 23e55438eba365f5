//! Trees read without a mount, and what one layer does to those below it.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nacre_store::Layer;
use nacre_union::{ChangeKind, Node, Stack, Whiteouts};

use crate::diff::layer;
use crate::tree::Opened;
use crate::types::LayerChange;
use crate::{Engine, Error};

impl Engine {
    /// The tree of a container or an image, to be read without a mount (where the driver keeps layers as directories;
    /// otherwise they are mounted for as long as the answer is there). With the names of its layers, the newest first:
    /// `container`, and diff IDs.
    pub fn open_tree(&self, object: &str) -> Result<(Opened<'_, Stack>, Vec<String>), Error> {
        self.stack_of(object)
    }

    /// What a layer has itself, as a tree. Its whiteouts are not seen: [`Engine::layer_changes`] tells them.
    pub fn open_layer_tree(&self, name: &str) -> Result<Opened<'_, Stack>, Error> {
        let found = self.find_layer(name)?;
        Ok(self.open_image_layer(&found)?.map(|opened| Stack::new([layer(opened)])))
    }

    /// What a layer adds to those below it, and what of them it changes and deletes, sorted by path. Of a deleted
    /// tree the top alone is listed, with the bytes of all that was in it.
    pub fn layer_changes(&self, name: &str) -> Result<Vec<LayerChange>, Error> {
        let found = self.find_layer(name)?;
        let own = self.open_image_layer(&found)?.map(layer);
        let below = self.stack_below(&found)?;
        let none: [&Path; 0] = [];
        let changes = match own.whiteouts() {
            Whiteouts::None => nacre_union::compare(&below, &Stack::new([own.clone()]), &none)?,
            _ => nacre_union::changes(&own, &below, &none)?,
        };
        let own = Stack::new([own.clone()]);
        let told = changes.into_iter().map(|change| {
            let (was, is) = (lookup(&below, &change.path)?, lookup(&own, &change.path)?);
            let is_dir = |node: &Option<Node>| node.as_ref().is_some_and(|node| node.metadata.is_dir());
            let goes_on = is_dir(&was) && is_dir(&is) && change.kind != ChangeKind::Deleted;
            let hidden = if goes_on { 0 } else { bytes_at(&below, &change.path)? };
            Ok(LayerChange {
                kind: change.kind.letter(),
                size: is.filter(|node| !node.metadata.is_dir()).map_or(0, |node| node.metadata.size),
                path: change.path.as_os_str().as_bytes().to_vec(),
                hidden,
            })
        });
        told.collect()
    }

    fn stack_below(&self, found: &Layer) -> Result<Opened<'_, Stack>, Error> {
        let chain = match &found.parent {
            Some(parent) => self.store.read(|view| view.layer_chain(&found.driver, parent))?,
            None => Vec::new(),
        };
        Ok(Opened::join(self.open_down_to_whole(&chain)?, Stack::new))
    }
}

/// What is at a path; none also where the way there is no directory.
fn lookup(stack: &Stack, path: &Path) -> Result<Option<Node>, Error> {
    match stack.lookup(path) {
        Err(nacre_union::Error::NotADirectory { .. }) => Ok(None),
        found => Ok(found?),
    }
}

/// Bytes of the files at a path and below it.
fn bytes_at(stack: &Stack, path: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in stack.walk_from(path) {
        match entry {
            Err(nacre_union::Error::NotADirectory { .. }) => {}
            entry => {
                let metadata = entry?.node.metadata;
                bytes += if metadata.is_dir() { 0 } else { metadata.size };
            }
        }
    }
    Ok(bytes)
}
