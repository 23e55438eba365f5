//! The planner as ordinary Rust: what it refuses.
// clippy takes only the functions marked #[test] for tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use nacre_driver_sdk::{
    Call, CreateRequest, Facts, Filesystem, KernelVersion, LayerKind, Refusal, Requirement, StorageDriver,
};
use nacre_driver_vfs::Vfs;

fn capable() -> Facts {
    Facts {
        kernel: KernelVersion { major: 6, minor: 18, patch: 0 },
        privileged: true,
        overlay: None,
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
    for example in Vfs::examples() {
        let facts = capable();
        let steps = match example.call {
            Call::Create(request) => Vfs::create_layer(&facts, &request).map(|created| created.steps),
            Call::Commit(request) => Vfs::commit(&facts, &request),
            Call::Mount(request) => Vfs::mount(&facts, &request).map(|mounted| mounted.steps),
            Call::Unmount(id) => Vfs::unmount(&id),
            Call::Remove(id) => Vfs::remove(&id),
        };
        assert_eq!(steps, Ok(example.steps), "{}", example.title);
    }
}

#[test]
fn no_bad_id_reaches_a_plan() {
    let bad = "../../etc".to_owned();
    let refused = Err(Refusal::BadLayerId(bad.clone()));
    assert_eq!(Vfs::remove(&bad), refused);
    assert_eq!(Vfs::unmount(&bad), refused);
    assert_eq!(Vfs::usage(&bad), Err(Refusal::BadLayerId(bad.clone())));
    assert_eq!(Vfs::diff(&bad), Err(Refusal::BadLayerId(bad.clone())));
    assert_eq!(Vfs::footprint(&bad), Err(Refusal::BadLayerId(bad.clone())));
    let create = |id: &str, parent: &str| CreateRequest {
        id: id.into(),
        kind: LayerKind::Container,
        parents: Some(vec![parent.into()]),
        settings: vec![],
    };
    let good = "e".repeat(64);
    assert_eq!(Vfs::create_layer(&capable(), &create(&bad, &good)).map(|c| c.steps), refused);
    assert_eq!(Vfs::create_layer(&capable(), &create(&good, &bad)).map(|c| c.steps), refused);
}

#[test]
fn it_works_wherever_it_may_mount() {
    assert!(Vfs::probe(&capable(), &[]).is_ok());
    let refused = Vfs::probe(&Facts { privileged: false, ..capable() }, &[]);
    assert_eq!(refused, Err(Refusal::Unsupported(Requirement::Privilege)));
}
