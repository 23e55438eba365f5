//! Drivers are put to the conformance suite, each on the real file systems that it is for; and drivers that are
//! wrong on purpose are found out.
//!
//! With `NACRE_CONFORMANCE` set to a file, each case's outcome is appended to it as a line of three fields between
//! tabs: case, `<driver> on <file system>`, outcome. `scripts/conformance-table` makes a table of them.

use std::io::Write;
use std::path::{Path, PathBuf};

use nacre_conformance::{Outcome, Report, Subject, Verdict, Wanted};
use nacre_test_guests::{BROKEN, PLAIN};
use nacre_tests::zfs::ZfsPool;
use nacre_tests::{FsKind, LoopFs, Nacre, is_too_long, scratch, shell, skip};
use serde_json::Value;

/// One test for each driver and file system: `test name: driver, file system`.
macro_rules! stands {
    ($($test:ident: $driver:literal, $fs:ident;)*) => {
        $(
            #[test]
            fn $test() {
                let Some(fs) = LoopFs::new(FsKind::$fs, 8192) else {
                    return skip(concat!("there is no mkfs for ", stringify!($fs)));
                };
                stand($driver, stringify!($fs), &fs.path());
            }
        )*
        /// Every driver that ships with nacre stands somewhere.
        const DRIVERS: &[&str] = &[$($driver),*];
    };
}

stands! {
    overlay2_on_ext4: "overlay2", Ext4;
    overlay2_on_xfs: "overlay2", Xfs;
    overlay_on_ext4: "overlay", Ext4;
    overlay_on_xfs: "overlay", Xfs;
    fuse_overlay_on_ext4: "fuse-overlay", Ext4;
    fuse_overlay_on_xfs: "fuse-overlay", Xfs;
    aufs_on_ext4: "aufs", Ext4;
    btrfs_on_btrfs: "btrfs", Btrfs;
    vfs_on_ext4: "vfs", Ext4;
    vfs_on_xfs: "vfs", Xfs;
    plain_on_ext4: "plain", Ext4;
}

#[test]
fn zfs_on_zfs() {
    if let Err(why) = ZfsPool::within(8192, |pool| stand("zfs", "zfs-fuse", &pool.path())) {
        skip(&why);
    }
}

fn has_thin_pools() -> bool {
    let found = Path::new("/dev/mapper/control").exists();
    if !found {
        skip("this kernel has no device-mapper; scripts/lane has one");
    }
    found
}

#[test]
fn devicemapper_on_files_with_ext4() {
    if !is_too_long("devicemapper's conformance on files with ext4") {
        on_files("ext4", &[]);
    }
}

#[test]
fn devicemapper_on_files_with_xfs() {
    on_files("xfs", &[]);
}

#[test]
fn devicemapper_on_devices_with_ext4() {
    on_devices("ext4", &["depth/128", "random/", "crash/"]);
}

#[test]
fn devicemapper_on_devices_with_xfs() {
    if !is_too_long("devicemapper's conformance on devices with xfs") {
        on_devices("xfs", &[]);
    }
}

fn on_files(format: &str, long: &[&str]) {
    if has_thin_pools() {
        let fs = LoopFs::new(FsKind::Ext4, 8192).unwrap();
        let option = format!("devicemapper.fs={format}");
        let on = format!("files, {format}");
        stand_with("devicemapper", &[&option], &in_a_slow_kernel(long), &on, &fs.path());
    }
}

fn on_devices(format: &str, long: &[&str]) {
    if has_thin_pools() {
        let fs = LoopFs::new(FsKind::Ext4, 8192).unwrap();
        let attach = |name: &str, size: &str| {
            let file = fs.path().join(name).display().to_string();
            shell(&format!("truncate -s {size} {file} && losetup -f --show {file}")).trim().to_owned()
        };
        let (data, metadata) = (attach("data", "6G"), attach("metadata", "32M"));
        let (data_option, metadata_option) =
            (format!("devicemapper.datadev={data}"), format!("devicemapper.metadatadev={metadata}"));
        let format_option = format!("devicemapper.fs={format}");
        let options = [format_option.as_str(), data_option.as_str(), metadata_option.as_str()];
        let on = format!("devices, {format}");
        stand_with("devicemapper", &options, &in_a_slow_kernel(long), &on, &fs.path());
        assert!(!shell("dmsetup ls").contains("nacre-"), "the suite ends the pools that it made");
        shell(&format!("losetup -d {data} {metadata}"));
    }
}

