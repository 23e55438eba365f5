//! The planner as ordinary Rust: overlay2's plans, with another mount.
// clippy takes only the functions marked #[test] for tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use nacre_driver_fuse_overlay::FuseOverlay;
use nacre_driver_overlay2::Overlay2;
use nacre_driver_sdk::{
    Call, Facts, Filesystem, KernelVersion, LayerKind, MountRequest, Refusal, Requirement, Setting, Step,
    StorageDriver, Whiteouts,
};

/// A kernel without overlayfs.
fn facts() -> Facts {
    Facts {
        kernel: KernelVersion { major: 5, minor: 12, patch: 0 },
        privileged: true,
        overlay: None,
        home: Filesystem {
            name: "ext4".into(),
            magic: 0,
            d_type: true,
            trusted_xattrs: true,
            user_xattrs: true,
            reflink: false,
            project_quota: true,
        },
        filesystems: vec!["ext4".into(), "fuse".into()],
        tools: vec![],
        thin_pools: false,
        zfs: None,
    }
}

fn unlimited() -> Vec<Setting> {
    ["size", "inodes"].map(|name| Setting { name: name.into(), value: "0".into() }).into()
}

#[test]
fn every_worked_example_is_what_the_planner_does() {
    let examples = FuseOverlay::examples();
    assert!(!examples.is_empty());
    for example in examples {
        let Call::Mount(request) = example.call else { panic!("{}", example.title) };
        let mounted = FuseOverlay::mount(&facts(), &request).map(|mounted| mounted.steps);
        assert_eq!(mounted, Ok(example.steps), "{}", example.title);
    }
}

/// What lies on disk is overlay2's, so its examples hold here as well, but for how a layer is mounted.
#[test]
fn every_other_plan_is_overlay2s() {
    for example in Overlay2::examples() {
        let steps = match example.call {
            Call::Create(request) => {
                FuseOverlay::create_layer(&facts(), &request).map(|created| created.steps)
            }
            Call::Commit(request) => FuseOverlay::commit(&facts(), &request),
            Call::Mount(request) => {
                let steps = FuseOverlay::mount(&facts(), &request).map(|mounted| mounted.steps).unwrap();
                assert!(!steps.iter().any(|step| matches!(step, Step::MountOverlay(_))), "{}", example.title);
                continue;
            }
            Call::Unmount(id) => FuseOverlay::unmount(&id),
            Call::Remove(id) => FuseOverlay::remove(&id),
        };
        assert_eq!(steps, Ok(example.steps), "{}", example.title);
    }
}

#[test]
fn what_is_missing_is_said_and_overlayfs_is_not_needed() {
    let probe = |facts: &Facts| FuseOverlay::probe(facts, &unlimited()).map(|found| found.max_depth);
    let missing = |requirement| Err(Refusal::Unsupported(requirement));
    assert_eq!(probe(&facts()), Ok(500));
    assert_eq!(probe(&Facts { filesystems: vec![], ..facts() }), missing(Requirement::Fuse));
    assert_eq!(probe(&Facts { privileged: false, ..facts() }), missing(Requirement::Privilege));
}

#[test]
fn a_chain_is_mounted_by_the_union() {
    let parents: Vec<_> = (0..499).map(|number| format!("{number:064x}")).collect();
    let (id, kind) = ("e".repeat(64), LayerKind::Container);
    let request = MountRequest { id, kind, parents, read_only: false, settings: unlimited() };
    let steps = FuseOverlay::mount(&facts(), &request).unwrap().steps;
    let Some(Step::MountUnion(mount)) = steps.last() else { panic!("{steps:?}") };
    assert_eq!((mount.lowers.len(), mount.format), (499, Whiteouts::Overlay));
    assert!(mount.upper.is_some());
}
