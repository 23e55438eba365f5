//! The planner as ordinary Rust: what it refuses, and what it limits.
// clippy takes only the functions marked #[test] for tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use nacre_driver_btrfs::Btrfs;
use nacre_driver_sdk::{
    Call, CreateRequest, Facts, Filesystem, KernelVersion, LayerKind, OptionFault, OptionReason, Refusal,
    Requirement, Setting, Step, StorageDriver,
};

fn capable() -> Facts {
    Facts {
        kernel: KernelVersion { major: 6, minor: 18, patch: 0 },
        privileged: true,
        overlay: None,
        home: Filesystem {
            name: "btrfs".into(),
            magic: 0,
            d_type: true,
            trusted_xattrs: true,
            user_xattrs: true,
            reflink: true,
            project_quota: true,
        },
        filesystems: vec![],
        tools: vec![],
        zfs: None,
        thin_pools: false,
    }
}

#[test]
fn every_worked_example_is_what_the_planner_does() {
    for example in Btrfs::examples() {
        let facts = capable();
        let steps = match example.call {
            Call::Create(request) => Btrfs::create_layer(&facts, &request).map(|created| created.steps),
            Call::Commit(request) => Btrfs::commit(&facts, &request),
            Call::Mount(request) => Btrfs::mount(&facts, &request).map(|mounted| mounted.steps),
            Call::Unmount(id) => Btrfs::unmount(&id),
            Call::Remove(id) => Btrfs::remove(&id),
        };
        assert_eq!(steps, Ok(example.steps), "{}", example.title);
    }
}

#[test]
fn no_bad_id_reaches_a_plan() {
    let bad = "../../etc".to_owned();
    let refused = Err(Refusal::BadLayerId(bad.clone()));
    assert_eq!(Btrfs::remove(&bad), refused);
    assert_eq!(Btrfs::unmount(&bad), refused);
    assert_eq!(Btrfs::usage(&bad), Err(Refusal::BadLayerId(bad.clone())));
    assert_eq!(Btrfs::diff(&bad), Err(Refusal::BadLayerId(bad.clone())));
    assert_eq!(Btrfs::footprint(&bad), Err(Refusal::BadLayerId(bad.clone())));
    let create = |id: &str, parent: &str| CreateRequest {
        id: id.into(),
        kind: LayerKind::Container,
        parents: Some(vec![parent.into()]),
        settings: sizes(0, 0),
    };
    let good = "e".repeat(64);
    assert_eq!(Btrfs::create_layer(&capable(), &create(&bad, &good)).map(|c| c.steps), refused);
    assert_eq!(Btrfs::create_layer(&capable(), &create(&good, &bad)).map(|c| c.steps), refused);
}

fn sizes(size: u64, min_space: u64) -> Vec<Setting> {
    let setting = |name: &str, value: u64| Setting { name: name.into(), value: value.to_string() };
    vec![setting("size", size), setting("min_space", min_space)]
}

fn create(kind: LayerKind, size: u64, min_space: u64) -> Result<Vec<Step>, Refusal> {
    let parents = Some(vec!["a".repeat(64)]);
    let request = CreateRequest { id: "e".repeat(64), kind, parents, settings: sizes(size, min_space) };
    Btrfs::create_layer(&capable(), &request).map(|created| created.steps)
}

#[test]
fn it_works_on_btrfs_alone() {
    let none = sizes(0, 0);
    assert!(Btrfs::probe(&capable(), &none).is_ok());
    let refused = Btrfs::probe(&Facts { privileged: false, ..capable() }, &none);
    assert_eq!(refused, Err(Refusal::Unsupported(Requirement::Privilege)));
    let mut elsewhere = capable();
    elsewhere.home.name = "xfs".into();
    assert_eq!(Btrfs::probe(&elsewhere, &none), Err(Refusal::Unsupported(Requirement::Btrfs)));
}

#[test]
fn a_container_of_less_than_the_least_space_is_refused() {
    let fault = || OptionFault { name: "size".into(), reason: OptionReason::OutOfRange };
    assert_eq!(create(LayerKind::Container, 9, 10), Err(Refusal::InvalidOption(fault())));
    assert_eq!(Btrfs::probe(&capable(), &sizes(9, 10)), Err(Refusal::InvalidOption(fault())));
    assert!(create(LayerKind::Container, 10, 10).is_ok());
    // No limit is no small limit.
    assert!(create(LayerKind::Container, 0, 10).is_ok());
}

#[test]
fn images_are_not_limited() {
    let limits = |steps: Vec<Step>| steps.into_iter().filter(|step| matches!(step, Step::Limit(_))).count();
    assert_eq!(limits(create(LayerKind::Image, 10, 0).unwrap()), 0);
    assert_eq!(limits(create(LayerKind::Container, 10, 0).unwrap()), 1);
}