/// All cases, or where minutes count all but the longest: `depth/500`, and what else is named.
fn in_a_slow_kernel(long: &[&str]) -> Vec<String> {
    let mut long = [&["depth/500"], long].concat();
    long.retain(|case| is_too_long(&format!("devicemapper's conformance case {case}")));
    let listed = Nacre::new().ok(["driver", "test", "--list"]);
    let names = listed.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    let cases: Vec<_> = names.filter(|name| !long.iter().any(|long| name.starts_with(long))).collect();
    assert!(cases.len() > 50, "{cases:?}");
    cases
}

/// Drivers that ship with nacre and stand elsewhere, with where.
const ELSEWHERE: &[(&str, &str)] =
    &[("zfs", "a pool of zfs-fuse"), ("devicemapper", "a pool on files, in the kernel lane")];

#[test]
fn every_driver_that_ships_stands_somewhere() {
    let nacre = Nacre::new();
    let shipped = nacre.ok(["driver", "ls", "--format", "{{.Name}} {{.Roles}}"]);
    let drivers: Vec<_> = shipped.lines().filter_map(|line| line.strip_suffix(" storage-driver")).collect();
    assert!(drivers.len() > 6, "{shipped}");
    for name in drivers {
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

/// Runs the command, and not the library: a pool may be mounted for processes of this test alone.
fn stand(driver: &str, fs: &str, on: &Path) {
    stand_with(driver, &[], &[], fs, on);
}

/// With settings of the driver, and only some cases.
fn stand_with(driver: &str, settings: &[&str], cases: &[String], fs: &str, on: &Path) {
    let (dir, nacre) = (scratch(), Nacre::new());
    let (component, on) = (component(driver, &dir), on.display().to_string());
    let mut args: Vec<&str> = settings.iter().flat_map(|setting| ["--storage-opt", setting]).collect();
    args.extend(["driver", "test", &component, "--on", &on, "--format", "json"]);
    args.extend(cases.iter().flat_map(|case| ["--case", case.as_str()]));
    let out = nacre.run(args);
    assert!([0, 6].contains(&out.code), "{driver} on {fs}:\n{out}");
    let report: Value = serde_json::from_str(&out.text()).unwrap();
    let outcomes = report["outcomes"].as_array().unwrap();
    note(&format!("{driver} on {}", fs.to_lowercase()), outcomes);
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome["verdict"] == "failed").collect();
    assert!(failed.is_empty(), "{driver} on {fs} fails {} cases:\n{failed:#?}", failed.len());
}

/// For the table, and for the list of what was not run.
fn note(column: &str, outcomes: &[Value]) {
    let mut lines = String::new();
    for outcome in outcomes {
        let text = |key: &str| outcome[key].as_str().unwrap_or_default();
        lines.push_str(&format!("{}\t{column}\t{}\n", text("case"), text("verdict")));
        if text("verdict") == "skipped" {
            skip(&format!("{column}: {}: {}", text("case"), text("reason")));
        }
    }
    if let Some(path) = std::env::var_os("NACRE_CONFORMANCE") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(PathBuf::from(path));
        file.unwrap().write_all(lines.as_bytes()).unwrap();
    }
}

fn told(outcome: &Outcome) -> String {
    match &outcome.verdict {
        Verdict::Failed { expected, found } => {
            format!("{}\n  expected: {expected}\n  found: {found}", outcome.case)
        }
        _ => outcome.case.to_owned(),
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
    ("disowns-layers", "layers/siblings"),
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
    let json: Value = serde_json::from_str(&test("reorders-layers", "json").text()).unwrap();
    assert_eq!(json["driver"]["name"], "broken");
    assert_eq!(json["outcomes"][0]["verdict"], "failed");
    let junit = test("reorders-layers", "junit").text();
    assert!(junit.contains("tests=\"2\" failures=\"1\" skipped=\"1\""), "{junit}");
    assert_eq!(nacre.run(["driver", "test", "overlay2", "--case", "no/such"]).code, 2);
    assert_eq!(nacre.run(["driver", "test", "no-such-driver", "--on", &on]).code, 3);
    assert!(nacre.ok(["driver", "test", "--list"]).lines().count() > 50);
}
