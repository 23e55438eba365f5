//! Search through layers, case by case.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::{Scratch, root, see, see_stack};
use nacre_sys::mount::{self, OverlayMount};
use nacre_union::{Error, FirstWrite, Found, Stack, Whiteouts};

/// The layer that answers for each path.
fn answers(stack: &Stack, paths: &[&str]) -> Vec<Option<usize>> {
    let layer = |path: &&str| stack.lookup(path).unwrap().map(|node| node.layer);
    paths.iter().map(layer).collect()
}

#[test]
fn the_newest_layer_answers_and_what_is_deleted_or_covered_is_not_found() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["new/dir", "old/dir", "old/covered/below", "old/gone/below", "old/again"]);
    for file in
        ["new/dir/both", "old/dir/both", "old/dir/old", "new/covered", "old/again/x", "old/file-below"]
    {
        s.write(file, file);
    }
    s.make(&["new/file-below"]);
    s.whiteout("new/gone");
    s.whiteout("new/dir/deleted");
    s.write("old/dir/deleted", "");
    s.opaque("new/again");
    let stack = s.stack(&["new", "old"]);
    assert_eq!(
        answers(
            &stack,
            &["dir", "dir/both", "/dir/old", "dir/deleted", "covered", "gone", "gone/below", "again"]
        ),
        [Some(0), Some(0), Some(1), None, Some(0), None, None, Some(0)]
    );
    assert_eq!(
        answers(&stack, &["again/x", "file-below", "", "/", "dir/../gone"]),
        [None, Some(0), Some(0), Some(0), None]
    );
    assert!(
        matches!(stack.lookup("covered/below"), Err(Error::NotADirectory { path }) if path == Path::new("covered"))
    );
    let names = |path: &str| -> Vec<_> {
        stack.read_dir(path).unwrap().into_iter().map(|e| (e.name.into_string().unwrap(), e.layer)).collect()
    };
    assert_eq!(names("dir"), [("both".into(), 0), ("old".into(), 1)]);
    assert_eq!(names("file-below"), []);
    assert!(matches!(stack.read_dir("gone"), Err(Error::NotFound { .. })));
    assert!(matches!(stack.read_dir("covered"), Err(Error::NotADirectory { .. })));
}

#[test]
fn an_opaque_mark_on_a_layers_root_counts_for_aufs_and_not_for_overlayfs_as_in_the_kernel() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["old", "merged"]);
    s.opaque("new");
    s.write("old/file", "");
    s.write("new/other", "");
    OverlayMount::new([s.sub("new"), s.sub("old")]).mount(&s.sub("merged")).unwrap();
    let shown = see(&s.path().join("merged"));
    assert!(mount::unmount(&s.dir, "merged").unwrap());
    assert_eq!(see_stack(&s.stack(&["new", "old"])), shown);
    s.write("new/.wh..wh..opq", "");
    let aufs = Stack::new(["new", "old"].map(|rel| s.layer(rel, Whiteouts::Aufs)));
    assert_eq!(answers(&aufs, &["file", "other", ".wh..wh..opq"]), [None, Some(0), None]);
}

#[test]
fn aufs_whiteouts_beside_a_directory_of_the_same_name_hide_what_is_below_it() {
    let s = Scratch::new();
    s.make(&["new/dir", "old/dir"]);
    for file in ["new/.wh.dir", "new/dir/new", "old/dir/old", "new/.wh.gone", "old/gone"] {
        s.write(file, "");
    }
    let stack = Stack::new(["new", "old"].map(|rel| s.layer(rel, Whiteouts::Aufs)));
    assert_eq!(answers(&stack, &["dir/new", "dir/old", "gone", ".wh.gone"]), [Some(0), None, None, None]);
    let found: Vec<_> = see_stack(&stack).into_keys().collect();
    assert_eq!(found, ["", "dir", "dir/new"].map(PathBuf::from));
}

