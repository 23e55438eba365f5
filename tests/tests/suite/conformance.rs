//! Drivers are put to the conformance suite, each on the real file systems that it is for; and drivers that are
//! wrong on purpose are found out.
//!
//! With `NACRE_CONFORMANCE` set to a file, each case's outcome is appended to it as a line of three fields between
//! tabs: case, `<driver> on <file system>`, outcome. `scripts/conformance-table` makes a table of them.

use std::io::Write;
use std::path::PathBuf;

use nacre_conformance::{Event, Outcome, Report, Subject, Verdict, Wanted};
use nacre_test_guests::{BROKEN, PLAIN};
use nacre_tests::{FsKind, LoopFs, Nacre, scratch, skip};

/// One test for each driver and file system: `test name: driver, file system`.
macro_rules! stands {
    ($($test:ident: $driver:literal, $fs:ident;)*) => {
        $(
            #[test]
            fn $test() {
                let Some(fs) = LoopFs::new(FsKind::$fs, 8192) else {
                    return skip(concat!("there is no mkfs for ", stringify!($fs)));
                };
                stand($driver, stringify!($fs), &fs);
            }
        )*
        /// Every driver that ships with nacre stands somewhere.
        const DRIVERS: &[&str] = &[$($driver),*];
    };
}

stands! {
    overlay2_on_ext4: "overlay2", Ext4;
    overlay2_on_xfs: "overlay2", Xfs;
    plain_on_ext4: "plain", Ext4;
}

/// Drivers that ship with nacre and stand elsewhere, with where.
const ELSEWHERE: &[(&str, &str)] = &[];

#[test]
fn every_driver_that_ships_stands_somewhere() {
    let nacre = Nacre::new();
    let shipped = nacre.ok(["driver", "ls", "--format", "{{.Name}}"]);
    for name in shipped.lines() {
        let somewhere = DRIVERS.contains(&name) || ELSEWHERE.iter().any(|(known, _)| *known == name);
        assert!(somewhere, "{name} is on no line of the table of this file");
    }
}

/// The components that do not ship with nacre are in files.
fn component(name: &str, dir: &tempfile::TempDir) -> String {
    let wasm = match name {
        "plain" => PLAIN,
        "broken" => BROKEN,
        shipped => return shipped.to_owned(),
    };
    let path = dir.path().join(format!("{name}.wasm"));
    std::fs::write(&path, wasm).unwrap();
    path.display().to_string()
}

fn stand(driver: &str, fs: &str, disk: &LoopFs) {
    let dir = scratch();
    let subject = Subject::new(component(driver, &dir), disk.path()).with_command(Nacre::binary());
    let report = nacre_conformance::run(&subject, &Wanted::default(), &mut |event| {
        if let Event::Ended(outcome) = event {
            println!("{:8} {:6.2} s  {}", outcome.verdict.word(), outcome.seconds, outcome.case);
        }
    })
    .unwrap();
    note(&report, fs);
    let failed: Vec<String> = report.outcomes.iter().filter(|o| o.failed()).map(told).collect();
    assert!(failed.is_empty(), "{driver} on {fs} fails {} cases:\n{}", failed.len(), failed.join("\n"));
}

fn told(outcome: &Outcome) -> String {
    match &outcome.verdict {
        Verdict::Failed { expected, found } => {
            format!("{}\n  expected: {expected}\n  found: {found}", outcome.case)
        }
        _ => outcome.case.to_owned(),
    }
}

/// For the table, and for the list of what was not run.
fn note(report: &Report, fs: &str) {
    let column = format!("{} on {}", report.driver.name, fs.to_lowercase());
    let mut lines = String::new();
    for outcome in &report.outcomes {
        lines.push_str(&format!("{}\t{column}\t{}\n", outcome.case, outcome.verdict.word()));
        if let Verdict::Skipped { reason } = &outcome.verdict {
            skip(&format!("{column}: {}: {reason}", outcome.case));
        }
    }
    if let Some(path) = std::env::var_os("NACRE_CONFORMANCE") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(PathBuf::from(path));
        file.unwrap().write_all(lines.as_bytes()).unwrap();
    }
}

