//! The policies of nacre's union: components that a mount names for its search, its cache and its copy-up
//! (`mount-union` in `wit/plan.wit`).
//!
//! A union is served by another process of this program. The process that mounts looks the components up, has the
//! [indexes](index) that are missing made, begins the mount's [record], and writes down what the server needs: [`Serving`].
//! The server [makes of it](serve) how its tree works. What fails there is noted in the record, and the union goes on as
//! it does without policies.

mod index;
mod record;
mod search;
mod serve;
mod table;
#[cfg(test)]
mod tests;
mod way;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nacre_plugin::description::Grant;
use nacre_plugin::plan::{MountUnion, Step, UnionPolicy};
use nacre_plugin::types::Setting;
use serde::{Deserialize, Serialize};

pub use serve::union_options;

use crate::components::{Found, Origin, is_file};
use crate::driver::{Chain, Driver};
use crate::types::UnionPolicies;
use crate::union::NO_POLICIES;
use crate::{Engine, Error};

/// nacre's own folder, on the storage root and in the run directory.
const OWN: &str = "nacre";

/// What the server of a union is told beside its directories.
#[derive(Debug, Serialize, Deserialize)]
struct Serving {
    /// Where what happens is recorded.
    record: PathBuf,
    /// The cache of compiled components.
    compiled: PathBuf,
    /// The folder of the layers' indexes.
    indexes: PathBuf,
    /// The layers of the stack, the newest first; none for a directory that is no layer.
    layers: Vec<Option<String>>,
    search: Option<Chosen>,
    cache: Option<Chosen>,
    copy_up: Option<Chosen>,
    /// Where what is asked is recorded.
    trace: Option<PathBuf>,
}

/// A component that was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Chosen {
    name: String,
    /// As [`nacre_plugin::ComponentDigest`] is shown.
    digest: String,
    /// Its file; none for one that is built in.
    file: Option<PathBuf>,
    settings: Vec<Setting>,
    /// It was granted to be believed.
    trusted: bool,
}

impl Engine {
    /// What the server of a planned mount is to be told; empty where nothing but its directories is. `own` are the
    /// settings of the layer, and `user` the policies that were named for this mount.
    pub(crate) fn serving(
        &self,
        driver: &Driver,
        chain: &Chain,
        steps: &[Step],
        (own, user): (&[Setting], &UnionPolicies),
    ) -> Result<OsString, Error> {
        let record = self.record_path(&chain.layer);
        if !self.config.explain {
            record::forget(&record);
        }
        let Some(mount) = union_of(steps) else { return Ok(OsString::new()) };
        let mut policies = [None, None, None];
        for policy in &mount.policies {
            policies[policy.kind()] = Some(self.policy(policy, driver, (own, user))?);
        }
        if self.config.explain || (mount.policies.is_empty() && user.trace.is_none()) {
            return Ok(OsString::new());
        }
        let trace = user.trace.as_deref().map(begin_trace).transpose()?;
        let [search, cache, copy_up] = policies;
        let mut layers = Vec::new();
        if let Some((found, chosen)) = &search {
            layers = self.layers_of(driver, chain, &mount.lowers)?;
            self.make_indexes(driver, layers.iter().flatten(), (found, chosen));
        }
        let chosen = |policy: Option<(Found, Chosen)>| policy.map(|(_, chosen)| chosen);
        let serving = Serving {
            compiled: self.compiled_components(),
            indexes: self.indexes(),
            layers,
            search: chosen(search),
            cache: chosen(cache),
            copy_up: chosen(copy_up),
            trace,
            record,
        };
        record::begin(&serving)?;
        Ok(serde_json::to_string(&serving).map_err(nacre_store::Error::from)?.into())
    }

    /// A policy of a plan, and what its server needs of it. A file must be one that the user named.
    fn policy(
        &self,
        policy: &UnionPolicy,
        driver: &Driver,
        (own, user): (&[Setting], &UnionPolicies),
    ) -> Result<(Found, Chosen), Error> {
        let (role, name) = (policy.role(), policy.name());
        if is_file(name) && !user.names(name) && !driver.is_word_of_user(name, own) {
            let (driver, name) = (driver.name(), name.escape_debug());
            let what = format!("{driver} names the file {name} as a policy, which nobody named to it");
            return Err(Error::Usage { what, help: None });
        }
        let found = match is_file(name) {
            true => self.component_of_file(Path::new(name))?,
            false => self.component(name).map_err(|error| match error {
                Error::DriverAbsent { .. } => {
                    Error::NotFound { kind: "policy", name: name.escape_debug().to_string() }
                }
                other => other,
            })?,
        };
        let description = found.component.description();
        if !description.roles.contains(&role) {
            return Err(Error::Usage {
                what: format!("{} is no {role}", description.name),
                help: Some("`nacre driver ls` lists the policies that are here".to_owned()),
            });
        }
        let file = match found.origin {
            Origin::BuiltIn => None,
            Origin::Installed | Origin::File => {
                let path = Path::new(found.component.origin());
                Some(std::path::absolute(path).map_err(|e| Error::io("find", path, e))?)
            }
        };
        let chosen = Chosen {
            name: description.name.clone(),
            digest: found.component.digest().to_string(),
            file,
            settings: found.component.settings(&self.config.storage_opts)?,
            trusted: found.grants.contains(&Grant::SearchTrusted),
        };
        Ok((found, chosen))
    }

    /// Make the indexes of the layers of a new image, where its driver would have the union search them by a policy.
    /// What fails is made up for when the layers are mounted.
    pub(crate) fn index_new_image(&self, driver: &Driver, chain: &Chain) {
        if !driver.grants().contains(&Grant::MountUnion) {
            return;
        }
        let indexed = || -> Result<(), Error> {
            let plan = driver.mount(chain, true, &[])?.plan;
            let Some(mount) = union_of(&plan.steps) else { return Ok(()) };
            let search = mount.policies.iter().find(|policy| policy.kind() == 0);
            let Some(search) = search else { return Ok(()) };
            let (found, chosen) = self.policy(search, driver, (&[], &NO_POLICIES))?;
            let layers = self.layers_of(driver, chain, &mount.lowers)?;
            self.make_indexes(driver, layers.iter().flatten(), (&found, &chosen));
            Ok(())
        };
        if let Err(error) = indexed() {
            tracing::warn!(%error, "the layers are indexed when they are first mounted");
        }
    }

    /// Remove what is kept of a layer that is gone.
    pub(crate) fn forget_policies_of(&self, layer: &str) {
        index::forget(self.root(), layer);
        record::forget(&self.record_path(layer));
    }
}

fn begin_trace(path: &Path) -> Result<PathBuf, Error> {
    let path = std::path::absolute(path).map_err(|e| Error::io("find", path, e))?;
    nacre_union::trace::begin(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Conflict {
            what: format!("{} is there already", path.display()),
            help: "records are written to a new file".to_owned(),
        },
        _ => Error::io("begin", &path, e),
    })?;
    Ok(path)
}

/// The union that a plan mounts.
fn union_of(steps: &[Step]) -> Option<&MountUnion> {
    steps.iter().find_map(|step| if let Step::MountUnion(mount) = step { Some(mount) } else { None })
}
