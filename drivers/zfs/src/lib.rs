//! Docker's zfs, as a nacre component.
//!
//! A layer is a dataset, made as a clone of the one below it: it shares all data with it, and costs nothing until
//! something is written. The layout is that of Docker's daemon/graphdriver/zfs:
//!
//! ```text
//! <base>/<id>             a dataset for each layer, with mountpoint=legacy; <base> is the option `fsname`, or
//!                         the dataset that the home is on
//! <base>/<parent>@<id>    the snapshot that it was cloned from; destroyed when the clone is, by `zfs destroy -d`
//! graph/<id>/             in the home: where the dataset is mounted, while it is
//! ```
//!
//! Docker names the snapshot by the nanoseconds of the clock; here it has the layer's ID, so that it can be told
//! whose it is.
//!
//! A dataset can be read only while it is mounted, and nacre mounts it for that. Its snapshot is taken from a
//! parent that is unmounted or mounted read-only, so it is complete.

mod examples;

use nacre_driver_sdk::{
    CommitRequest, CreateRequest, Created, Description, Difference, Example, Facts, Grant, HomeLayout,
    LayerKind, MountRequest, Mounted, Place, Plan, Refusal, Requirement, Role, Setting, Settings,
    StorageDriver, Suitability, Whiteouts, ZfsProperty, ZfsSnapshot, bytes, ensure_dir, home, layer_id,
    make_dir, mount_zfs, remove_tree, text, unavailable, unmount, zfs_clone, zfs_create, zfs_destroy,
    zfs_destroy_snapshot, zfs_set, zfs_snapshot,
};

/// The driver.
#[derive(Debug)]
pub struct Zfs;

/// The folder of mount points.
const GRAPH: &str = "graph";

/// Where a layer is mounted.
fn target(id: &str) -> Result<Place, Refusal> {
    Ok(home(GRAPH).join(layer_id(id)?))
}

impl StorageDriver for Zfs {
    fn describe() -> Description {
        Description {
            name: "zfs".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "A clone for each layer, in Docker's layout. Needs a ZFS pool.".into(),
            roles: vec![Role::StorageDriver],
            grants: vec![Grant::Tree, Grant::Zfs],
            options: vec![
                text(
                    "fsname",
                    "",
                    "The dataset that layers are made below; none for the one under the home.",
                ),
                bytes("size", 0, "The most that a container may write, beside its image; 0 for no limit."),
            ],
        }
    }

    fn layout() -> HomeLayout {
        HomeLayout { detached: false, shared: vec![GRAPH.into()] }
    }

    fn probe(facts: &Facts, settings: &[Setting]) -> Result<Suitability, Refusal> {
        if !facts.privileged {
            return Err(Refusal::Unsupported(Requirement::Privilege));
        }
        if facts.zfs.is_none() {
            let named = !settings.text("fsname")?.is_empty();
            return Err(if named { unavailable("fsname") } else { Refusal::Unsupported(Requirement::Zfs) });
        }
        Ok(Suitability { max_depth: u32::MAX, how: None })
    }

    fn create_layer(_: &Facts, request: &CreateRequest) -> Result<Created, Refusal> {
        let (id, content) = (layer_id(&request.id)?, target(&request.id)?);
        let mut steps = match request.parents.as_deref().and_then(<[_]>::first) {
            None => vec![zfs_create(id)],
            Some(parent) => {
                let snapshot = ZfsSnapshot { of: layer_id(parent)?.to_owned(), name: id.to_owned() };
                vec![
                    zfs_snapshot(snapshot.clone()),
                    zfs_clone(snapshot.clone(), id),
                    zfs_destroy_snapshot(snapshot),
                ]
            }
        };
        match request.kind {
            LayerKind::Image => steps.extend([
                ensure_dir(home(GRAPH), 0o755),
                make_dir(content.clone(), 0o755),
                mount_zfs(id, &content, false),
            ]),
            LayerKind::Container => match request.settings.bytes("size")? {
                0 => {}
                size => steps.push(zfs_set(id, ZfsProperty::Quota(size))),
            },
        }
        Ok(Created { steps, content, format: Whiteouts::None })
    }

    fn commit(_: &Facts, request: &CommitRequest) -> Result<Plan, Refusal> {
        Self::unmount(&request.id)
    }

    fn mount(_: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
        let target = target(&request.id)?;
        let read_only = request.read_only || request.kind == LayerKind::Image;
        let steps = vec![
            ensure_dir(home(GRAPH), 0o755),
            ensure_dir(target.clone(), 0o755),
            mount_zfs(&request.id, &target, read_only),
        ];
        Ok(Mounted { steps, target })
    }

    fn unmount(id: &str) -> Result<Plan, Refusal> {
        let target = target(id)?;
        Ok(vec![unmount(target.clone()), remove_tree(target)])
    }

    fn remove(id: &str) -> Result<Plan, Refusal> {
        Ok(vec![remove_tree(target(id)?), zfs_destroy(id)])
    }

    fn usage(id: &str) -> Result<Place, Refusal> {
        target(id)
    }

    fn diff(id: &str) -> Result<Difference, Refusal> {
        layer_id(id).map(|_| Difference::Mounted)
    }

    fn footprint(id: &str) -> Result<Vec<Place>, Refusal> {
        Ok(vec![target(id)?])
    }

    fn examples() -> Vec<Example> {
        examples::all()
    }
}

nacre_driver_sdk::export!(Zfs);
