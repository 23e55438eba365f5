//! Mounts by nacre's own union where the user wants it, and what is said of its policies.

use std::path::{Path, PathBuf};

use nacre_plugin::plan::{MountUnion, Step, UnionPolicy};
use nacre_plugin::types::Whiteouts;
use nacre_store::{LayerId, Mount};

use crate::config::ContainerConfig;
use crate::mount::USER;
use crate::types::UnionPolicies;
use crate::{Engine, Error};

/// The user named none.
pub(crate) static NO_POLICIES: UnionPolicies =
    UnionPolicies { search: None, cache: None, copy_up: None, trace: None };

impl Engine {
    /// Mount a container's tree as [`Engine::mount`] does, by nacre's own union in place of the kernel's overlayfs,
    /// whatever the driver plans. What is written lies in the layer as overlayfs would have it.
    ///
    /// # Errors
    /// The container's tree is mounted by something else or with other policies, its layers are whole trees, or a policy
    /// is not here or of another role.
    pub fn mount_by_union(&self, container: &str, policies: &UnionPolicies) -> Result<PathBuf, Error> {
        self.mount_heard(container, || {
            let container = self.find_container(container)?;
            let driver = self.driver(&container.driver)?;
            let settings = ContainerConfig::of(&container)?.settings;
            self.hold_layer_by(&driver, &self.chain(&container)?, &settings, USER, Some(policies))
        })
    }

    /// What is mounted stays as it is: it must be what is asked for.
    pub(crate) fn refuse_other_mount(&self, mount: &Mount, policies: &UnionPolicies) -> Result<(), Error> {
        let how = match is_union(&mount.target)? {
            false => format!("by {}", mount.driver),
            true if policies.trace.is_some() => "and records begin with the mount".to_owned(),
            true if !self.has_policies(mount.dir.as_str(), policies) => "with other policies".to_owned(),
            true => return Ok(()),
        };
        Err(Error::Conflict {
            what: format!("it is mounted at {} already, {how}", mount.target.display()),
            help: "stop or unmount it first".to_owned(),
        })
    }

    /// Say which policies were put aside while a layer was mounted.
    pub(crate) fn warn_of_policies(&self, layer: &LayerId) {
        for fault in self.policy_faults(layer.as_str()) {
            tracing::warn!("{fault}");
        }
    }
}

/// Have the union mount what the plan has overlayfs mount, with these policies before those of the plan. The places are
/// those that were checked.
pub(crate) fn unite(steps: &mut [Step], policies: &UnionPolicies, driver: &str) -> Result<(), Error> {
    let mut united = false;
    for step in steps {
        if let Step::MountOverlay(it) = step {
            *step = Step::MountUnion(MountUnion {
                lowers: std::mem::take(&mut it.lowers),
                upper: it.upper.take(),
                target: it.target.clone(),
                format: Whiteouts::Overlay,
                policies: Vec::new(),
            });
        }
        if let Step::MountUnion(it) = step {
            united = true;
            let UnionPolicies { search, cache, copy_up, trace: _ } = policies.clone();
            let search = search.map(UnionPolicy::Search);
            let cache = cache.map(UnionPolicy::Cache);
            let copy_up = copy_up.map(UnionPolicy::CopyUp);
            for policy in [search, cache, copy_up].into_iter().flatten() {
                it.policies.retain(|planned| planned.kind() != policy.kind());
                it.policies.push(policy);
            }
        }
    }
    if united {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!(
            "the union has nothing to unite: {driver} shows this container's layers in another way"
        ),
        help: Some("the union takes the place of the kernel's overlayfs: `nacre mount --explain` tells what is planned here".to_owned()),
    })
}

fn is_union(target: &Path) -> Result<bool, Error> {
    let found = rustix::fs::statfs(target).map_err(|e| Error::io("statfs", target, e))?;
    Ok(found.f_type as u64 == FUSE_SUPER_MAGIC)
}

/// linux/magic.h.
const FUSE_SUPER_MAGIC: u64 = 0x6573_5546;
