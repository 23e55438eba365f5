//! nacre is killed, and the next command finds everything in order.
//!
//! Debug builds kill themselves with SIGKILL at the boundary that `NACRE_CRASH=<operation>:<boundary>` names: when the
//! plan is in the journal (`begin`), after some number of its steps, when its outcome is recorded (`record`), and
//! in a load when a layer was filled (`fill`), synced (`sync`), and is in an image (`image`).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nacre_tests::craft::{Image, Packing, Tar};
use nacre_tests::{Nacre, Outcome, mounts_below, scratch};

const KILLED: i32 = -9;

/// A command that is killed at every boundary of its plans.
struct Scenario {
    /// The kind of plan, as `NACRE_CRASH` names it.
    operation: &'static str,
    /// What is done before.
    before: &'static [&'static [&'static str]],
    /// What is killed.
    killed: &'static [&'static str],
    /// What takes the outcome away again, whether it is there or not.
    after: &'static [&'static [&'static str]],
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        operation: "create",
        before: &[],
        killed: &["create", "--name", "box", "base:1", "/x"],
        after: &[&["rm", "box"]],
    },
    Scenario {
        operation: "create",
        before: &[],
        killed: &["load", "-q", "-i", "ARCHIVE"],
        after: &[&["rmi", "more:1"]],
    },
    Scenario {
        operation: "commit",
        before: &[],
        killed: &["load", "-q", "-i", "ARCHIVE"],
        after: &[&["rmi", "more:1"]],
    },
    Scenario {
        operation: "commit",
        before: &[],
        killed: &["import", "-q", "TAR", "more:1"],
        after: &[&["rmi", "more:1"]],
    },
    Scenario {
        operation: "commit",
        before: &[CREATE],
        killed: &["commit", "box", "more:1"],
        after: &[&["rm", "box"], &["rmi", "more:1"]],
    },
    Scenario {
        operation: "create",
        before: &[CREATE],
        killed: &["commit", "box", "more:1"],
        after: &[&["rm", "box"], &["rmi", "more:1"]],
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
    Scenario {
        operation: "remove",
        before: &[&["load", "-q", "-i", "ARCHIVE"]],
        killed: &["rmi", "more:1"],
        after: &[&["rmi", "more:1"]],
    },
    Scenario {
        operation: "unmount",
        before: &[CREATE, &["mount", "box"]],
        killed: &["rm", "-f", "box"],
        after: &[&["rm", "-f", "box"]],
    },
];

/// Whether everything of before is there and nothing else, but for folders that a plan ensures: `ensure-dir` is
/// never undone (`wit/plan.wit`).
fn is_undone(before: &[String], now: &[String]) -> bool {
    let ensured = |name: &String| name.ends_with("/merged") || name.ends_with("/l");
    before.iter().all(|name| now.contains(name))
        && now.iter().all(|name| before.contains(name) || ensured(name))
}

/// Containers without their age, which goes on.
const LISTING: [&str; 4] = ["ps", "-a", "--format", "{{.ID}} {{.Names}} {{.State}}"];

const CREATE: &[&str] = &["create", "--name", "box", "base:1", "/x"];

#[test]
fn a_crash_at_any_step_of_any_plan_is_mended_by_the_next_command() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let base = Image::new("base:1").layer(Tar::new().dir("d").file("d/f", b"1").finish());
    let more = Image { reference: "more:1".into(), ..base.clone() }
        .layer(Tar::new().file("d/.wh.f", b"").file("g", b"2").finish())
        .layer(Tar::new().file("h", b"3").finish());
    std::fs::write(path("base"), base.docker_archive().tar()).unwrap();
    std::fs::write(path("ARCHIVE"), more.oci_layout(Packing::Gzip).tar()).unwrap();
    std::fs::write(path("TAR"), Tar::new().file("flat", b"4").finish()).unwrap();
    let args = |args: &[&str]| -> Vec<String> {
        args.iter().map(|a| if ["ARCHIVE", "TAR"].contains(a) { path(a) } else { (*a).to_owned() }).collect()
    };
    nacre.load(path("base").as_ref());
    let clean = nacre.names();

