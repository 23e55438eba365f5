//! Docker's devicemapper, as a nacre component.
//!
//! A layer is a thin volume with a file system, made as a snapshot of the one below it: it shares all blocks with
//! it, and costs nothing until something is written. The layout is that of Docker's daemon/graphdriver/devmapper:
//!
//! ```text
//! devicemapper/
//!   data, metadata    the pool's files, where it lies on no devices of its own      (the host's)
//! metadata/
//!   base, <id>        a record of each volume, and of the pool                      (the host's)
//! mnt/
//!   <id>/             the volume of a layer, while it is mounted
//!     rootfs/         its tree
//! ```
//!
//! The first layer of an image is a snapshot of `base`, an empty file system. All volumes have that file system, and
//! that size or more.

mod examples;
mod options;

use nacre_driver_sdk::{
    CommitRequest, CreateRequest, Created, Description, Difference, Example, Facts, Grant, HomeLayout,
    LayerKind, MountRequest, Mounted, Place, Plan, Refusal, Requirement, Role, Setting, StorageDriver,
    Suitability, Whiteouts, ensure_dir, home, layer_id, make_dir, mount_bind, remove_tree, thin_activate,
    thin_create, thin_deactivate, thin_delete, thin_mount, thin_pool, thin_snapshot, thin_sync, unmount,
};

use options::Options;

/// The driver.
#[derive(Debug)]
pub struct Devicemapper;

/// The folder of mounts.
const MOUNTS: &str = "mnt";
/// The volume that the first layer of an image begins as.
const BASE: &str = "base";

/// Where a layer's volume is mounted.
fn volume(id: &str) -> Result<Place, Refusal> {
    Ok(home(MOUNTS).join(layer_id(id)?))
}

/// A layer's tree. What mkfs makes (`lost+found`) stays outside.
fn rootfs(id: &str) -> Result<Place, Refusal> {
    Ok(volume(id)?.join("rootfs"))
}

/// Show a layer's volume, from a pool that is active.
fn show(id: &str, read_only: bool, options: &Options<'_>) -> Result<Plan, Refusal> {
    Ok(vec![
        thin_activate(id),
        ensure_dir(home(MOUNTS), 0o700),
        ensure_dir(volume(id)?, 0o700),
        thin_mount(id, &volume(id)?, read_only, options.mount),
    ])
}

/// Hide it. What was written is on the disk before the mount ends, and a pool that had no room for it says so now:
/// an image's layer is `whole` or refused, and a container is let go.
fn hide(id: &str, whole: bool) -> Result<Plan, Refusal> {
    Ok(vec![thin_sync(volume(id)?, whole), unmount(volume(id)?), thin_deactivate(id)])
}

impl StorageDriver for Devicemapper {
    fn describe() -> Description {
        Description {
            name: "devicemapper".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "A thin volume for each layer, in Docker's layout. Needs device-mapper.".into(),
            roles: vec![Role::StorageDriver],
            grants: vec![Grant::Tree, Grant::MountBind, Grant::Thin],
            options: options::specs(),
        }
    }

    fn layout() -> HomeLayout {
        HomeLayout { detached: false, shared: vec![MOUNTS.into()] }
    }

    fn probe(facts: &Facts, settings: &[Setting]) -> Result<Suitability, Refusal> {
        if !facts.privileged {
            return Err(Refusal::Unsupported(Requirement::Privilege));
        }
        if !facts.thin_pools {
            return Err(Refusal::Unsupported(Requirement::ThinPools));
        }
        Options::read(facts, settings)?;
        Ok(Suitability { max_depth: u32::MAX, how: None })
    }

    fn create_layer(facts: &Facts, request: &CreateRequest) -> Result<Created, Refusal> {
        let id = layer_id(&request.id)?;
        let options = Options::read(facts, &request.settings)?;
        let mut steps = vec![thin_pool(options.storage()?, options.block_sectors, options.discard)];
        let origin = match request.parents.as_deref().and_then(<[_]>::first) {
            Some(parent) => layer_id(parent)?,
            None => {
                let (size, arguments) = (options.base_size, options.mkfs_arguments());
                steps.push(thin_create(BASE, size, options.format, arguments, options.reserve));
                BASE
            }
        };
        let size = options.size.filter(|_| request.kind == LayerKind::Container);
        steps.push(thin_snapshot(origin, id, size, options.reserve));
        steps.push(ensure_dir(home(MOUNTS), 0o700));
        steps.push(make_dir(volume(id)?, 0o700));
        if request.kind == LayerKind::Image {
            // To be filled; `commit` ends it.
            steps.push(thin_activate(id));
            steps.push(thin_mount(id, &volume(id)?, false, options.mount));
            steps.push(ensure_dir(rootfs(id)?, 0o755));
        }
        Ok(Created { steps, content: rootfs(id)?, format: Whiteouts::None })
    }

    fn commit(_: &Facts, request: &CommitRequest) -> Result<Plan, Refusal> {
        hide(layer_id(&request.id)?, true)
    }

    fn mount(facts: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
        let id = layer_id(&request.id)?;
        let options = Options::read(facts, &request.settings)?;
        let read_only = request.read_only || request.kind == LayerKind::Image;
        let mut steps = vec![thin_pool(options.storage()?, options.block_sectors, options.discard)];
        steps.extend(show(id, read_only, &options)?);
        if !read_only {
            // A container on no image has none yet.
            steps.push(ensure_dir(rootfs(id)?, 0o755));
        }
        // What is handed out is a mount of its own, without what else the volume holds.
        steps.push(mount_bind(rootfs(id)?, &rootfs(id)?, read_only));
        Ok(Mounted { steps, target: rootfs(id)? })
    }

    fn unmount(id: &str) -> Result<Plan, Refusal> {
        let mut steps = vec![unmount(rootfs(id)?)];
        steps.extend(hide(id, false)?);
        Ok(steps)
    }

    fn remove(id: &str) -> Result<Plan, Refusal> {
        Ok(vec![thin_delete(layer_id(id)?), remove_tree(volume(id)?)])
    }

    fn usage(id: &str) -> Result<Place, Refusal> {
        volume(id)
    }

    fn diff(id: &str) -> Result<Difference, Refusal> {
        layer_id(id).map(|_| Difference::Mounted)
    }

    fn footprint(id: &str) -> Result<Vec<Place>, Refusal> {
        Ok(vec![volume(id)?])
    }

    fn examples() -> Vec<Example> {
        examples::all()
    }
}

nacre_driver_sdk::export!(Devicemapper);
