//! Docker's aufs, as a nacre component.
//!
//! A layer is a folder, and aufs stacks them. The layout is that of Docker's daemon/graphdriver/aufs:
//!
//! ```text
//! layers/
//!   <id>          the layers below it, newest first, one to a line
//! diff/
//!   <id>/         what the layer holds, deleted names as `.wh.<name>`
//! mnt/
//!   <id>/         where its chain is mounted
//! work/
//!   <id>/         of a container that nacre's union mounts: what the union works with
//! ```
//!
//! Where the kernel has no aufs, nacre's own union mounts the same layout.
//!
//! A layer with nothing below it is shown by a bind mount; Docker hands out `diff/<id>` itself.
//!
//! Image layers are detached: what a layer holds does not depend on its parents, so a whole chain can be filled
//! at once. Their `layers/<id>` is written when they are committed.

mod examples;

use nacre_driver_sdk::{
    CommitRequest, CreateRequest, Created, DepthFault, Description, Difference, Example, Facts, Grant,
    HomeLayout, LayerKind, MountRequest, Mounted, OverlayUpper, Place, Plan, Refusal, Requirement, Role,
    Setting, Step, StorageDriver, Suitability, Whiteouts, ensure_dir, home, layer_id, make_dir, mount_aufs,
    mount_bind, mount_union, remove_tree, union_options, unmount, write_file,
};

/// The driver.
#[derive(Debug)]
pub struct Aufs;

/// The folders of the home.
const LAYERS: &str = "layers";
const DIFF: &str = "diff";
const MNT: &str = "mnt";
const WORK: &str = "work";

/// What a branch cannot be on, as dockerd has it.
const NO_BRANCH: [&str; 3] = ["aufs", "btrfs", "ecryptfs"];

/// The most branches of one mount, as the kernel's aufs is usually built (`CONFIG_AUFS_BRANCH_MAX_127`).
const MAX_BRANCHES: u32 = 127;

/// What the union takes, whose servers hold each layer open.
const MAX_LAYERS: u32 = 500;

fn kernel_has_aufs(facts: &Facts) -> bool {
    facts.filesystems.iter().any(|name| name == "aufs")
}

fn max_depth(facts: &Facts) -> u32 {
    if kernel_has_aufs(facts) { MAX_BRANCHES } else { MAX_LAYERS }
}

/// The part of a layer in one of the folders.
fn part(folder: &str, id: &str) -> Result<Place, Refusal> {
    Ok(home(folder).join(layer_id(id)?))
}

/// The file that names the chain below a layer.
fn chain(id: &str, parents: &[String]) -> Result<Step, Refusal> {
    let mut lines = String::with_capacity(parents.len() * 65);
    for parent in parents {
        lines.push_str(layer_id(parent)?);
        lines.push('\n');
    }
    Ok(write_file(part(LAYERS, id)?, lines, 0o644))
}

/// A container needs one branch more than its image.
fn check_depth(facts: &Facts, parents: &[String], kind: LayerKind) -> Result<(), Refusal> {
    let writable = u32::from(kind == LayerKind::Image);
    let depth = u32::try_from(parents.len()).unwrap_or(u32::MAX).saturating_add(1 + writable);
    let limit = max_depth(facts);
    if depth > limit { Err(Refusal::TooDeep(DepthFault { depth, limit })) } else { Ok(()) }
}

impl StorageDriver for Aufs {
    fn describe() -> Description {
        Description {
            name: "aufs".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "One folder for each layer, in Docker's layout, stacked by the kernel's aufs or nacre's union.".into(),
            roles: vec![Role::StorageDriver],
            grants: vec![Grant::Tree, Grant::MountAufs, Grant::MountUnion, Grant::MountBind],
            options: union_options().into(),
        }
    }

    fn layout() -> HomeLayout {
        HomeLayout { detached: true, shared: [LAYERS, DIFF, MNT, WORK].map(Into::into).into() }
    }