    let mut crashed = BTreeSet::new();
    for scenario in SCENARIOS {
        let what = format!("`{}` killed in {}", scenario.killed.join(" "), scenario.operation);
        let named = ["begin", "fill", "sync", "image", "record"].into_iter().map(str::to_owned);
        let (mut steps_end, mut crashes) = (false, 0);
        for n in named.chain((0..).map(|n: u32| n.to_string())) {
            let is_step = n.parse::<u32>().is_ok();
            if steps_end {
                break;
            }
            for command in scenario.before {
                nacre.ok(args(command));
            }
            let (names, listing) = (nacre.names(), nacre.ok(LISTING));
            let boundary = format!("{}:{n}", scenario.operation);
            let out = Outcome::of(nacre.command(args(scenario.killed)).env("NACRE_CRASH", &boundary));
            let survived = out.code != KILLED;
            assert!(!survived || out.code == 0, "{what} at {n}:\n{out}");

            nacre.ok(["ps", "-a"]); // any command mends what the crash left
            let check = nacre.run(["system", "check"]);
            assert!(check.code == 0, "{what} at {n}: not mended by the next command\n{check}");
            if !survived {
                crashed.insert(scenario.operation);
                let undone = nacre.ok(LISTING) == listing && is_undone(&names, &nacre.names());
                // Until it is recorded, what makes a layer has made nothing.
                let before_record = n == "begin" || is_step;
                let makes = ["create", "commit"].contains(&scenario.operation);
                assert!(undone || !(makes && before_record), "{what} at {n}: not undone");
                let again = nacre.run(args(scenario.killed));
                let done_already = match scenario.operation {
                    "create" => n == "record" && again.code == 4,
                    "unmount" | "remove" => [3, 4].contains(&again.code),
                    _ => false,
                };
                assert!(again.code == 0 || done_already, "{what} at {n}: then (undone: {undone})\n{again}");
            }
            for command in scenario.after {
                nacre.run(args(command));
            }
            // What was recorded before the crash lost its name to what was done again.
            nacre.ok(["image", "prune", "-f"]);
            let left: Vec<_> = nacre.names().into_iter().filter(|name| !clean.contains(name)).collect();
            assert!(left.is_empty(), "{what} at {n}: left behind {left:?}");
            assert!(nacre.names() == clean, "{what} at {n}: something of before is gone");
            assert!(mounts_below(nacre.root()).is_empty(), "{what} at {n}: left mounted");
            nacre.assert_sound();
            crashes += u32::from(!survived);
            steps_end = survived && is_step;
        }
        assert!(crashes > 0, "{what}: never happened; is the binary a debug build?");
    }
    assert_eq!(crashed, BTreeSet::from(["create", "commit", "mount", "unmount", "remove"]));
}

/// Four layers of many small files and a large one: a load that takes a while everywhere.
fn slow_image() -> Image {
    let noise: Vec<u8> = (0..6_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    (0..4).fold(Image::new("slow:1"), |image, layer| {
        let tar = (0..1500).fold(Tar::new().file(format!("large-{layer}"), &noise), |tar, i| {
            tar.file(format!("d{layer}/{}/f{i}", i % 40), format!("{layer} {i}").as_bytes())
        });
        image.layer(tar.finish())
    })
}

#[test]
fn a_load_that_is_killed_at_any_moment_leaves_nothing_and_then_succeeds() {
    let (nacre, dir) = (Nacre::new(), scratch());
    let archive = dir.path().join("archive.tar").display().to_string();
    std::fs::write(&archive, slow_image().oci_layout(Packing::Gzip).tar()).unwrap();
    let since = Instant::now();
    nacre.ok(["load", "-q", "-i", &archive]);
    let whole = since.elapsed();
    nacre.ok(["rmi", "slow:1"]);
    let clean = nacre.names();

    let mut killed = 0;
    for round in 0..60u32 {
        // Moments that spread over the whole load, in an order without a pattern.
        let moment = whole * (round * 37 % 60) / 60 + Duration::from_micros(u64::from(round) * 131);
        let mut child = nacre.command(["load", "-q", "-i", &archive]).spawn().unwrap();
        std::thread::sleep(moment);
        let running = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        killed += u32::from(running);

        nacre.ok(["images"]);
        nacre.assert_sound();
        assert!(mounts_below(nacre.root()).is_empty());
        if nacre.rows(["images"]).is_empty() && nacre.rows(["layer", "ls"]).is_empty() {
            let left: Vec<_> = nacre.names().into_iter().filter(|name| !clean.contains(name)).collect();
            assert!(left.is_empty(), "after {moment:?} of {whole:?}: left behind {left:?}");
        }
        if round % 10 == 9 {
            nacre.ok(["load", "-q", "-i", &archive]);
            nacre.ok(["rmi", "slow:1"]);
            assert_eq!(nacre.names(), clean);
        }
    }
    assert!(killed >= 50, "only {killed} of 60 loads were still running when they were killed");
}
