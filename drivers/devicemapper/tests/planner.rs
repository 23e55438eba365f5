//! The planner as ordinary Rust: what it refuses, and what the options come to.
// clippy takes only the functions marked #[test] for tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use nacre_driver_devicemapper::Devicemapper;
use nacre_driver_sdk::{
    Call, CreateRequest, Facts, Filesystem, KernelVersion, LayerKind, OptionFault, OptionReason, PoolDevices,
    PoolStorage, Refusal, Requirement, Setting, Step, StorageDriver, VolumeFormat,
};

fn capable() -> Facts {
    Facts {
        kernel: KernelVersion { major: 6, minor: 1, patch: 0 },
        privileged: true,
        overlay: None,
        home: Filesystem {
            name: "ext4".into(),
            magic: 0,
            d_type: true,
            trusted_xattrs: true,
            user_xattrs: true,
            reflink: false,
            project_quota: false,
        },
        filesystems: vec!["ext4".into(), "xfs".into()],
        tools: vec!["mkfs.ext4".into(), "mkfs.xfs".into()],
        zfs: None,
        thin_pools: true,
    }
}

/// The defaults, with some that are set.
fn settings(set: &[(&str, &str)]) -> Vec<Setting> {
    let value =
        |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let specs = Devicemapper::describe().options.into_iter();
    specs.map(|spec| Setting { value: value(&spec.name).unwrap_or(spec.default), name: spec.name }).collect()
}

fn create(kind: LayerKind, parents: &[&str], set: &[(&str, &str)]) -> Result<Vec<Step>, Refusal> {
    let request = CreateRequest {
        id: "c".repeat(64),
        kind,
        parents: Some(parents.iter().map(|&parent| parent.to_owned()).collect()),
        settings: settings(set),
    };
    Devicemapper::create_layer(&capable(), &request).map(|created| created.steps)
}

fn probe(set: &[(&str, &str)]) -> Result<(), Refusal> {
    Devicemapper::probe(&capable(), &settings(set)).map(drop)
}

fn refused(name: &str, reason: OptionReason) -> Result<(), Refusal> {
    Err(Refusal::InvalidOption(OptionFault { name: name.into(), reason }))
}

#[test]
fn every_worked_example_is_what_the_planner_does() {
    for example in Devicemapper::examples() {
        let facts = capable();
        let steps = match example.call {
            Call::Create(request) => Devicemapper::create_layer(&facts, &request).map(|made| made.steps),
            Call::Commit(request) => Devicemapper::commit(&facts, &request),
            Call::Mount(request) => Devicemapper::mount(&facts, &request).map(|mounted| mounted.steps),
            Call::Unmount(id) => Devicemapper::unmount(&id),
            Call::Remove(id) => Devicemapper::remove(&id),
        };
        assert_eq!(steps, Ok(example.steps), "{}", example.title);
    }
}

#[test]
fn no_bad_id_reaches_a_plan() {
    let bad = "../../etc".to_owned();
    let refusal = Refusal::BadLayerId(bad.clone());
    assert_eq!(Devicemapper::remove(&bad), Err(refusal.clone()));
    assert_eq!(Devicemapper::unmount(&bad), Err(refusal.clone()));
    assert_eq!(Devicemapper::usage(&bad), Err(refusal.clone()));
    assert_eq!(Devicemapper::diff(&bad), Err(refusal.clone()));
    assert_eq!(Devicemapper::footprint(&bad), Err(refusal.clone()));
    assert_eq!(create(LayerKind::Image, &[&bad], &[]), Err(refusal));
}

#[test]
fn the_first_requirement_that_is_missing_is_named() {
    let without = |change: fn(&mut Facts)| {
        let mut facts = capable();
        change(&mut facts);
        Devicemapper::probe(&facts, &settings(&[])).map(drop)
    };
    let lacks = |requirement| Err(Refusal::Unsupported(requirement));
    assert_eq!(without(|_| {}), Ok(()));
    assert_eq!(without(|facts| facts.privileged = false), lacks(Requirement::Privilege));
    assert_eq!(without(|facts| facts.thin_pools = false), lacks(Requirement::ThinPools));
    assert_eq!(without(|facts| facts.tools.clear()), lacks(Requirement::FilesystemTools));
}