    fn probe(facts: &Facts, _: &[Setting]) -> Result<Suitability, Refusal> {
        let missing = |requirement| Err(Refusal::Unsupported(requirement));
        if !facts.privileged {
            return missing(Requirement::Privilege);
        }
        let how = if kernel_has_aufs(facts) {
            if NO_BRANCH.contains(&facts.home.name.as_str()) {
                return missing(Requirement::OtherFilesystem);
            }
            "mounted by the kernel's aufs"
        } else {
            if !facts.filesystems.iter().any(|name| name == "fuse") {
                return missing(Requirement::Aufs);
            }
            "mounted by nacre's union, as this kernel has no aufs"
        };
        Ok(Suitability { max_depth: max_depth(facts), how: Some(how.into()) })
    }

    fn create_layer(facts: &Facts, request: &CreateRequest) -> Result<Created, Refusal> {
        let id = layer_id(&request.id)?;
        let parents = request.parents.as_deref().unwrap_or_default();
        check_depth(facts, parents, request.kind)?;
        let content = part(DIFF, id)?;
        let mut steps: Plan = [LAYERS, DIFF, MNT].map(|folder| ensure_dir(home(folder), 0o710)).into();
        steps.push(make_dir(content.clone(), 0o755));
        steps.push(make_dir(part(MNT, id)?, 0o755));
        if request.kind == LayerKind::Container {
            steps.push(chain(id, parents)?);
            if !kernel_has_aufs(facts) {
                steps.extend([ensure_dir(home(WORK), 0o710), make_dir(part(WORK, id)?, 0o700)]);
            }
        }
        Ok(Created { steps, content, format: Whiteouts::Aufs })
    }

    fn commit(facts: &Facts, request: &CommitRequest) -> Result<Plan, Refusal> {
        check_depth(facts, &request.parents, LayerKind::Image)?;
        Ok(vec![chain(&request.id, &request.parents)?])
    }

    fn mount(facts: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
        let (own, target) = (part(DIFF, &request.id)?, part(MNT, &request.id)?);
        check_depth(facts, &request.parents, LayerKind::Container)?;
        let mut lowers =
            request.parents.iter().map(|parent| part(DIFF, parent)).collect::<Result<Vec<_>, _>>()?;
        let read_only = request.read_only || request.kind == LayerKind::Image;
        if lowers.is_empty() {
            return Ok(Mounted { steps: vec![mount_bind(own, &target, read_only)], target });
        }
        let upper = if read_only {
            lowers.insert(0, own);
            None
        } else {
            Some(own)
        };
        let mut steps = Plan::new();
        if kernel_has_aufs(facts) {
            steps.push(mount_aufs(upper, lowers, &target));
        } else {
            let work = part(WORK, &request.id)?;
            if upper.is_some() {
                // A layer that was made under a kernel with aufs has none.
                steps.extend([ensure_dir(home(WORK), 0o710), ensure_dir(work.clone(), 0o700)]);
            }
            let upper = upper.map(|upper| OverlayUpper { upper, work });
            steps.push(mount_union(lowers, upper, &target, Whiteouts::Aufs, &request.settings));
        }
        Ok(Mounted { steps, target })
    }

    fn unmount(id: &str) -> Result<Plan, Refusal> {
        Ok(vec![unmount(part(MNT, id)?)])
    }

    fn remove(id: &str) -> Result<Plan, Refusal> {
        [LAYERS, DIFF, MNT, WORK].map(|folder| Ok(remove_tree(part(folder, id)?))).into_iter().collect()
    }

    fn usage(id: &str) -> Result<Place, Refusal> {
        part(DIFF, id)
    }

    fn diff(id: &str) -> Result<Difference, Refusal> {
        Ok(Difference::Changes((part(DIFF, id)?, Whiteouts::Aufs)))
    }

    fn footprint(id: &str) -> Result<Vec<Place>, Refusal> {
        [LAYERS, DIFF, MNT, WORK].map(|folder| part(folder, id)).into_iter().collect()
    }

    fn examples() -> Vec<Example> {
        examples::all()
    }
}

nacre_driver_sdk::export!(Aufs);
