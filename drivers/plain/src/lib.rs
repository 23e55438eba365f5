//! The smallest storage driver: to be read first, and copied (docs/driver-author.md).
//!
//! Every layer is a folder of its own, and overlayfs stacks them:
//!
//! ```text
//! <id>/
//!   diff/      what the layer holds
//!   work/      overlayfs's own (containers only)
//!   merged/    the mount, while it is mounted
//! ```
//!
//! It does not ship inside nacre: `overlay2` does the same with Docker's layout.

use nacre_driver_sdk::{
    Call, CommitRequest, CreateRequest, Created, DepthFault, Description, Difference, Example, Facts, Grant,
    HomeLayout, LayerKind, MountRequest, Mounted, OverlayFacts, OverlayUpper, Place, Plan, Refusal,
    Requirement, Role, Setting, StorageDriver, Suitability, Whiteouts, ensure_dir, home, layer_id, make_dir,
    mount_overlay, remove_tree, unmount,
};

/// The driver.
#[derive(Debug)]
pub struct Plain;

impl StorageDriver for Plain {
    fn describe() -> Description {
        Description {
            name: "plain".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "One folder for each layer, stacked by the kernel's overlayfs.".into(),
            roles: vec![Role::StorageDriver],
            grants: vec![Grant::Tree, Grant::MountOverlay],
            options: vec![],
        }
    }

    fn layout() -> HomeLayout {
        HomeLayout { detached: true, shared: vec![] }
    }

    fn probe(facts: &Facts, _: &[Setting]) -> Result<Suitability, Refusal> {
        Ok(Suitability { max_depth: overlay(facts)?.max_lowers, how: None })
    }

    fn create_layer(facts: &Facts, request: &CreateRequest) -> Result<Created, Refusal> {
        let own = home(layer_id(&request.id)?);
        let below = request.parents.as_ref().map_or(0, Vec::len);
        let (depth, limit) = (u32::try_from(below + 1).unwrap_or(u32::MAX), overlay(facts)?.max_lowers);
        if depth > limit {
            return Err(Refusal::TooDeep(DepthFault { depth, limit }));
        }
        let mut steps = vec![make_dir(own.clone(), 0o710), make_dir(own.join("diff"), 0o755)];
        if request.kind == LayerKind::Container {
            steps.push(make_dir(own.join("work"), 0o700));
        }
        Ok(Created { steps, content: own.join("diff"), format: Whiteouts::Overlay })
    }

    fn commit(_: &Facts, _: &CommitRequest) -> Result<Plan, Refusal> {
        Ok(vec![])
    }

    fn mount(_: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
        let own = home(layer_id(&request.id)?);
        let target = own.join("merged");
        let upper = OverlayUpper { upper: own.join("diff"), work: own.join("work") };
        let lowers = request.parents.iter().map(|parent| home(parent).join("diff")).collect();
        let show = mount_overlay(lowers, Some(upper), &target, vec![]);
        Ok(Mounted { steps: vec![ensure_dir(target.clone(), 0o700), show], target })
    }

    fn unmount(id: &str) -> Result<Plan, Refusal> {
        let merged = home(layer_id(id)?).join("merged");
        Ok(vec![unmount(merged.clone()), remove_tree(merged)])
    }

    fn remove(id: &str) -> Result<Plan, Refusal> {
        Ok(vec![remove_tree(home(layer_id(id)?))])
    }

    fn usage(id: &str) -> Result<Place, Refusal> {
        Ok(home(layer_id(id)?).join("diff"))
    }

    fn diff(id: &str) -> Result<Difference, Refusal> {
        Ok(Difference::Changes((home(layer_id(id)?).join("diff"), Whiteouts::Overlay)))
    }

    fn footprint(id: &str) -> Result<Vec<Place>, Refusal> {
        Ok(vec![home(layer_id(id)?)])
    }

    fn examples() -> Vec<Example> {
        let id = "a".repeat(64);
        vec![Example {
            title: "one folder is all that a layer has".into(),
            call: Call::Remove(id.clone()),
            steps: vec![remove_tree(home(id))],
        }]
    }
}

fn overlay(facts: &Facts) -> Result<&OverlayFacts, Refusal> {
    facts.overlay.as_ref().ok_or(Refusal::Unsupported(Requirement::Overlay))
}

nacre_driver_sdk::export!(Plain);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_removed_with_its_folder() {
        let id = "b".repeat(64);
        assert_eq!(Plain::remove(&id), Ok(vec![remove_tree(home(id))]));
    }

    #[test]
    fn an_id_of_another_form_never_becomes_a_path() {
        assert_eq!(Plain::remove("../etc"), Err(Refusal::BadLayerId("../etc".into())));
    }
}
