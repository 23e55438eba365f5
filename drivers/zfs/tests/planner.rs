//! The planner as ordinary Rust: what it refuses, and that its examples are what it does.
// clippy takes only the functions marked #[test] for tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use nacre_driver_sdk::{
    Call, CreateRequest, Facts, Filesystem, KernelVersion, LayerKind, OptionFault, OptionReason, Refusal,
    Requirement, Setting, Step, StorageDriver, ZfsFacts,
};
use nacre_driver_zfs::Zfs;

fn facts(zfs: Option<ZfsFacts>) -> Facts {
    Facts {
        kernel: KernelVersion { major: 6, minor: 18, patch: 0 },
        privileged: true,
        overlay: None,
        home: Filesystem {
            name: "zfs".into(),
            magic: 0x2fc1_2fc1,
            d_type: true,
            trusted_xattrs: true,
            user_xattrs: true,
            reflink: false,
            project_quota: false,
        },
        filesystems: vec!["zfs".into()],
        tools: vec!["zfs".into(), "zpool".into()],
        thin_pools: false,
        zfs,
    }
}

fn capable() -> Facts {
    facts(Some(ZfsFacts { base: "tank/nacre".into(), legacy_mounts: true }))
}

fn settings(fsname: &str) -> Vec<Setting> {
    let setting = |name: &str, value: &str| Setting { name: name.into(), value: value.into() };
    vec![setting("fsname", fsname), setting("size", "0")]
}

#[test]
fn every_worked_example_is_what_the_planner_does() {
    for example in Zfs::examples() {
        let facts = capable();
        let steps = match example.call {
            Call::Create(request) => Zfs::create_layer(&facts, &request).map(|created| created.steps),
            Call::Commit(request) => Zfs::commit(&facts, &request),
            Call::Mount(request) => Zfs::mount(&facts, &request).map(|mounted| mounted.steps),
            Call::Unmount(id) => Zfs::unmount(&id),
            Call::Remove(id) => Zfs::remove(&id),
        };
        assert_eq!(steps, Ok(example.steps), "{}", example.title);
    }
}

#[test]
fn what_is_missing_is_said() {
    let probe = |facts: &Facts, fsname| Zfs::probe(facts, &settings(fsname)).map(|_| ());
    assert_eq!(probe(&capable(), ""), Ok(()));
    assert_eq!(probe(&facts(None), ""), Err(Refusal::Unsupported(Requirement::Zfs)));
    let fault = OptionFault { name: "fsname".into(), reason: OptionReason::Unavailable };
    assert_eq!(probe(&facts(None), "tank/none"), Err(Refusal::InvalidOption(fault)));
    let unprivileged = Facts { privileged: false, ..capable() };
    assert_eq!(probe(&unprivileged, ""), Err(Refusal::Unsupported(Requirement::Privilege)));
}

#[test]
fn an_id_of_another_form_never_becomes_a_dataset() {
    let good = "a".repeat(64);
    for id in ["", "..", "a/b", &"A".repeat(64), &format!("{good}@x"), &good[1..]] {
        let refused = Refusal::BadLayerId(id.to_owned());
        let create = |id: &str, parent: &str| {
            let (kind, parents) = (LayerKind::Image, Some(vec![parent.to_owned()]));
            let request = CreateRequest { id: id.to_owned(), kind, parents, settings: settings("") };
            Zfs::create_layer(&capable(), &request).map(drop)
        };
        assert_eq!(create(id, &good), Err(refused.clone()));
        assert_eq!(create(&good, id), Err(refused.clone()));
        assert_eq!(Zfs::remove(id), Err(refused.clone()));
        assert_eq!(Zfs::unmount(id), Err(refused.clone()));
        assert_eq!(Zfs::diff(id), Err(refused));
    }
}

#[test]
fn only_a_container_is_limited() {
    let create = |kind| {
        let mut settings = settings("");
        settings[1].value = "4096".into();
        let request = CreateRequest { id: "a".repeat(64), kind, parents: Some(vec![]), settings };
        Zfs::create_layer(&capable(), &request).unwrap().steps
    };
    let limits = |steps: &[Step]| steps.iter().filter(|step| matches!(step, Step::ZfsSet(_))).count();
    assert_eq!(limits(&create(LayerKind::Container)), 1);
    assert_eq!(limits(&create(LayerKind::Image)), 0);
}
