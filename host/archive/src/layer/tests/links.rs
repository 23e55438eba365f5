//! Links on the way to an entry, and entries that are links: none leads outside.

use std::fs;

use super::super::Refusal;
use super::build::{Place, Tar};
use super::hostile::refused;

#[test]
fn symbolic_links_that_lead_out_are_not_followed() {
    for target in ["..", "../outside", "/..", "a/../../outside", "a/../../../tmp"] {
        let escapes =
            |why: &Refusal| matches!(why, Refusal::LinkEscapes { link, .. } if link.as_bytes() == b"l");
        let link = || Tar::new().dir("a").symlink("l", target);
        refused(target, &link().file("l/pwned", b"x").end(), escapes);
        refused(target, &link().dir("l/pwned").end(), escapes);
        refused(target, &link().symlink("l/pwned", "x").end(), escapes);
        refused(target, &link().hard_link("l/pwned", "a").end(), |_| true);
        refused(target, &link().device(b'3', "l/null", 1, 3).end(), escapes);
        refused(target, &link().file("l/.wh.victim", b"").end(), escapes);
        refused(target, &link().file("l/.wh..wh..opq", b"").end(), escapes);
    }
    let chain = Tar::new().dir("d").symlink("d/up", "..").symlink("l", "d/up/..").file("l/pwned", b"x");
    refused("a chain", &chain.end(), |why| matches!(why, Refusal::LinkEscapes { .. }));
    let ring = Tar::new().symlink("a", "b").symlink("b", "a").file("a/x", b"x").end();
    refused("a ring", &ring, |why| matches!(why, Refusal::LinkDangles { .. }));
    let dangling = Tar::new().symlink("a", "nowhere").file("a/x", b"x").end();
    refused("a dangling one", &dangling, |why| matches!(why, Refusal::LinkDangles { .. }));
}

#[test]
fn absolute_links_on_the_way_begin_at_the_layers_root() {
    let place = Place::new();
    let outside = place.outer().join("outside").to_str().unwrap().to_owned();
    for target in ["/tmp", "/etc", "/proc/self/root", outside.as_str()] {
        let link = || Tar::new().dir("a").symlink("l", target);
        let dangles = |why: &Refusal| matches!(why, Refusal::LinkDangles { .. });
        refused(target, &link().file("l/pwned", b"x").end(), dangles);
        refused(target, &link().dir("l/pwned").end(), dangles);
    }
    let tar = Tar::new()
        .dir("a")
        .dir("a/b")
        .symlink("l", "/a/b")
        .file("l/one", b"1")
        .symlink("a/up", "../chain")
        .symlink("chain", "/l/../..")
        .file("a/up/two", b"2")
        .hard_link("again", "l/one")
        .symlink("root", "/")
        .file("root/three", b"3")
        .end();
    place.round_trip(&tar);
    place.assert_nothing_outside();
    for (path, content) in [("a/b/one", "1"), ("two", "2"), ("again", "1"), ("three", "3")] {
        assert_eq!(fs::read_to_string(place.diff().join(path)).unwrap(), content, "{path}");
    }
}

#[test]
fn a_link_as_the_last_part_is_replaced_and_not_followed() {
    let place = Place::new();
    let victim = place.outer().join("victim").to_str().unwrap().to_owned();
    let tar = Tar::new()
        .symlink("f", "../victim")
        .file("f", b"mine")
        .symlink("d", "../outside")
        .dir("d")
        .file("d/x", b"mine")
        .symlink("dev", &victim)
        .device(b'3', "dev", 1, 3)
        .symlink("meta", "../victim")
        .symlink("meta", "elsewhere")
        .end();
    place.round_trip(&tar);
    place.assert_nothing_outside();
    assert_eq!(fs::read(place.diff().join("f")).unwrap(), b"mine");
    assert_eq!(fs::read(place.diff().join("d/x")).unwrap(), b"mine");
}

#[test]
fn a_directory_that_becomes_a_link_takes_nothing_along() {
    // What was to be done to `d/sub` at the end must not be done where the link points.
    let place = Place::new();
    fs::create_dir(place.outer().join("outside/sub")).unwrap();
    let before = fs::metadata(place.outer().join("outside/sub")).unwrap().modified().unwrap();
    let tar = Tar::new().dir("d").dir("d/sub").symlink("d", "../outside").end();
    place.round_trip(&tar);
    assert_eq!(fs::metadata(place.outer().join("outside/sub")).unwrap().modified().unwrap(), before);
}

#[test]
fn hard_links_to_outside_are_refused() {
    let place = Place::new();
    let victim = place.outer().join("victim").to_str().unwrap().to_owned();
    let escapes = |why: &Refusal| matches!(why, Refusal::HardLinkEscapes(_));
    for target in ["../victim", "a/../../victim", victim.as_str(), "/etc/passwd", "./../victim"] {
        refused(target, &Tar::new().dir("a").hard_link("h", target).end(), escapes);
    }
    let through = Tar::new().symlink("l", "..").hard_link("h", "l/victim").end();
    refused("through a link", &through, escapes);
    let absolute = Tar::new().symlink("l", "/etc").hard_link("h", "l/passwd").end();
    refused("through an absolute link", &absolute, |why| matches!(why, Refusal::HardLinkMissing(_)));

    // The link itself gets another name; what it points to does not.
    let place = Place::new();
    place.round_trip(&Tar::new().symlink("l", "../victim").hard_link("h", "l").file("h", b"x").end());
    place.assert_nothing_outside();
}

#[test]
fn hard_links_to_what_is_not_there_are_refused_by_name() {
    for target in ["lower/file", "missing", ""] {
        let tar = Tar::new().hard_link("h", target).end();
        refused(target, &tar, |why| matches!(why, Refusal::HardLinkMissing(_)));
    }
    let directory = Tar::new().dir("d").hard_link("h", "d").end();
    refused("a directory", &directory, |why| matches!(why, Refusal::HardLinkKind(_)));
    let root = Tar::new().dir("d").hard_link("h", "./").end();
    refused("the root", &root, |why| matches!(why, Refusal::HardLinkKind(_)));
    let whiteout = Tar::new().file(".wh.w", b"").hard_link("h", "w").end();
    refused("a whiteout", &whiteout, |why| matches!(why, Refusal::HardLinkKind(_)));
}