/// Each lie of `tests/guests/broken`, and the case that is meant to catch it.
const CAUGHT: &[(&str, &str)] = &[
    ("loses-whiteouts", "whiteouts/loaded"),
    ("forgets-opaque", "whiteouts/opaque"),
    ("copies-up-metadata-only", "copy-up/metadata"),
    ("renames-by-reference", "rename/directory"),
    ("shares-an-upper", "layers/siblings"),
    ("reorders-layers", "layers/order"),
    ("drops-a-parent", "layers/order"),
    ("leaks-a-mount", "mounts/unmounted"),
    ("leaks-a-folder", "leaks/nothing"),
    ("wrong-usage", "usage/container"),
    ("wrong-difference", "changes/kinds"),
    ("wrong-target", "layers/child"),
    ("wrong-root-mode", "layers/root"),
    ("mounts-read-only", "mounts/writable"),
    ("changes-parents", "layers/lower-unchanged"),
    ("promises-too-much", "depth/limit"),
    ("loses-state", "layers/remove-sibling"),
    ("loses-writes", "mounts/persist"),
    ("leaves-half-made", "crash/create"),
    ("removes-only-once", "crash/remove"),
];

fn broken(how: &str, wanted: &Wanted) -> Report {
    let (dir, on) = (scratch(), scratch());
    let mut subject = Subject::new(component("broken", &dir), on.path()).with_command(Nacre::binary());
    subject.storage_opts = vec![format!("broken.how={how}")];
    let report = nacre_conformance::run(&subject, wanted, &mut |_| {}).unwrap();
    let left: Vec<_> = std::fs::read_dir(on.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "the suite left behind {left:?}");
    report
}

#[test]
fn a_driver_that_is_wrong_on_purpose_fails_the_case_that_is_meant_to_catch_it() {
    let mut missed = Vec::new();
    for (how, case) in CAUGHT {
        let report = broken(how, &Wanted::only(*case));
        let outcome = report.outcomes.iter().find(|outcome| outcome.case == *case).unwrap();
        println!("{how}: {}", told(outcome));
        if !outcome.failed() {
            missed.push(format!("{how} is not caught by {case}: {:?}", outcome.verdict));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn without_a_lie_the_same_driver_passes_those_cases() {
    let cases = CAUGHT.iter().map(|(_, case)| (*case).to_owned()).collect();
    let report = broken("none", &Wanted { filters: cases, ..Wanted::default() });
    let not: Vec<_> = report.outcomes.iter().filter(|o| o.verdict != Verdict::Passed).map(told).collect();
    assert!(not.is_empty(), "without a lie:\n{}", not.join("\n"));
}

#[test]
fn random_operations_find_a_wrong_driver_and_tell_the_few_that_are_needed() {
    let report = broken("forgets-opaque", &Wanted::only("random/"));
    let Verdict::Failed { found, .. } = &report.outcomes[0].verdict else {
        panic!("not found out: {:?}", report.outcomes[0].verdict)
    };
    let operations = found.rsplit_once("after: ").unwrap().1;
    assert!(operations.ends_with("(seed 1)"), "{found}");
    assert!(operations.split(", ").count() <= 4, "not made short: {found}");
    // The same seed finds the same.
    let again = broken("forgets-opaque", &Wanted::only("random/"));
    let Verdict::Failed { found: again, .. } = &again.outcomes[0].verdict else { panic!("not found again") };
    assert_eq!(operations, again.rsplit_once("after: ").unwrap().1);
}

#[test]
fn the_command_shows_a_table_json_and_junit_and_its_code_says_whether_all_passed() {
    let (nacre, dir, on) = (Nacre::new(), scratch(), scratch());
    let (file, on) = (component("broken", &dir), on.path().display().to_string());
    let test = |how: &str, form: &str| {
        let how = format!("broken.how={how}");
        let case = ["--case", "layers/order", "--case", "quota/"];
        let args = ["--storage-opt", &how, "driver", "test", &file, "--on", &on, "--format", form];
        nacre.run(args.into_iter().chain(case))
    };
    let good = test("none", "table");
    assert_eq!(good.code, 0, "{good}");
    assert!(good.text().contains("\n1 passed, 0 failed, 1 skipped: broken 0.1.0 on "), "{good}");
    let bad = test("reorders-layers", "table");
    assert_eq!(bad.code, 6, "{bad}");
    assert!(bad.text().contains("expected: ") && bad.text().contains("found: "), "{bad}");
    let json: serde_json::Value = serde_json::from_str(&test("reorders-layers", "json").text()).unwrap();
    assert_eq!(json["driver"]["name"], "broken");
    assert_eq!(json["outcomes"][0]["verdict"], "failed");
    let junit = test("reorders-layers", "junit").text();
    assert!(junit.contains("tests=\"2\" failures=\"1\" skipped=\"1\""), "{junit}");
    assert_eq!(nacre.run(["driver", "test", "overlay2", "--case", "no/such"]).code, 2);
    assert_eq!(nacre.run(["driver", "test", "no-such-driver", "--on", &on]).code, 3);
    assert!(nacre.ok(["driver", "test", "--list"]).lines().count() > 50);
}
