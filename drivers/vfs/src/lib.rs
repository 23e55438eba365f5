//! Docker's vfs, as a nacre component.
//!
//! A layer is a copy of the whole tree below it. That works on every file system, and costs each layer its
//! whole tree in time, and in space too unless the file system can share data between files (XFS, btrfs). The
//! layout is that of Docker's daemon/graphdriver/vfs:
//!
//! ```text
//! dir/
//!   <id>/         the whole tree
//! ```
//!
//! Docker hands out `dir/<id>` itself; here the tree is shown by a bind mount on `<id>` of the run folder, so
//! that a read-only mount is one, and that what is mounted can be seen.

mod examples;

use nacre_driver_sdk::{
    CommitRequest, CreateRequest, Created, Description, Difference, Example, Facts, Grant, HomeLayout,
    LayerKind, MountRequest, Mounted, Place, Plan, Refusal, Requirement, Role, Setting, StorageDriver,
    Suitability, Whiteouts, copy_tree, ensure_dir, home, layer_id, make_dir, mount_bind, remove_tree, run,
    unmount,
};

/// The driver.
#[derive(Debug)]
pub struct Vfs;

/// The folder of trees.
const TREES: &str = "dir";

/// A layer's tree.
fn tree(id: &str) -> Result<Place, Refusal> {
    Ok(home(TREES).join(layer_id(id)?))
}

/// Where it is shown.
fn shown(id: &str) -> Result<Place, Refusal> {
    Ok(run(layer_id(id)?))
}

impl StorageDriver for Vfs {
    fn describe() -> Description {
        Description {
            name: "vfs".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary:
                "A copy of the whole tree for each layer, in Docker's layout. Works on every file system."
                    .into(),
            roles: vec![Role::StorageDriver],
            grants: vec![Grant::Tree, Grant::MountBind],
            options: vec![],
        }
    }

    fn layout() -> HomeLayout {
        HomeLayout { detached: false, shared: vec![TREES.into()] }
    }

    fn probe(facts: &Facts, _: &[Setting]) -> Result<Suitability, Refusal> {
        if !facts.privileged {
            return Err(Refusal::Unsupported(Requirement::Privilege));
        }
        Ok(Suitability { max_depth: u32::MAX, how: None })
    }

    fn create_layer(_: &Facts, request: &CreateRequest) -> Result<Created, Refusal> {
        let content = tree(&request.id)?;
        let make = match request.parents.as_deref().and_then(<[_]>::first) {
            Some(parent) => copy_tree(tree(parent)?, content.clone()),
            None => make_dir(content.clone(), 0o755),
        };
        Ok(Created { steps: vec![ensure_dir(home(TREES), 0o710), make], content, format: Whiteouts::None })
    }

    fn commit(_: &Facts, request: &CommitRequest) -> Result<Plan, Refusal> {
        layer_id(&request.id).map(|_| vec![])
    }

    fn mount(_: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
        let read_only = request.read_only || request.kind == LayerKind::Image;
        let target = shown(&request.id)?;
        let show = mount_bind(tree(&request.id)?, &target, read_only);
        Ok(Mounted { steps: vec![ensure_dir(target.clone(), 0o700), show], target })
    }

    fn unmount(id: &str) -> Result<Plan, Refusal> {
        Ok(vec![unmount(shown(id)?), remove_tree(shown(id)?)])
    }

    fn remove(id: &str) -> Result<Plan, Refusal> {
        // A mount that was cut short leaves the folder that it was to be on.
        Ok(vec![remove_tree(shown(id)?), remove_tree(tree(id)?)])
    }

    fn usage(id: &str) -> Result<Place, Refusal> {
        tree(id)
    }

    fn diff(id: &str) -> Result<Difference, Refusal> {
        Ok(Difference::Tree(tree(id)?))
    }

    fn footprint(id: &str) -> Result<Vec<Place>, Refusal> {
        Ok(vec![tree(id)?, shown(id)?])
    }

    fn examples() -> Vec<Example> {
        examples::all()
    }
}

nacre_driver_sdk::export!(Vfs);
