//! The planner as ordinary Rust: what it refuses.
// clippy takes only the functions marked #[test] for tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use nacre_driver_overlay::Overlay;
use nacre_driver_sdk::{
    Call, CreateRequest, Facts, Filesystem, KernelVersion, LayerKind, MountRequest, OverlayFacts, Refusal,
    Requirement, Step, StorageDriver,
};

fn capable() -> Facts {
    Facts {
        kernel: KernelVersion { major: 6, minor: 18, patch: 0 },
        privileged: true,
        overlay: Some(OverlayFacts {
            lowers_one_by_one: true,
            max_lowers: 500,
            max_option_bytes: 4095,
            index: true,
            metacopy: true,
            redirect_dir: true,
            volatile: true,
            userxattr: true,
        }),
        home: Filesystem {
            name: "ext4".into(),
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
    for example in Overlay::examples() {
        let facts = capable();
        let steps = match example.call {
            Call::Create(request) => Overlay::create_layer(&facts, &request).map(|created| created.steps),
            Call::Commit(request) => Overlay::commit(&facts, &request),
            Call::Mount(request) => Overlay::mount(&facts, &request).map(|mounted| mounted.steps),
            Call::Unmount(id) => Overlay::unmount(&id),
            Call::Remove(id) => Overlay::remove(&id),
        };
        assert_eq!(steps, Ok(example.steps), "{}", example.title);
    }
}

#[test]
fn no_bad_id_reaches_a_plan() {
    let bad = "../../etc".to_owned();
    let refused = Err(Refusal::BadLayerId(bad.clone()));
    assert_eq!(Overlay::remove(&bad), refused);
    assert_eq!(Overlay::unmount(&bad), refused);
    assert_eq!(Overlay::usage(&bad), Err(Refusal::BadLayerId(bad.clone())));
    assert_eq!(Overlay::diff(&bad), Err(Refusal::BadLayerId(bad.clone())));
    assert_eq!(Overlay::footprint(&bad), Err(Refusal::BadLayerId(bad.clone())));
    let create = |id: &str, parent: &str| CreateRequest {
        id: id.into(),
        kind: LayerKind::Container,
        parents: Some(vec![parent.into()]),
        settings: vec![],
    };
    let good = "e".repeat(64);
    assert_eq!(Overlay::create_layer(&capable(), &create(&bad, &good)).map(|c| c.steps), refused);
    assert_eq!(Overlay::create_layer(&capable(), &create(&good, &bad)).map(|c| c.steps), refused);
}

#[test]
fn the_probe_names_the_first_thing_that_is_missing() {
    let refusal = |facts: &Facts| Overlay::probe(facts, &[]).unwrap_err();
    let missing = Refusal::Unsupported;
    assert_eq!(refusal(&Facts { privileged: false, ..capable() }), missing(Requirement::Privilege));
    assert_eq!(refusal(&Facts { overlay: None, ..capable() }), missing(Requirement::Overlay));
    let on = |change: fn(&mut Filesystem)| {
        let mut facts = capable();
        change(&mut facts.home);
        facts
    };
    assert_eq!(refusal(&on(|home| home.name = "nfs".into())), missing(Requirement::OtherFilesystem));
    assert_eq!(refusal(&on(|home| home.d_type = false)), missing(Requirement::DType));
    assert_eq!(refusal(&on(|home| home.trusted_xattrs = false)), missing(Requirement::TrustedXattrs));
}

#[test]
fn a_container_on_an_empty_image_is_a_tree_of_its_own() {
    let request = CreateRequest {
        id: "e".repeat(64),
        kind: LayerKind::Container,
        parents: Some(vec![]),
        settings: vec![],
    };
    let created = Overlay::create_layer(&capable(), &request).unwrap();
    assert!(created.content.path.ends_with("/root"), "{:?}", created.content);
    let request = MountRequest {
        id: "e".repeat(64),
        kind: LayerKind::Container,
        parents: vec![],
        read_only: false,
        settings: vec![],
    };
    let steps = Overlay::mount(&capable(), &request).unwrap().steps;
    assert!(matches!(steps.last(), Some(Step::MountBind(bind)) if !bind.read_only), "{steps:?}");
}
