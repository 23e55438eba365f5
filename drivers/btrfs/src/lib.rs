//! Docker's btrfs, as a nacre component.
//!
//! A layer is a subvolume, made as a snapshot of the one below it: it shares all data with it, and costs
//! nothing until something is written. The layout is that of Docker's daemon/graphdriver/btrfs:
//!
//! ```text
//! subvolumes/
//!   <id>/         the whole tree
//! quotas/
//!   <id>          the most bytes that it may take up, as a decimal number; only where there is a limit
//! ```
//!
//! Docker hands out `subvolumes/<id>` itself; here the tree is shown by a bind mount on `<id>` of the run
//! folder, so that a read-only mount is one, and that what is mounted can be seen.

mod examples;

use nacre_driver_sdk::{
    CommitRequest, CreateRequest, Created, Description, Difference, Example, Facts, Grant, HomeLayout,
    LayerKind, MountRequest, Mounted, OptionFault, OptionReason, Place, Plan, Refusal, Requirement, Role,
    Setting, Settings, StorageDriver, Suitability, Whiteouts, bytes, ensure_dir, home, layer_id, limit,
    mount_bind, remove_tree, run, subvolume_create, subvolume_delete, subvolume_snapshot, unmount,
    write_file,
};

/// The driver.
#[derive(Debug)]
pub struct Btrfs;

/// The folder of subvolumes, and the folder of their limits.
const SUBVOLUMES: &str = "subvolumes";
const QUOTAS: &str = "quotas";

/// A layer's tree.
fn subvolume(id: &str) -> Result<Place, Refusal> {
    Ok(home(SUBVOLUMES).join(layer_id(id)?))
}

/// The file with its limit.
fn quota(id: &str) -> Result<Place, Refusal> {
    Ok(home(QUOTAS).join(layer_id(id)?))
}

/// Where its tree is shown.
fn shown(id: &str) -> Result<Place, Refusal> {
    Ok(run(layer_id(id)?))
}

/// The most bytes that a container's tree may take up; none for no limit.
fn size(settings: &[Setting]) -> Result<Option<u64>, Refusal> {
    match settings.bytes("size")? {
        0 => Ok(None),
        size if size < settings.bytes("min_space")? => {
            let fault = OptionFault { name: "size".into(), reason: OptionReason::OutOfRange };
            Err(Refusal::InvalidOption(fault))
        }
        size => Ok(Some(size)),
    }
}

impl StorageDriver for Btrfs {
    fn describe() -> Description {
        Description {
            name: "btrfs".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "A snapshot for each layer, in Docker's layout. Needs btrfs under its home.".into(),
            roles: vec![Role::StorageDriver],
            grants: vec![Grant::Tree, Grant::Subvolume, Grant::Limit, Grant::MountBind],
            options: vec![
                bytes("min_space", 0, "The least that `size` may be."),
                bytes(
                    "size",
                    0,
                    "The most that a container's tree may take up, its image included; 0 for all.",
                ),
            ],
        }
    }

    fn layout() -> HomeLayout {
        HomeLayout { detached: false, shared: vec![SUBVOLUMES.into(), QUOTAS.into()] }
    }

    fn probe(facts: &Facts, settings: &[Setting]) -> Result<Suitability, Refusal> {
        if !facts.privileged {
            return Err(Refusal::Unsupported(Requirement::Privilege));
        }
        if facts.home.name != "btrfs" {
            return Err(Refusal::Unsupported(Requirement::Btrfs));
        }
        size(settings)?;
        Ok(Suitability { max_depth: u32::MAX, how: None })
    }

    fn create_layer(_: &Facts, request: &CreateRequest) -> Result<Created, Refusal> {
        let content = subvolume(&request.id)?;
        let make = match request.parents.as_deref().and_then(<[_]>::first) {
            Some(parent) => subvolume_snapshot(subvolume(parent)?, content.clone()),
            None => subvolume_create(content.clone(), 0o755),
        };
        let mut steps = vec![ensure_dir(home(SUBVOLUMES), 0o710), make];
        if request.kind == LayerKind::Container
            && let Some(size) = size(&request.settings)?
        {
            steps.push(limit(content.clone(), Some(size), None));
            steps.push(ensure_dir(home(QUOTAS), 0o700));
            steps.push(write_file(quota(&request.id)?, size.to_string(), 0o644));
        }
        Ok(Created { steps, content, format: Whiteouts::None })
    }

    fn commit(_: &Facts, request: &CommitRequest) -> Result<Plan, Refusal> {
        layer_id(&request.id).map(|_| vec![])
    }

    fn mount(_: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
        let read_only = request.read_only || request.kind == LayerKind::Image;
        let target = shown(&request.id)?;
        let show = mount_bind(subvolume(&request.id)?, &target, read_only);
        Ok(Mounted { steps: vec![ensure_dir(target.clone(), 0o700), show], target })
    }

    fn unmount(id: &str) -> Result<Plan, Refusal> {
        Ok(vec![unmount(shown(id)?), remove_tree(shown(id)?)])
    }

    fn remove(id: &str) -> Result<Plan, Refusal> {
        // A mount that was cut short leaves the folder that it was to be on.
        Ok(vec![remove_tree(shown(id)?), remove_tree(quota(id)?), subvolume_delete(subvolume(id)?)])
    }

    fn usage(id: &str) -> Result<Place, Refusal> {
        subvolume(id)
    }

    fn diff(id: &str) -> Result<Difference, Refusal> {
        Ok(Difference::Tree(subvolume(id)?))
    }

    fn footprint(id: &str) -> Result<Vec<Place>, Refusal> {
        Ok(vec![subvolume(id)?, quota(id)?, shown(id)?])
    }

    fn examples() -> Vec<Example> {
        examples::all()
    }
}

nacre_driver_sdk::export!(Btrfs);
