//! Every rule of the contract, with a plan that keeps it and plans that break it.

use nacre_plugin::plan::{
    CopyTree, EnsureDir, MakeDir, MountBind, MountOverlay, MountTmpfs, OverlayUpper, Rename, SetState,
    Sharing, Symlink, WriteFile,
};

use super::*;

const ALL: [Grant; 7] = [
    Grant::Tree,
    Grant::MountOverlay,
    Grant::MountBind,
    Grant::MountTmpfs,
    Grant::State,
    Grant::Subvolume,
    Grant::Limit,
];

fn own() -> String {
    "a".repeat(64)
}

fn other() -> String {
    "b".repeat(64)
}

fn home(path: impl Into<String>) -> Place {
    Place { root: Root::Home, path: path.into() }
}

fn at(name: &str) -> Place {
    home(format!("{}/{name}", own()))
}

/// Checks a plan of a driver whose layer owns its folder and a name in the shared folder `l`.
fn judge_as(grants: &[Grant], steps: Vec<Step>) -> Result<(), PlanFault> {
    let footprint = [home(own()), home("l/AAA"), Place { root: Root::Run, path: own() }];
    let shared = ["l".to_owned()];
    check(
        &steps,
        &Rules {
            driver: "d",
            grants,
            layer: &own(),
            footprint: &footprint,
            shared: &shared,
            settings: &[],
            links: true,
        },
    )
}

fn judge(step: Step) -> Result<(), PlanFault> {
    judge_as(&ALL, vec![step])
}

#[track_caller]
fn refused(step: Step, words: &str) {
    let shown = format!("{step:?}");
    let fault = judge(step).expect_err(&shown).to_string();
    assert!(fault.contains(words), "{shown}\n{fault}");
}

fn make_dir(at: Place) -> Step {
    Step::MakeDir(MakeDir { at, mode: 0o700 })
}

fn symlink(at: Place, target: &str) -> Step {
    Step::Symlink(Symlink { at, target: target.to_owned() })
}

fn overlay(lowers: Vec<Place>, upper: bool, options: Vec<OverlayOption>) -> Step {
    let upper = upper.then(|| OverlayUpper { upper: at("diff"), work: at("work") });
    Step::MountOverlay(MountOverlay { lowers, upper, target: at("merged"), options })
}

fn bind(source: Place, read_only: bool) -> Step {
    Step::MountBind(MountBind { source, target: at("merged"), read_only })
}

/// A good step of each kind.
fn good() -> Vec<Step> {
    vec![
        make_dir(home(own())),
        Step::EnsureDir(EnsureDir { at: home("l"), mode: 0o700 }),
        Step::WriteFile(WriteFile { at: at("link"), content: vec![0; 64 << 10], mode: 0o644 }),
        symlink(home("l/AAA"), &format!("../{}/diff", own())),
        Step::Rename(Rename { source: at("x"), target: at("y") }),
        Step::CopyTree(CopyTree { source: home(other()), target: at("copy"), sharing: Sharing::Data }),
        Step::RemoveTree(at("x")),
        overlay(vec![home("l/BBB")], true, vec![OverlayOption::Index(false), OverlayOption::Volatile]),
        bind(at("diff"), true),
        Step::MountTmpfs(MountTmpfs { target: at("t"), size: Some(0), mode: 0o7777 }),
        Step::Unmount(at("merged")),
        Step::SetState(SetState { key: "k".repeat(256), value: vec![0; 64 << 10] }),
        Step::RemoveState("k".to_owned()),
    ]
}

#[test]
fn a_plan_that_keeps_the_rules_is_accepted() {
    assert_eq!(judge_as(&ALL, good()), Ok(()));
    assert_eq!(judge_as(&[], Vec::new()), Ok(()));
    assert_eq!(judge(make_dir(Place { root: Root::Run, path: format!("{}/x", own()) })), Ok(()));
}