#[test]
fn links_are_followed_inside_the_tree_only_and_not_without_end() {
    let s = Scratch::new();
    s.make(&["new/a", "old/b/c"]);
    s.write("old/b/c/file", "");
    s.write("old/etc", "the tree's own");
    for (link, target) in [
        ("a/up", "../../../b"),
        ("a/absolute", "/b/c/file"),
        ("a/chain", "up/c"),
        ("loop", "loop"),
        ("a/dangling", "nowhere"),
        ("a/outside", "/etc"),
    ] {
        symlink(target, s.path().join("new").join(link)).unwrap();
    }
    let stack = s.stack(&["new", "old"]);
    let found = |path: &str| stack.lookup_following(path).unwrap().map(|(path, node)| (path, node.layer));
    assert_eq!(found("a/up/c/file"), Some(("b/c/file".into(), 1)));
    assert_eq!(found("a/absolute"), Some(("b/c/file".into(), 1)));
    assert_eq!(found("a/chain/file"), Some(("b/c/file".into(), 1)));
    assert_eq!(found("a/chain/../../a"), Some(("a".into(), 0)));
    assert_eq!(found("a/outside"), Some(("etc".into(), 1)));
    assert_eq!(found("a/dangling"), None);
    assert!(matches!(stack.lookup_following("loop"), Err(Error::TooManyLinks { .. })));
    assert!(
        matches!(stack.lookup("a/up/c"), Err(Error::NotADirectory { path }) if path == Path::new("a/up"))
    );
    assert!(matches!(stack.lookup_following("a/absolute/x"), Err(Error::NotADirectory { .. })));
}

#[test]
fn a_trail_names_what_each_layer_had_and_what_a_write_costs() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["upper", "one/usr", "two/usr/lib", "three/usr/lib"]);
    s.write("three/usr/lib/file", "twelve bytes");
    s.whiteout("one/usr/gone");
    s.write("two/usr/gone", "");
    s.opaque("two/usr/opaque");
    s.write("three/usr/lib/deep", "");
    let layers = ["one", "two", "three"].map(|rel| s.layer(rel, Whiteouts::Overlay));
    let stack = Stack::writable(s.layer("upper", Whiteouts::Overlay), layers);
    let found = |path: &str| -> Vec<_> {
        stack.trail(path).unwrap().steps.into_iter().map(|step| step.found).collect()
    };
    let absent = |at: &str| Found::Absent { at: at.into() };
    let file = stack.trail("/usr/lib/file").unwrap();
    assert_eq!(file.path, Path::new("usr/lib/file"));
    assert_eq!(found("usr/lib/file")[..3], [absent("usr"), absent("usr/lib"), absent("usr/lib/file")]);
    assert!(matches!(found("usr/lib/file")[3], Found::File(m) if m.size == 12));
    assert_eq!(file.answer, Some(3));
    match file.first_write.unwrap() {
        FirstWrite::CopyUp { bytes, same_filesystem, parents, .. } => {
            assert_eq!((bytes, same_filesystem, parents), (12, true, 2));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(found("usr/gone"), [absent("usr"), Found::Whiteout { at: "usr/gone".into() }]);
    assert_eq!(stack.trail("usr/gone").unwrap().first_write, None);
    let opaque = stack.trail("usr/opaque/x").unwrap();
    assert_eq!(opaque.steps.len(), 3, "the layer below the opaque directory is not looked at");
    assert_eq!(opaque.steps[2].opaque.as_deref(), Some(Path::new("usr/opaque")));
    s.make(&["upper/usr/lib"]);
    s.write("upper/usr/lib/file", "");
    assert_eq!(stack.trail("usr/lib/file").unwrap().first_write, Some(FirstWrite::InUpper));
    match stack.trail("usr/lib/deep").unwrap().first_write.unwrap() {
        FirstWrite::CopyUp { bytes, parents, .. } => assert_eq!((bytes, parents), (0, 0)),
        other => panic!("{other:?}"),
    }
    s.write("two/usr/file-here", "");
    s.make(&["one/usr/file-here"]);
    s.write("two/usr/way", "");
    assert_eq!(found("usr/file-here")[2], Found::UnderDirectory { at: "usr/file-here".into() });
    assert_eq!(found("usr/way/x")[2], Found::NotADirectory { at: "usr/way".into() });
}

#[test]
fn a_layer_that_changes_into_links_leads_nowhere() {
    let s = Scratch::new();
    s.make(&["outside", "layer"]);
    s.write("outside/secret", "");
    symlink("../outside", s.path().join("layer/link")).unwrap();
    let stack = s.stack(&["layer"]);
    assert!(stack.lookup("link/secret").is_err());
    assert_eq!(stack.lookup_following("link/secret").unwrap().map(|(path, _)| path), None);
    assert_eq!(stack.walk().count(), 2);
}
