//! overlay2's layout, mounted by nacre's own union in place of the kernel's overlayfs.
//!
//! What lies on disk is overlay2's to the last byte, so its planner is used for all of it; a mount of overlayfs in
//! its answers becomes one of the union.

use nacre_driver_overlay2::{Overlay2, limit};
use nacre_driver_sdk::{
    Call, CommitRequest, CreateRequest, Created, Description, Difference, Example, Facts, Grant, HomeLayout,
    LayerKind, MountRequest, Mounted, OverlayFacts, OverlayUpper, Place, Plan, Refusal, Requirement, Role,
    Setting, Step, StorageDriver, Suitability, Whiteouts, ensure_dir, home, mount_union, union_options,
};

/// The driver.
#[derive(Debug)]
pub struct FuseOverlay;

/// What the union takes: its server holds each layer open.
const MAX_LAYERS: u32 = 500;

/// The facts on which overlay2's planner plans for the union: no limit but [`MAX_LAYERS`], and no mount option.
fn for_union(facts: &Facts) -> Facts {
    let overlay = OverlayFacts {
        lowers_one_by_one: true,
        max_lowers: MAX_LAYERS,
        max_option_bytes: 0,
        index: false,
        metacopy: false,
        redirect_dir: false,
        volatile: false,
        userxattr: false,
    };
    Facts { overlay: Some(overlay), ..facts.clone() }
}

/// In place: the component is smaller for it.
fn by_union(steps: &mut [Step], settings: &[Setting]) {
    for step in steps {
        if let Step::MountOverlay(it) = step {
            let (lowers, upper) = (std::mem::take(&mut it.lowers), it.upper.take());
            *step = mount_union(lowers, upper, &it.target, Whiteouts::Overlay, settings);
        }
    }
}

impl StorageDriver for FuseOverlay {
    fn describe() -> Description {
        Description {
            name: "fuse-overlay".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "One folder for each layer, in overlay2's layout, stacked by nacre's own union.".into(),
            roles: vec![Role::StorageDriver],
            grants: vec![Grant::Tree, Grant::MountUnion, Grant::MountBind, Grant::Limit],
            options: limit::options().into_iter().chain(union_options()).collect(),
        }
    }

    fn layout() -> HomeLayout {
        Overlay2::layout()
    }

    fn probe(facts: &Facts, settings: &[Setting]) -> Result<Suitability, Refusal> {
        let missing = |requirement| Err(Refusal::Unsupported(requirement));
        if !facts.privileged {
            return missing(Requirement::Privilege);
        }
        if !facts.filesystems.iter().any(|name| name == "fuse") {
            return missing(Requirement::Fuse);
        }
        if !facts.home.trusted_xattrs {
            return missing(Requirement::TrustedXattrs);
        }
        limit::limits(facts, settings)?;
        Ok(Suitability { max_depth: MAX_LAYERS, how: None })
    }

    fn create_layer(facts: &Facts, request: &CreateRequest) -> Result<Created, Refusal> {
        Overlay2::create_layer(&for_union(facts), request)
    }

    fn commit(facts: &Facts, request: &CommitRequest) -> Result<Plan, Refusal> {
        Overlay2::commit(&for_union(facts), request)
    }

    fn mount(facts: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
        let mut mounted = Overlay2::mount(&for_union(facts), request)?;
        by_union(&mut mounted.steps, &request.settings);
        Ok(mounted)
    }

    fn unmount(id: &str) -> Result<Plan, Refusal> {
        Overlay2::unmount(id)
    }

    fn remove(id: &str) -> Result<Plan, Refusal> {
        Overlay2::remove(id)
    }

    fn usage(id: &str) -> Result<Place, Refusal> {
        Overlay2::usage(id)
    }

    fn diff(id: &str) -> Result<Difference, Refusal> {
        Overlay2::diff(id)
    }

    fn footprint(id: &str) -> Result<Vec<Place>, Refusal> {
        Overlay2::footprint(id)
    }

    /// Of the mount alone: all others are overlay2's.
    fn examples() -> Vec<Example> {
        let id = |digit: &str| digit.repeat(64);
        let own = id("c");
        let merged = home(format!("{own}/merged"));
        let upper = OverlayUpper { upper: home(format!("{own}/diff")), work: home(format!("{own}/work")) };
        // The short names of the layers below.
        let lowers = ["l/XO53XO53XO53XO53XO53XO53XO", "l/VKVKVKVKVKVKVKVKVKVKVKVKVK"].map(home).into();
        vec![Example {
            title: "a container, on both layers of its image".into(),
            call: Call::Mount(MountRequest {
                id: own,
                kind: LayerKind::Container,
                parents: vec![id("b"), id("a")],
                read_only: false,
                settings: vec![],
            }),
            steps: vec![
                ensure_dir(merged.clone(), 0o700),
                mount_union(lowers, Some(upper), &merged, Whiteouts::Overlay, &[]),
            ],
        }]
    }
}

nacre_driver_sdk::export!(FuseOverlay);