#[test]
fn a_step_needs_the_grant_of_its_kind() {
    for step in good() {
        let needed = step.needs_one_of();
        for grant in ALL {
            let verdict = judge_as(&[grant], vec![step.clone()]);
            assert_eq!(verdict.is_ok(), needed.contains(&grant), "{} with {grant}", step.name());
        }
        let fault = judge_as(&[], vec![step.clone()]).unwrap_err();
        assert!(
            matches!(&fault, PlanFault::Ungranted { step: 1, kind, .. } if *kind == step.name()),
            "{fault}"
        );
    }
}

#[test]
fn a_layer_that_is_written_to_has_no_file_in_common_with_another() {
    let (footprint, layer) = ([home(own())], own());
    let copy = |sharing| {
        Step::CopyTree(CopyTree { source: home(format!("{}/d", other())), target: at("d"), sharing })
    };
    let judge = |sharing, links| {
        let rules = Rules {
            driver: "d",
            grants: &ALL,
            layer: &layer,
            footprint: &footprint,
            shared: &[],
            settings: &[],
            links,
        };
        check(&vec![copy(sharing)], &rules)
    };
    assert_eq!(judge(Sharing::Files, true), Ok(()));
    assert_eq!(judge(Sharing::Data, false), Ok(()));
    let fault = judge(Sharing::Files, false).unwrap_err().to_string();
    assert!(fault.contains("files in common"), "{fault}");
}

#[test]
fn the_fault_counts_its_step_from_one() {
    let fault = judge_as(&ALL, vec![make_dir(at("x")), make_dir(home("../x"))]).unwrap_err();
    assert!(fault.to_string().starts_with("step 2 (make-dir) names the path `../x`"), "{fault}");
}

#[test]
fn a_path_is_plain_names_below_its_root() {
    let long = "x".repeat(256);
    let deep = "y/".repeat(1100) + "z";
    let cases = [
        ("", "the root itself"),
        ("/etc/x", "absolute"),
        ("//x", "absolute"),
        ("../x", "`..`"),
        ("..", "`..`"),
        (".", "`.`"),
        ("a/../../x", "`..`"),
        ("a/./b", "`.`"),
        ("a//b", "empty name"),
        ("a/", "empty name"),
        ("a\0b", "NUL"),
        (&long, "too long"),
        (&deep, "too long"),
    ];
    for (path, words) in cases {
        let place = || home(path);
        for step in [
            make_dir(place()),
            Step::EnsureDir(EnsureDir { at: place(), mode: 0 }),
            Step::WriteFile(WriteFile { at: place(), content: vec![], mode: 0 }),
            symlink(place(), "x"),
            Step::Rename(Rename { source: place(), target: at("y") }),
            Step::Rename(Rename { source: at("x"), target: place() }),
            Step::CopyTree(CopyTree { source: place(), target: at("y"), sharing: Sharing::Data }),
            Step::CopyTree(CopyTree { source: at("x"), target: place(), sharing: Sharing::Data }),
            Step::RemoveTree(place()),
            overlay(vec![place(), at("x")], false, vec![]),
            bind(place(), true),
            Step::MountTmpfs(MountTmpfs { target: place(), size: None, mode: 0 }),
            Step::Unmount(place()),
        ] {
            refused(step, words);
        }
        let fault = beside(&place(), &[home(own())]).unwrap_err().to_string();
        assert!(fault.contains(words), "{path:?}: {fault}");
    }
}

#[test]
fn a_paths_control_characters_do_not_reach_the_terminal() {
    let fault = judge(make_dir(home("x\u{1b}[2J\n/.."))).unwrap_err().to_string();
    assert!(!fault.chars().any(char::is_control), "{fault:?}");
}

#[test]
fn what_is_another_layers_cannot_be_changed() {
    let foreign = || home(format!("{}/diff", other()));
    for step in [
        make_dir(foreign()),
        Step::EnsureDir(EnsureDir { at: foreign(), mode: 0 }),
        Step::WriteFile(WriteFile { at: foreign(), content: vec![], mode: 0 }),
        symlink(foreign(), "x"),
        Step::Rename(Rename { source: foreign(), target: at("y") }),
        Step::Rename(Rename { source: at("y"), target: foreign() }),
        Step::CopyTree(CopyTree { source: at("y"), target: foreign(), sharing: Sharing::Data }),
        Step::RemoveTree(foreign()),
        Step::MountTmpfs(MountTmpfs { target: foreign(), size: None, mode: 0 }),
        Step::Unmount(foreign()),
        // Whoever writes into the mount would write into the other layer.
        bind(foreign(), false),
    ] {
        refused(step, "footprint");
    }
    assert_eq!(judge(bind(foreign(), true)), Ok(()));
    assert_eq!(
        judge(Step::CopyTree(CopyTree { source: foreign(), target: at("y"), sharing: Sharing::Data })),
        Ok(())
    );
}

