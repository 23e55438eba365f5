//! Killed at every step boundary of its plans, devicemapper's pool and records agree afterwards.

use nacre_tests::Outcome;
use nacre_tests::craft::{Image, Tar};

use super::{Bed, two_layers};

const KILLED: i32 = -9;

/// A command that is killed after every step of its plans, with the layers that are there before it and after it.
struct Scenario {
    operation: &'static str,
    before: &'static [&'static [&'static str]],
    killed: &'static [&'static str],
    after: &'static [&'static [&'static str]],
}

const CREATE: &[&str] = &["create", "--name", "box", "app:1", "/x"];

const SCENARIOS: &[Scenario] = &[
    Scenario { operation: "create", before: &[], killed: CREATE, after: &[&["rm", "box"]] },
    Scenario {
        operation: "create",
        before: &[],
        killed: &["load", "-q", "-i", "MORE"],
        after: &[&["rmi", "more:1"]],
    },
    Scenario {
        operation: "commit",
        before: &[],
        killed: &["load", "-q", "-i", "MORE"],
        after: &[&["rmi", "more:1"]],
    },
    Scenario {
        operation: "mount",
        before: &[CREATE],
        killed: &["mount", "box"],
        after: &[&["umount", "box"], &["rm", "box"]],
    },
    Scenario {
        operation: "unmount",
        before: &[CREATE, &["mount", "box"]],
        killed: &["umount", "box"],
        after: &[&["umount", "box"], &["rm", "box"]],
    },
    Scenario { operation: "remove", before: &[CREATE], killed: &["rm", "box"], after: &[&["rm", "box"]] },
];

#[test]
fn pool_and_records_agree_after_a_crash_at_any_step() {
    let Some(bed) = Bed::new(&["fs=ext4"]) else { return };
    bed.load(&two_layers());
    let more =
        Image { reference: "more:1".into(), ..two_layers() }.layer(Tar::new().file("more", b"4").finish());
    let archive = bed.archive(&more);
    let given = |args: &[&'static str]| -> Vec<String> {
        args.iter().map(|a| if *a == "MORE" { archive.clone() } else { (*a).to_owned() }).collect()
    };
    for scenario in SCENARIOS {
        let named = ["begin", "record"].into_iter().map(str::to_owned);
        let mut crashes = 0;
        for boundary in named.chain((0..).map(|n: u32| n.to_string())) {
            let when =
                format!("`{}` killed in {} at {boundary}", scenario.killed.join(" "), scenario.operation);
            for command in scenario.before {
                bed.ok(command);
            }
            let killed = given(scenario.killed);
            let killed: Vec<&str> = killed.iter().map(String::as_str).collect();
            let crash = format!("{}:{boundary}", scenario.operation);
            let out = Outcome::of(bed.command(&killed).env("NACRE_CRASH", crash));
            assert!(out.code == KILLED || out.code == 0, "{when}\n{out}");
            bed.ok(&["ps", "-a"]); // any command mends what the crash left
            for command in scenario.after {
                bed.run(command);
            }
            bed.ok(&["image", "prune", "-f"]);
            bed.assert_agreed(2, &when);
            crashes += u32::from(out.code == KILLED);
            if out.code == 0 && boundary.parse::<u32>().is_ok() {
                break;
            }
        }
        assert!(crashes > 2, "{}: {crashes} crashes; is the binary a debug build?", scenario.operation);
    }
}
