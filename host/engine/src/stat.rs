//! What nacre's own union counts of the mounts that it serves.

use std::collections::BTreeMap;

use nacre_union::fuse::statistics;
use serde::Serialize;

use crate::{Engine, Error};

/// A mount that the union serves, and what it counted since it was mounted.
#[derive(Debug, Clone, Serialize)]
pub struct UnionMount {
    /// The container's ID; none where it is the layer of an image, mounted to be read.
    pub container: Option<String>,
    /// The container's name, or the layer's.
    pub name: String,
    /// The driver that holds the layer.
    pub driver: String,
    /// Where the tree is.
    pub target: String,
    /// Each counter of [`nacre_union::live::Statistics`], by its name.
    pub counters: BTreeMap<&'static str, u64>,
}

impl Engine {
    /// The mounts that nacre's own union serves on this root, the oldest first.
    pub fn union_mounts(&self) -> Result<Vec<UnionMount>, Error> {
        let mut found = Vec::new();
        for mount in self.store.read(|view| view.mounts())? {
            let Some(counted) = statistics(&mount.target)? else { continue };
            let container = self.store.read(|view| view.container_of_layer(&mount.dir))?;
            found.push(UnionMount {
                container: container.as_ref().map(|it| it.id.as_str().to_owned()),
                name: container.map_or_else(|| mount.dir.short().to_owned(), |it| it.name),
                driver: mount.driver,
                target: mount.target.display().to_string(),
                counters: counted.all().into_iter().collect(),
            });
        }
        Ok(found)
    }

    /// The same of some containers, in the order in which they are named.
    ///
    /// # Errors
    /// One does not exist, or the union does not serve it.
    pub fn union_mounts_of(&self, containers: &[String]) -> Result<Vec<UnionMount>, Error> {
        let all = self.union_mounts()?;
        let mut found = Vec::new();
        for name in containers {
            let container = self.find_container(name)?;
            let mount = all.iter().find(|it| it.container.as_deref() == Some(container.id.as_str()));
            let mount = mount.ok_or_else(|| Error::Conflict {
                what: format!("{} is not mounted by nacre's own union, and the kernel counts nothing", container.name),
                help: format!(
                    "`nacre mount --union {}` mounts it so; the driver fuse-overlay mounts all of its containers so",
                    container.name
                ),
            })?;
            found.push(mount.clone());
        }
        Ok(found)
    }
}