#[test]
fn an_overlays_writable_part_and_target_are_the_layers_own() {
    let foreign = || home(format!("{}/diff", other()));
    let mount = |upper, work, target| {
        let upper = Some(OverlayUpper { upper, work });
        Step::MountOverlay(MountOverlay { lowers: vec![foreign()], upper, target, options: vec![] })
    };
    assert_eq!(judge(mount(at("diff"), at("work"), at("merged"))), Ok(()));
    refused(mount(foreign(), at("work"), at("merged")), "footprint");
    refused(mount(at("diff"), foreign(), at("merged")), "footprint");
    refused(mount(at("diff"), at("work"), foreign()), "footprint");
}

#[test]
fn a_name_that_only_begins_as_the_layers_own_is_not_its_own() {
    for path in [format!("{}x", own()), format!("{}.old/x", own()), "l/AAAB".to_owned(), "x".to_owned()] {
        refused(make_dir(home(path)), "footprint");
    }
    // The same path below the other root is another place.
    refused(make_dir(Place { root: Root::Run, path: "l/AAA".to_owned() }), "footprint");
}

#[test]
fn a_shared_folder_is_made_by_ensure_dir_and_touched_by_nothing_else() {
    refused(make_dir(home("l")), "footprint");
    refused(Step::RemoveTree(home("l")), "footprint");
    refused(Step::Rename(Rename { source: home("l"), target: at("l") }), "footprint");
    refused(Step::EnsureDir(EnsureDir { at: home("l/BBB"), mode: 0 }), "footprint");
    refused(Step::EnsureDir(EnsureDir { at: home("m"), mode: 0 }), "footprint");
    let run = Place { root: Root::Run, path: "l".to_owned() };
    refused(Step::EnsureDir(EnsureDir { at: run, mode: 0 }), "footprint");
}

#[test]
fn a_footprint_reaches_neither_other_layers_nor_shared_folders() {
    let layer = own();
    let shared = ["l".to_owned(), "x/y".to_owned()];
    let cases = [
        (home(other()), "another layer"),
        (home(format!("{}/diff", other())), "another layer"),
        (home(format!("x/y/{}/diff", other())), "another layer"),
        (Place { root: Root::Run, path: other() }, "another layer"),
        (home(""), "the root itself"),
        (home("../x"), "`..`"),
        (home("l"), "layers share"),
        (home("x"), "layers share"),
        (home("x/y"), "layers share"),
    ];
    for (place, words) in cases {
        let footprint = [home(own()), place.clone()];
        let rules = Rules {
            driver: "d",
            grants: &ALL,
            layer: &layer,
            footprint: &footprint,
            shared: &shared,
            settings: &[],
            links: true,
        };
        let fault = check(&Vec::new(), &rules).expect_err(&place.to_string()).to_string();
        assert!(fault.contains(words), "{place}: {fault}");
    }
}

#[test]
fn what_a_component_returns_beside_a_plan_is_the_layers_own() {
    let footprint = [home(own())];
    assert_eq!(beside(&at("diff"), &footprint), Ok(()));
    for place in [home(format!("{}/diff", other())), home("l"), home("elsewhere"), home("")] {
        assert!(beside(&place, &footprint).is_err(), "{place}");
    }
    // Nor do they become so by a footprint that says they are.
    for place in [home(format!("{}/diff", other())), home("l"), home("")] {
        assert!(beside(&place, &[home(own()), place.clone()]).is_err(), "{place}");
    }
}

