//! The planner as ordinary Rust: what it refuses, and how deep it goes.
// clippy takes only the functions marked #[test] for tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use nacre_driver_overlay2::Overlay2;
use nacre_driver_sdk::{
    Call, CommitRequest, CreateRequest, DepthFault, Facts, Filesystem, KernelVersion, LayerKind,
    MountRequest, OptionFault, OptionReason, OverlayFacts, OverlayOption, Refusal, Requirement, Setting,
    Step, StorageDriver, home, limit, make_dir,
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
            magic: 0xef53,
            d_type: true,
            trusted_xattrs: true,
            user_xattrs: true,
            reflink: true,
            project_quota: true,
        },
        filesystems: vec!["ext4".into(), "overlay".into()],
        tools: vec![],
        zfs: None,
        thin_pools: false,
    }
}

fn with_overlay(change: impl FnOnce(&mut OverlayFacts)) -> Facts {
    let mut facts = capable();
    facts.overlay.as_mut().map(change);
    facts
}

fn volatile(value: bool) -> Vec<Setting> {
    limited(value, 0, 0)
}

fn limited(volatile: bool, size: u64, inodes: u64) -> Vec<Setting> {
    let setting = |name: &str, value: String| Setting { name: name.into(), value };
    vec![
        setting("volatile", volatile.to_string()),
        setting("size", size.to_string()),
        setting("inodes", inodes.to_string()),
    ]
}

fn chain(length: usize) -> Vec<String> {
    (0..length).map(|number| format!("{number:064x}")).collect()
}

fn create(facts: &Facts, kind: LayerKind, parents: usize) -> Result<Vec<Step>, Refusal> {
    let request =
        CreateRequest { id: "e".repeat(64), kind, parents: Some(chain(parents)), settings: volatile(false) };
    Overlay2::create_layer(facts, &request).map(|created| created.steps)
}

fn mount(facts: &Facts, kind: LayerKind, parents: usize, volatile_on: bool) -> Vec<Step> {
    let request = MountRequest {
        id: "e".repeat(64),
        kind,
        parents: chain(parents),
        read_only: false,
        settings: volatile(volatile_on),
    };
    Overlay2::mount(facts, &request).unwrap().steps
}

#[test]
fn every_worked_example_is_what_the_planner_does() {
    for example in Overlay2::examples() {
        let facts = capable();
        let steps = match example.call {
            Call::Create(request) => Overlay2::create_layer(&facts, &request).map(|created| created.steps),
            Call::Commit(request) => Overlay2::commit(&facts, &request),
            Call::Mount(request) => Overlay2::mount(&facts, &request).map(|mounted| mounted.steps),
            Call::Unmount(id) => Overlay2::unmount(&id),
            Call::Remove(id) => Overlay2::remove(&id),
        };
        assert_eq!(steps, Ok(example.steps), "{}", example.title);
    }
}