#[test]
fn the_file_system_is_xfs_where_that_is_known_unless_one_is_named() {
    let format = |facts: &Facts, wanted: &str| {
        let request = CreateRequest {
            id: "c".repeat(64),
            kind: LayerKind::Image,
            parents: Some(vec![]),
            settings: settings(&[("fs", wanted)]),
        };
        let steps = Devicemapper::create_layer(facts, &request)?.steps;
        Ok(steps.into_iter().find_map(|step| match step {
            Step::ThinCreate(base) => Some(base.format),
            _ => None,
        }))
    };
    let mut facts = capable();
    assert_eq!(format(&facts, "auto"), Ok(Some(VolumeFormat::Xfs)));
    assert_eq!(format(&facts, "ext4"), Ok(Some(VolumeFormat::Ext4)));
    facts.filesystems.retain(|known| known != "xfs");
    assert_eq!(format(&facts, "auto"), Ok(Some(VolumeFormat::Ext4)));
    assert_eq!(format(&facts, "xfs"), Err(Refusal::Unsupported(Requirement::FilesystemTools)));
}

#[test]
fn the_pool_lies_on_files_on_two_devices_or_is_there() {
    let storage = |set: &[(&str, &str)]| -> Result<_, Refusal> {
        let steps = create(LayerKind::Container, &[], set)?;
        let Some(Step::ThinPool(pool)) = steps.into_iter().next() else { panic!("the pool comes first") };
        Ok((pool.storage, pool.discard))
    };
    assert!(matches!(storage(&[]), Ok((PoolStorage::Files(_), true))));
    let both = [("datadev", "/dev/sdb"), ("metadatadev", "/dev/sdc")];
    let devices = PoolDevices { data: "/dev/sdb".into(), metadata: "/dev/sdc".into() };
    assert_eq!(storage(&both), Ok((PoolStorage::Devices(devices), false)));
    let pool = Ok::<_, Refusal>((PoolStorage::Pool("vg-pool".into()), true));
    assert_eq!(storage(&[("thinpooldev", "/dev/mapper/vg-pool"), ("blkdiscard", "true")]), pool);

    assert_eq!(probe(&both[..1]), refused("datadev", OptionReason::Conflict));
    assert_eq!(probe(&both[1..]), refused("metadatadev", OptionReason::Conflict));
    let all = [both[0], both[1], ("thinpooldev", "vg-pool")];
    assert_eq!(probe(&all), refused("thinpooldev", OptionReason::Conflict));
}

#[test]
fn values_that_no_pool_could_have_are_refused() {
    let out_of_range = OptionReason::OutOfRange;
    for (name, value) in [
        ("basesize", "0"),
        ("basesize", "1000"),
        ("blocksize", "0"),
        ("blocksize", "65537"),
        ("blocksize", "2147483648"),
        ("min_free_space", "100%"),
        ("min_free_space", "-1%"),
        ("min_free_space", "some"),
        ("loopmetadatasize", "1"),
        ("size", "1073741824"),
    ] {
        assert_eq!(probe(&[(name, value)]), refused(name, out_of_range), "{name}={value}");
    }
    for value in ["0%", "0", "99%"] {
        assert_eq!(probe(&[("min_free_space", value)]), Ok(()), "{value}");
    }
}

#[test]
fn a_size_is_a_containers_and_not_an_images() {
    let size = |kind| {
        let steps = create(kind, &[&"a".repeat(64)], &[("size", "21474836480")]).unwrap();
        steps.into_iter().find_map(|step| match step {
            Step::ThinSnapshot(made) => made.bytes,
            _ => None,
        })
    };
    assert_eq!(size(LayerKind::Container), Some(20 << 30));
    assert_eq!(size(LayerKind::Image), None);
}

#[test]
fn options_of_mkfs_are_handed_on_word_by_word() {
    let steps = create(LayerKind::Image, &[], &[("mkfsarg", " -i  8192 -m0")]).unwrap();
    let Some(Step::ThinCreate(base)) = steps.get(1) else { panic!("the base volume comes second") };
    assert_eq!(base.arguments, ["-i", "8192", "-m0"]);
}