fn beside(place: &Place, footprint: &[Place]) -> Result<(), PlanFault> {
    let shared = ["l".to_owned()];
    check_place(
        place,
        &Rules {
            driver: "d",
            grants: &ALL,
            layer: &own(),
            footprint,
            shared: &shared,
            settings: &[],
            links: true,
        },
    )
}

#[test]
fn a_links_target_stays_below_the_root() {
    for (link, target) in [("l/AAA", "../x"), ("l/AAA", "../l/../x"), ("l/AAA", "./../x//y"), ("l/AAA", "..")]
    {
        assert_eq!(judge(symlink(home(link), target)), Ok(()), "{link} -> {target}");
    }
    for target in ["../../x", "../..", "a/../../../x", "/etc/passwd", "", "../x\0", &"x/".repeat(1100)] {
        refused(symlink(home("l/AAA"), target), "link's target");
    }
    // In the root itself, the first `..` leaves it.
    refused(symlink(home(own()), "../x"), "link's target");
}

#[test]
fn modes_are_permission_bits() {
    let mode = 0o10000;
    for step in [
        Step::MakeDir(MakeDir { at: at("x"), mode }),
        Step::EnsureDir(EnsureDir { at: at("x"), mode }),
        Step::WriteFile(WriteFile { at: at("x"), content: vec![], mode }),
        Step::MountTmpfs(MountTmpfs { target: at("x"), size: None, mode }),
    ] {
        refused(step, "mode beyond 0o7777");
    }
}

#[test]
fn contents_and_keys_have_bounds() {
    let big = vec![0; (64 << 10) + 1];
    refused(Step::WriteFile(WriteFile { at: at("x"), content: big.clone(), mode: 0 }), "64 KiB");
    refused(Step::SetState(SetState { key: "k".into(), value: big }), "64 KiB");
    for key in [String::new(), "k".repeat(257)] {
        refused(Step::SetState(SetState { key: key.clone(), value: vec![] }), "state key");
        refused(Step::RemoveState(key), "state key");
    }
}

#[test]
fn an_overlay_has_enough_lowers_and_each_option_once() {
    let one = || vec![at("x")];
    assert_eq!(judge(overlay(vec![at("x"), at("y")], false, vec![])), Ok(()));
    refused(overlay(vec![], true, vec![]), "needs two lowers");
    refused(overlay(vec![], false, vec![]), "needs two lowers");
    refused(overlay(one(), false, vec![]), "needs two lowers");
    for option in [
        OverlayOption::Index(true),
        OverlayOption::Metacopy(true),
        OverlayOption::RedirectDir(true),
        OverlayOption::Volatile,
        OverlayOption::Userxattr,
    ] {
        assert_eq!(judge(overlay(one(), true, vec![option])), Ok(()));
        refused(overlay(one(), true, vec![option, option]), "twice");
    }
    refused(overlay(one(), true, vec![OverlayOption::Index(true), OverlayOption::Index(false)]), "twice");
}

#[test]
fn a_rename_stays_below_one_root() {
    let run = Place { root: Root::Run, path: format!("{}/y", own()) };
    refused(Step::Rename(Rename { source: at("x"), target: run }), "different roots");
}

#[test]
fn a_plan_has_at_most_4096_steps() {
    let steps = |count| vec![Step::RemoveTree(at("x")); count];
    assert_eq!(judge_as(&ALL, steps(4096)), Ok(()));
    assert_eq!(judge_as(&ALL, steps(4097)), Err(PlanFault::TooManySteps(4097)));
}

#[test]
fn what_is_not_named_after_the_layer_is_no_tree_of_its_own() {
    let name = || home("l/AAA");
    for step in [
        Step::Rename(Rename { source: name(), target: at("y") }),
        Step::MountTmpfs(MountTmpfs { target: name(), size: None, mode: 0o700 }),
        Step::MountBind(MountBind { source: at("diff"), target: name(), read_only: true }),
        Step::SubvolumeDelete(name()),
        Step::Unmount(name()),
    ] {
        refused(step, "not named after the layer");
    }
    assert_eq!(judge(Step::RemoveTree(name())), Ok(()), "it is removed if nothing is in it");
}