#[test]
fn the_probe_names_the_first_thing_that_is_missing() {
    let refusal = |facts: &Facts| Overlay2::probe(facts, &volatile(false)).unwrap_err();
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
fn volatile_is_refused_where_the_kernel_lacks_it() {
    let old = with_overlay(|overlay| overlay.volatile = false);
    let fault = OptionFault { name: "volatile".into(), reason: OptionReason::Unavailable };
    assert_eq!(Overlay2::probe(&old, &volatile(true)), Err(Refusal::InvalidOption(fault)));
    assert!(Overlay2::probe(&old, &volatile(false)).is_ok());
}

#[test]
fn a_chain_that_could_not_be_mounted_is_refused_when_its_layer_is_created() {
    let facts = capable();
    assert!(create(&facts, LayerKind::Image, 498).is_ok());
    let fault = DepthFault { depth: 501, limit: 500 };
    assert_eq!(create(&facts, LayerKind::Image, 499), Err(Refusal::TooDeep(fault)));
    assert!(create(&facts, LayerKind::Container, 499).is_ok());
    assert_eq!(create(&facts, LayerKind::Container, 500), Err(Refusal::TooDeep(fault)));
}

#[test]
fn a_detached_layer_is_refused_at_its_commit() {
    let request = CommitRequest { id: "e".repeat(64), parents: chain(499) };
    let fault = DepthFault { depth: 501, limit: 500 };
    assert_eq!(Overlay2::commit(&capable(), &request), Err(Refusal::TooDeep(fault)));
}

#[test]
fn an_option_string_of_one_page_takes_dockers_128_layers() {
    let facts = with_overlay(|overlay| overlay.lowers_one_by_one = false);
    assert_eq!(Overlay2::probe(&facts, &volatile(true)).unwrap().max_depth, 128);
    assert!(create(&facts, LayerKind::Container, 127).is_ok());
    let fault = DepthFault { depth: 129, limit: 128 };
    assert_eq!(create(&facts, LayerKind::Container, 128), Err(Refusal::TooDeep(fault)));
}

#[test]
fn the_deepest_chain_really_fits_into_the_option_string() {
    let facts = with_overlay(|overlay| {
        overlay.lowers_one_by_one = false;
        overlay.max_option_bytes = 2000;
    });
    let limit = Overlay2::probe(&facts, &volatile(true)).unwrap().max_depth as usize;
    let steps = mount(&facts, LayerKind::Container, limit - 1, true);
    let Some(Step::MountOverlay(mount)) = steps.last() else { panic!("{steps:?}") };
    let lowers: Vec<&str> = mount.lowers.iter().map(|lower| lower.path.as_str()).collect();
    let upper = mount.upper.as_ref().unwrap();
    let string = format!(
        "lowerdir={},upperdir={},workdir={},index=off,metacopy=off,redirect_dir=off,volatile",
        lowers.join(":"),
        upper.upper.path,
        upper.work.path
    );
    assert!(string.len() <= 2000 && string.len() > 2000 - 60, "{} bytes", string.len());
}

#[test]
fn only_options_that_the_kernel_knows_are_asked_for() {
    let facts = with_overlay(|overlay| {
        overlay.metacopy = false;
        overlay.redirect_dir = false;
    });
    let steps = mount(&facts, LayerKind::Container, 1, false);
    let Some(Step::MountOverlay(mount)) = steps.last() else { panic!("{steps:?}") };
    assert_eq!(mount.options, [OverlayOption::Index(false)]);
}

#[test]
fn a_container_on_an_empty_image_is_a_writable_bind_mount() {
    let steps = mount(&capable(), LayerKind::Container, 0, false);
    let Some(Step::MountBind(bind)) = steps.last() else { panic!("{steps:?}") };
    assert!(!bind.read_only);
}

#[test]
fn a_limit_is_on_the_containers_folder_before_anything_is_in_it() {
    let create = |kind, settings| {
        let request = CreateRequest { id: "e".repeat(64), kind, parents: Some(chain(1)), settings };
        Overlay2::create_layer(&capable(), &request).unwrap().steps
    };
    let steps = create(LayerKind::Container, limited(false, 4096, 7));
    let place = home("e".repeat(64));
    assert_eq!(steps[1..3], [make_dir(place.clone(), 0o710), limit(place, Some(4096), Some(7))]);
    let is_limited = |steps: Vec<Step>| steps.iter().any(|step| matches!(step, Step::Limit(_)));
    assert!(is_limited(create(LayerKind::Container, limited(false, 0, 1))));
    assert!(!is_limited(create(LayerKind::Container, volatile(false))));
    assert!(!is_limited(create(LayerKind::Image, limited(false, 4096, 7))));
}

#[test]
fn a_limit_is_refused_where_the_file_system_has_no_project_quota() {
    let mut facts = capable();
    facts.home.project_quota = false;
    let missing = Refusal::Unsupported(Requirement::Quota);
    for settings in [limited(false, 4096, 0), limited(false, 0, 1)] {
        assert_eq!(Overlay2::probe(&facts, &settings), Err(missing.clone()));
        let request =
            CreateRequest { id: "e".repeat(64), kind: LayerKind::Container, parents: Some(vec![]), settings };
        assert_eq!(Overlay2::create_layer(&facts, &request).map(|made| made.steps), Err(missing.clone()));
    }
    assert!(Overlay2::probe(&facts, &volatile(false)).is_ok());
}

#[test]
fn no_bad_id_reaches_a_plan() {
    let bad = "../../etc".to_owned();
    let refused = Err(Refusal::BadLayerId(bad.clone()));
    assert_eq!(Overlay2::remove(&bad), refused);
    assert_eq!(Overlay2::unmount(&bad), refused);
    assert_eq!(Overlay2::footprint(&bad), Err(Refusal::BadLayerId(bad.clone())));
    let commit = CommitRequest { id: "e".repeat(64), parents: vec![bad] };
    assert_eq!(Overlay2::commit(&capable(), &commit), refused);
}

#[test]
fn a_limited_container_gets_room_for_its_mount_and_then_its_limit_again() {
    let mut facts = capable();
    facts.home.project_quota = true;
    let mounted = |kind, settings| {
        let request =
            MountRequest { id: "e".repeat(64), kind, parents: chain(1), read_only: false, settings };
        Overlay2::mount(&facts, &request).unwrap().steps
    };
    let steps = mounted(LayerKind::Container, limited(false, 20 << 20, 100));
    let [Step::Limit(first), _, Step::MountOverlay(_), Step::Limit(last)] = steps.as_slice() else {
        panic!("{steps:?}")
    };
    assert!(first.bytes > last.bytes && first.inodes > last.inodes);
    assert_eq!((last.bytes, last.inodes), (Some(20 << 20), Some(100)));
    for steps in
        [mounted(LayerKind::Container, volatile(false)), mounted(LayerKind::Image, limited(false, 1, 1))]
    {
        assert!(!steps.iter().any(|step| matches!(step, Step::Limit(_))), "{steps:?}");
    }
}
