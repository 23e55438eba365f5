//! What a nacre component is written with.
//!
//! A storage driver of nacre is a WebAssembly component that *plans*. It is handed facts about the machine and
//! a request ("a new layer on top of these"), and it answers with a list of steps. It performs none of them:
//! there is no file, no clock and no network here. nacre checks the steps against what the driver was granted,
//! writes them to its journal, and runs them. So every function of a driver is pure, and can be tested as
//! ordinary Rust on the machine at hand.
//!
//! Implement [`StorageDriver`], hand the type to [`export!`], and build the crate (a `cdylib`) for
//! `wasm32-unknown-unknown`; `nacre-guest-build` makes a component of it. Panics are reported by nacre with
//! their message.
//!
//! # A complete driver
//!
//! It gives every layer a folder of its own and stacks them with overlayfs.
//!
//! ```
//! use nacre_driver_sdk::*;
//!
//! struct Plain;
//!
//! impl StorageDriver for Plain {
//!     fn describe() -> Description {
//!         Description {
//!             name: "plain".into(),
//!             version: env!("CARGO_PKG_VERSION").into(),
//!             summary: "One folder for each layer, stacked with overlayfs.".into(),
//!             roles: vec![Role::StorageDriver],
//!             grants: vec![Grant::Tree, Grant::MountOverlay],
//!             options: vec![flag("fast", false, "Skip syncing; a power cut loses the container's changes.")],
//!         }
//!     }
//!
//!     fn layout() -> HomeLayout {
//!         HomeLayout { detached: true, shared: vec![] }
//!     }
//!
//!     fn probe(facts: &Facts, settings: &[Setting]) -> Result<Suitability, Refusal> {
//!         let overlay = facts.overlay.as_ref().ok_or(Refusal::Unsupported(Requirement::Overlay))?;
//!         if settings.flag("fast")? && !overlay.volatile {
//!             return Err(unavailable("fast"));
//!         }
//!         Ok(Suitability { max_depth: 2, how: None })
//!     }
//!
//!     fn create_layer(_: &Facts, request: &CreateRequest) -> Result<Created, Refusal> {
//!         let id = layer_id(&request.id)?;
//!         let mut steps = vec![make_dir(home(id), 0o710), make_dir(home(id).join("diff"), 0o755)];
//!         if request.kind == LayerKind::Container {
//!             steps.push(make_dir(home(id).join("work"), 0o700));
//!             steps.push(make_dir(home(id).join("merged"), 0o700));
//!         }
//!         Ok(Created { steps, content: home(id).join("diff"), format: Whiteouts::Overlay })
//!     }
//!
//!     fn commit(_: &Facts, _: &CommitRequest) -> Result<Plan, Refusal> {
//!         Ok(vec![])
//!     }
//!
//!     fn mount(_: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
//!         let own = home(layer_id(&request.id)?);
//!         let target = own.join("merged");
//!         let upper = OverlayUpper { upper: own.join("diff"), work: own.join("work") };
//!         let lowers = request.parents.iter().map(|parent| home(parent).join("diff")).collect();
//!         Ok(Mounted { steps: vec![mount_overlay(lowers, Some(upper), &target, vec![])], target })
//!     }
//!
//!     fn unmount(id: &str) -> Result<Plan, Refusal> {
//!         Ok(vec![unmount(home(layer_id(id)?).join("merged"))])
//!     }
//!
//!     fn remove(id: &str) -> Result<Plan, Refusal> {
//!         Ok(vec![remove_tree(home(layer_id(id)?))])
//!     }
//!
//!     fn usage(id: &str) -> Result<Place, Refusal> {
//!         Ok(home(layer_id(id)?).join("diff"))
//!     }
//!
//!     fn diff(id: &str) -> Result<Difference, Refusal> {
//!         Ok(Difference::Changes((home(layer_id(id)?).join("diff"), Whiteouts::Overlay)))
//!     }
//!
//!     fn footprint(id: &str) -> Result<Vec<Place>, Refusal> {
//!         Ok(vec![home(layer_id(id)?)])
//!     }
//!
//!     fn examples() -> Vec<Example> {
//!         let id = "a".repeat(64);
//!         vec![Example {
//!             title: "one folder is all that a layer has".into(),
//!             call: Call::Remove(id.clone()),
//!             steps: vec![remove_tree(home(&id))],
//!         }]
//!     }
//! }
//!
//! nacre_driver_sdk::export!(Plain);
//!
//! fn main() {
//!     // A driver's functions are ordinary ones.
//!     assert_eq!(Plain::remove(&"b".repeat(64)), Ok(vec![remove_tree(home("b".repeat(64)))]));
//!     assert!(Plain::remove("../etc").is_err());
//! }
//! ```

#[doc(hidden)]
pub mod bindings;

pub mod cache;
pub mod copy_up;
mod datasets;
mod driver;
pub mod log;
mod place;
pub mod search;
pub mod selection;
mod settings;
pub mod state;
mod steps;
mod thin;
mod union;

pub use bindings::described::exports::nacre::storage::component::{
    Description, Grant, OptionSpec, OptionType, Role,
};
pub use bindings::storage_driver::exports::nacre::storage::storage_driver::{
    Call, CommitRequest, CreateRequest, Difference, Example, HomeLayout, MountRequest, Planned, Suitability,
};
pub use bindings::storage_driver::nacre::storage::plan::{
    CopyTree, EnsureDir, Limit, MakeDir, MountAufs, MountBind, MountOverlay, MountTmpfs, MountUnion,
    MountZfs, OverlayOption, OverlayUpper, Plan, PoolDevices, PoolFiles, PoolStorage, Rename, SetState,
    Sharing, Step, SubvolumeCreate, SubvolumeSnapshot, Symlink, ThinCreate, ThinMount, ThinPool,
    ThinSnapshot, ThinSync, UnionPolicy, VolumeFormat, WriteFile, ZfsClone, ZfsProperty, ZfsSet, ZfsSnapshot,
};
pub use bindings::storage_driver::nacre::storage::types::{
    DepthFault, Error as Refusal, Facts, Filesystem, KernelVersion, LayerId, LayerKind, OptionFault,
    OptionReason, OverlayFacts, Place, Requirement, Root, Setting, Whiteouts, ZfsFacts,
};
pub use datasets::{
    mount_aufs, mount_zfs, zfs_clone, zfs_create, zfs_destroy, zfs_destroy_snapshot, zfs_set, zfs_snapshot,
};
#[doc(hidden)]
pub use driver::Exported;
pub use driver::{Created, Mounted, StorageDriver};
pub use place::{home, layer_id, run};
pub use settings::{Settings, bytes, choice, flag, number, text, unavailable};
pub use steps::{
    copy_tree, ensure_dir, limit, link_tree, make_dir, mount_bind, mount_overlay, mount_tmpfs, remove_state,
    remove_tree, rename, set_state, subvolume_create, subvolume_delete, subvolume_snapshot, symlink, unmount,
    write_file,
};
pub use thin::{
    thin_activate, thin_create, thin_deactivate, thin_delete, thin_mount, thin_pool, thin_snapshot, thin_sync,
};
pub use union::{mount_union, union_options};
