//! Differences, case by case.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::FileTimes;
use std::time::{Duration, SystemTime};

use common::{Scratch, root};
use nacre_union::{Change, Stack, Whiteouts, changes, compare};

/// What a runtime makes in every container's root.
const PLACEHOLDERS: &[&str] =
    &["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev", "/proc", "/sys", "/dev/console"];

fn lines(found: &[Change]) -> Vec<String> {
    found.iter().map(|c| format!("{} {}", c.kind.letter(), c.path.display())).collect()
}

fn against(s: &Scratch, lowers: &[&str]) -> Vec<String> {
    lines(&changes(&s.layer("upper", Whiteouts::Overlay), &s.stack(lowers), PLACEHOLDERS).unwrap())
}

fn same_time(s: &Scratch, rels: &[&str]) {
    let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    for rel in rels {
        std::fs::File::open(s.path().join(rel)).unwrap().set_times(times).unwrap();
    }
}

#[test]
fn changes_are_what_docker_prints() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&[
        "low/etc",
        "low/var/lib/old",
        "low/srv/deep",
        "low/opt",
        "low/was-dir/in",
        "upper/etc",
        "upper/srv/deep",
    ]);
    for file in [
        "low/etc/conf",
        "low/var/lib/old/x",
        "low/opt/kept",
        "low/opt/gone",
        "low/was-file",
        "upper/etc/conf",
    ] {
        s.write(file, file);
    }
    s.make(&["upper/var/lib", "upper/new/dir", "upper/was-file"]);
    s.write("upper/new/dir/file", "");
    s.write("upper/new-file", "");
    s.write("upper/was-dir", "");
    s.write("upper/was-file/in", "");
    s.whiteout("upper/var/lib/old");
    s.whiteout("upper/var/lib/never-was");
    s.opaque("upper/opt");
    s.write("upper/opt/kept", "");
    s.write("upper/opt/fresh", "");
    same_time(&s, &["low/etc", "upper/etc", "low/srv", "upper/srv", "low/srv/deep", "upper/srv/deep"]);
    assert_eq!(
        against(&s, &["low"]),
        [
            "C /etc",
            "C /etc/conf",
            "A /new",
            "A /new-file",
            "A /new/dir",
            "A /new/dir/file",
            "C /opt",
            "A /opt/fresh",
            "D /opt/gone",
            "C /opt/kept",
            "C /var",
            "C /var/lib",
            "D /var/lib/old",
            "C /was-dir",
            "C /was-file",
            "A /was-file/in",
        ]
    );
}

#[test]
fn what_an_opaque_directory_hides_is_deleted_also_below_directories_made_again() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["low/top/sub/inner", "upper"]);
    s.write("low/top/sub/x", "");
    s.opaque("upper/top");
    s.make(&["upper/top/sub"]);
    assert_eq!(against(&s, &["low"]), ["C /top", "C /top/sub", "D /top/sub/inner", "D /top/sub/x"]);
}

#[test]
fn empty_placeholders_are_left_out_with_the_directories_that_only_they_changed() {
    let s = Scratch::new();
    s.make(&["low/etc", "low/etc/conf.d", "upper/etc", "upper/dev", "upper/proc"]);
    for file in ["upper/etc/hosts", "upper/etc/resolv.conf", "upper/dev/console"] {
        s.write(file, "");
    }
    assert_eq!(against(&s, &["low"]), [] as [&str; 0]);
    s.write("upper/etc/new", "");
    assert_eq!(against(&s, &["low"]), ["C /etc", "A /etc/new"]);
    std::fs::remove_file(s.path().join("upper/etc/new")).unwrap();
    s.write("upper/etc/hosts", "127.0.0.1 localhost");
    assert_eq!(against(&s, &["low"]), ["C /etc", "A /etc/hosts"], "one with content is somebody's work");
    s.write("low/etc/hosts", "in the image");
    s.write("upper/etc/hosts", "");
    assert_eq!(against(&s, &["low"]), ["C /etc", "C /etc/hosts"], "one that the image has was emptied");
    s.write("upper/dev/null", "");
    assert_eq!(against(&s, &["low"])[..2], ["A /dev", "A /dev/null"]);
}

#[test]
fn an_image_without_the_directories_of_placeholders_shows_no_change_either() {
    let s = Scratch::new();
    s.make(&["low", "upper/etc", "upper/sys"]);
    s.write("upper/etc/hosts", "");
    assert_eq!(against(&s, &["low"]), [] as [&str; 0]);
    s.make(&["upper/empty"]);
    assert_eq!(against(&s, &["low"]), ["A /empty"]);
}

#[test]
fn whole_trees_differ_by_content_only_where_size_and_time_cannot_tell() {
    let s = Scratch::new();
    let (old, new) = ("old", "new");
    for tree in [old, new] {
        s.make(&[&format!("{tree}/d")]);
        for (file, text) in [("same", "1234"), ("other", tree), ("d/longer", tree)] {
            s.write(&format!("{tree}/{file}"), text);
        }
        same_time(&s, &[tree].map(|t| format!("{t}/same")).each_ref().map(String::as_str));
    }
    s.write("new/d/longer", "more");
    s.write("old/gone", "");
    same_time(&s, &["old/other", "new/other", "old/d", "new/d", "old/d/longer", "new/d/longer"]);
    let stacks = [old, new].map(|tree| Stack::whole(s.sub(tree)));
    let found = compare(&stacks[0], &stacks[1], PLACEHOLDERS).unwrap();
    assert_eq!(lines(&found), ["C /d", "C /d/longer", "D /gone", "C /other"]);
}
