use nacre_driver_sdk::selection::{Origin, SelectionPolicy};
use nacre_driver_sdk::{Facts, Filesystem, KernelVersion, Refusal, Requirement, Setting};

use super::*;

const NO: Verdict = Verdict::Refused(Refusal::Unsupported(Requirement::Overlay));

fn contender(name: &str, verdict: Verdict, layers: u64) -> Contender {
    Contender { name: name.into(), origin: Origin::BuiltIn, verdict, layers, containers: 0 }
}

fn works(name: &str) -> Contender {
    contender(name, Verdict::Suitable(128), 0)
}

fn choose(configured: Option<&str>, contenders: Vec<Contender>) -> (Outcome, Vec<String>) {
    let ranking = Selection::choose(&request(configured, contenders));
    (ranking.outcome, ranking.candidates.into_iter().map(|candidate| candidate.name).collect())
}

fn request(configured: Option<&str>, contenders: Vec<Contender>) -> Request {
    let home = Filesystem {
        name: "ext4".into(),
        magic: 0xef53,
        d_type: true,
        trusted_xattrs: true,
        user_xattrs: true,
        reflink: false,
        project_quota: false,
    };
    let kernel = KernelVersion { major: 6, minor: 18, patch: 0 };
    let storage = Facts {
        kernel,
        privileged: true,
        overlay: None,
        home,
        filesystems: vec![],
        tools: vec![],
        thin_pools: false,
        zfs: None,
    };
    let settings = vec![Setting { name: "order".into(), value: ORDER.into() }];
    Request { storage, configured: configured.map(str::to_owned), contenders, settings }
}

#[test]
fn a_new_root_gets_the_first_of_the_order_that_can_work() {
    let all = vec![works("vfs"), works("btrfs"), contender("overlay2", NO, 0), works("plain")];
    assert_eq!(
        choose(None, all),
        (Outcome::Chosen, ["btrfs", "vfs", "plain", "overlay2"].map(str::to_owned).to_vec())
    );
}

#[test]
fn another_order_can_be_set() {
    let mut request = request(None, vec![works("overlay2"), works("plain"), works("vfs")]);
    request.settings[0].value = "plain, vfs".into();
    assert_eq!(Selection::choose(&request).candidates[0].name, "plain");
}

#[test]
fn what_docker_gave_up_comes_after_what_was_installed() {
    let (_, order) = choose(None, vec![works("aufs"), works("overlay"), works("zebra")]);
    assert_eq!(order, ["zebra", "aufs", "overlay"]);
}

#[test]
fn a_driver_that_holds_something_goes_before_the_order() {
    let held = contender("vfs", Verdict::Suitable(128), 3);
    let (outcome, order) = choose(None, vec![works("overlay2"), held]);
    assert_eq!((outcome, order[0].as_str()), (Outcome::Chosen, "vfs"));
}

#[test]
fn a_driver_that_holds_something_and_cannot_work_is_not_replaced() {
    let held = contender("btrfs", NO, 3);
    let (outcome, _) = choose(None, vec![works("overlay2"), held]);
    assert_eq!(outcome, Outcome::StateFails("btrfs".into()));
}

#[test]
fn two_drivers_that_hold_something_are_an_error_unless_one_is_named() {
    let both =
        || vec![contender("plain", Verdict::Suitable(128), 1), contender("vfs", Verdict::Suitable(128), 3)];
    let (outcome, _) = choose(None, both());
    assert_eq!(outcome, Outcome::Ambiguous(vec!["vfs".into(), "plain".into()]));
    let (outcome, order) = choose(Some("plain"), both());
    assert_eq!((outcome, order[0].as_str()), (Outcome::Chosen, "plain"));
}

#[test]
fn a_named_driver_that_fails_is_not_replaced() {
    let (outcome, order) = choose(Some("btrfs"), vec![works("overlay2"), contender("btrfs", NO, 0)]);
    assert_eq!((outcome, order[0].as_str()), (Outcome::ConfiguredFails, "btrfs"));
}

#[test]
fn where_none_can_work_that_is_said() {
    assert_eq!(choose(None, vec![contender("overlay2", NO, 0)]).0, Outcome::NoneSuitable);
    assert_eq!(choose(None, vec![]).0, Outcome::NoneSuitable);
}

#[test]
fn every_reason_is_told_the_weightiest_first() {
    let held = contender("vfs", NO, 3);
    let ranking = Selection::choose(&request(None, vec![works("overlay"), held]));
    assert_eq!(
        ranking.candidates[0].reasons,
        [Reason::NotSuitable, Reason::HasState, Reason::Listed(5), Reason::Costly]
    );
    assert_eq!(ranking.candidates[1].reasons, [Reason::OtherHasState, Reason::Unlisted, Reason::Legacy]);
}
