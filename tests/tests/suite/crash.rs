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

/// Whether it is as it was before a plan that makes something, or as after one that takes something away. What may
/// differ: the folder of short names, which layers share, and overlayfs's own in `work`, which it leaves behind.
fn is_mended(operation: &str, before: &[String], now: &[String]) -> bool {
    let unmounted = |names: &[String]| -> BTreeSet<String> {
        names.iter().filter(|name| !name.contains("/merged")).cloned().collect()
    };
    let left = |name: &String| match operation {
        "create" | "commit" => name.ends_with("/l"),
        _ => name.ends_with("/work/work"),
    };
    let before = if operation == "unmount" { unmounted(before) } else { before.iter().cloned().collect() };
    before.iter().all(|name| now.contains(name)) && now.iter().all(|name| before.contains(name) || left(name))
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
                let mended =
                    nacre.ok(LISTING) == listing && is_mended(scenario.operation, &names, &nacre.names());
                // Until it is recorded, what makes something has made nothing; an unmount is always completed.
                let must_be = match scenario.operation {
                    "create" | "commit" | "mount" => n == "begin" || is_step,
                    operation => operation == "unmount",
                };
                assert!(mended || !must_be, "{what} at {n}: was {names:?}, is {:?}", nacre.names());
                assert!(!mended || mounts_below(nacre.root()).is_empty(), "{what} at {n}: still mounted");
                let again = nacre.run(args(scenario.killed));
                let done_already = match scenario.operation {
                    "create" => n == "record" && again.code == 4,
                    "unmount" | "remove" => [3, 4].contains(&again.code),
                    _ => false,
                };
                assert!(again.code == 0 || done_already, "{what} at {n}: then (mended: {mended})\n{again}");
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
    nacre.ok(["load", "-q", "-i", &archive]);
    nacre.ok(["rmi", "slow:1"]);
    let clean = nacre.names();

    // The longest that a load may take here: one that was done before its moment came was quicker.
    let mut whole = Duration::from_secs(60);
    let (mut killed, mut round) = (0, 0u32);
    while killed < 50 {
        assert!(round < 2000, "only {killed} of {round} loads were still running when they were killed");
        // Moments that spread over the whole load, in an order without a pattern.
        let moment = whole * (round * 37 % 60) / 60 + Duration::from_micros(u64::from(round) * 131);
        let since = Instant::now();
        let mut load = nacre.command(["load", "-q", "-i", &archive]);
        let mut child = load.stdout(std::process::Stdio::null()).spawn().unwrap();
        while since.elapsed() < moment && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(500));
        }
        let running = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        if running {
            killed += 1;
        } else {
            whole = whole.min(since.elapsed());
        }
        round += 1;

        nacre.ok(["images"]);
        nacre.assert_sound();
        assert!(mounts_below(nacre.root()).is_empty());
        if nacre.rows(["images"]).is_empty() && nacre.rows(["layer", "ls"]).is_empty() {
            let left: Vec<_> = nacre.names().into_iter().filter(|name| !clean.contains(name)).collect();
            assert!(left.is_empty(), "after {moment:?} of {whole:?}: left behind {left:?}");
        } else {
            nacre.ok(["rmi", "slow:1"]);
        }
        if round % 10 == 9 {
            nacre.ok(["load", "-q", "-i", &archive]);
            nacre.ok(["rmi", "slow:1"]);
            assert_eq!(nacre.names(), clean);
        }
    }
}
