//! The planner as ordinary Rust: what it refuses, and how deep it goes.
// clippy takes only the functions marked #[test] for tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use nacre_driver_aufs::Aufs;
use nacre_driver_sdk::{
    Call, CommitRequest, CreateRequest, DepthFault, Facts, Filesystem, KernelVersion, LayerKind,
    MountRequest, Refusal, Requirement, Step, StorageDriver, Whiteouts, home,
};

fn on(filesystem: &str) -> Facts {
    Facts {
        kernel: KernelVersion { major: 5, minor: 4, patch: 0 },
        privileged: true,
        overlay: None,
        home: Filesystem {
            name: filesystem.into(),
            magic: 0,
            d_type: true,
            trusted_xattrs: true,
            user_xattrs: true,
            reflink: false,
            project_quota: false,
        },
        filesystems: vec!["aufs".into(), "ext4".into()],
        tools: vec![],
        thin_pools: false,
        zfs: None,
    }
}

fn chain(length: usize) -> Vec<String> {
    (0..length).map(|number| format!("{number:064x}")).collect()
}

fn own() -> String {
    "e".repeat(64)
}

fn create(kind: LayerKind, parents: usize) -> Result<Vec<Step>, Refusal> {
    let request = CreateRequest { id: own(), kind, parents: Some(chain(parents)), settings: vec![] };
    Aufs::create_layer(&on("ext4"), &request).map(|created| created.steps)
}

#[test]
fn every_worked_example_is_what_the_planner_does() {
    for example in Aufs::examples() {
        let facts = on("ext4");
        let steps = match example.call {
            Call::Create(request) => Aufs::create_layer(&facts, &request).map(|created| created.steps),
            Call::Commit(request) => Aufs::commit(&facts, &request),
            Call::Mount(request) => Aufs::mount(&facts, &request).map(|mounted| mounted.steps),
            Call::Unmount(id) => Aufs::unmount(&id),
            Call::Remove(id) => Aufs::remove(&id),
        };
        assert_eq!(steps, Ok(example.steps), "{}", example.title);
    }
}

#[test]
fn what_is_missing_is_said() {
    let probe = |facts: &Facts| Aufs::probe(facts, &[]).map(|found| found.max_depth);
    let missing = |requirement| Err(Refusal::Unsupported(requirement));
    assert_eq!(probe(&on("ext4")), Ok(127));
    assert_eq!(probe(&on("btrfs")), missing(Requirement::OtherFilesystem));
    let without = |others: &[&str]| Facts {
        filesystems: others.iter().map(|name| (*name).to_owned()).collect(),
        ..on("btrfs")
    };
    assert_eq!(probe(&without(&["ext4"])), missing(Requirement::Aufs));
    assert_eq!(probe(&without(&["ext4", "fuse"])), Ok(500));
    assert_eq!(probe(&Facts { privileged: false, ..on("ext4") }), missing(Requirement::Privilege));
}

#[test]
fn a_chain_ends_where_aufs_takes_no_more_branches() {
    let too_deep = Err(Refusal::TooDeep(DepthFault { depth: 128, limit: 127 }));
    assert!(create(LayerKind::Container, 126).is_ok());
    assert_eq!(create(LayerKind::Container, 127), too_deep);
    assert!(create(LayerKind::Image, 125).is_ok(), "a container is to fit on top");
    assert_eq!(create(LayerKind::Image, 126), too_deep);
    let request = CommitRequest { id: own(), parents: chain(126) };
    assert_eq!(Aufs::commit(&on("ext4"), &request), too_deep);
}

#[test]
fn all_branches_of_a_deep_chain_are_in_the_plan_in_order() {
    let (kind, parents) = (LayerKind::Container, chain(126));
    let request = MountRequest { id: own(), kind, parents, read_only: false, settings: vec![] };
    let steps = Aufs::mount(&on("ext4"), &request).unwrap().steps;
    let [Step::MountAufs(mount)] = steps.as_slice() else { panic!("{steps:?}") };
    let wanted: Vec<_> = chain(126).iter().map(|id| home(format!("diff/{id}"))).collect();
    assert_eq!(mount.lowers, wanted);
    assert_eq!(mount.upper, Some(home(format!("diff/{}", own()))));
}

#[test]
fn a_kernel_without_aufs_has_the_same_layout_mounted_by_the_union() {
    let facts = Facts { filesystems: vec!["fuse".into()], ..on("ext4") };
    let (kind, parents) = (LayerKind::Container, chain(2));
    let create = CreateRequest { id: own(), kind, parents: Some(parents.clone()), settings: vec![] };
    let made = Aufs::create_layer(&facts, &create).unwrap().steps;
    assert_eq!(made[..made.len() - 2], create_steps(&create), "and a folder to work in");
    let request = MountRequest { id: own(), kind, parents, read_only: false, settings: vec![] };
    let steps = Aufs::mount(&facts, &request).unwrap().steps;
    let Some(Step::MountUnion(mount)) = steps.last() else { panic!("{steps:?}") };
    let [top, base] = [0, 1].map(|number| home(format!("diff/{}", chain(2)[number])));
    assert_eq!(mount.lowers, [top, base]);
    let upper = mount.upper.as_ref().unwrap();
    let own = [home(format!("diff/{}", own())), home(format!("work/{}", own()))];
    assert_eq!([&upper.upper, &upper.work], [&own[0], &own[1]]);
    assert_eq!(mount.format, Whiteouts::Aufs);
}

/// What the kernel's aufs needs.
fn create_steps(request: &CreateRequest) -> Vec<Step> {
    Aufs::create_layer(&on("ext4"), request).unwrap().steps
}

#[test]
fn an_id_of_another_form_never_becomes_a_path() {
    for id in ["", "..", "a/b", &"A".repeat(64), &"a".repeat(63)] {
        assert_eq!(Aufs::remove(id), Err(Refusal::BadLayerId(id.to_owned())));
        let request = CommitRequest { id: own(), parents: vec![id.to_owned()] };
        assert_eq!(Aufs::commit(&on("ext4"), &request), Err(Refusal::BadLayerId(id.to_owned())));
    }
}
