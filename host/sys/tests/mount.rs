//! Mounts of every kind, and what is left when they fail.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::os::unix::fs::symlink;

use common::{Scratch, root};
use nacre_sys::mount::{self, Method, OverlayMount, OverlayOptions};
use nacre_sys::{Dir, Error};

const METHODS: [Method; 3] = [Method::Descriptors, Method::Names, Method::OptionString];

/// `count` lower directories with a file of their own and one in common; the first is the topmost.
fn layers(s: &Scratch, count: usize) -> Vec<Dir> {
    s.make(&["upper", "work", "merged"]);
    let make = |n: usize| {
        let name = format!("layers/a,rather:long\\name-{n:04}-{}", "x".repeat(100));
        s.make(&[&name]);
        s.write(&format!("{name}/own-{n}"), "");
        s.write(&format!("{name}/common"), &n.to_string());
        s.dir.sub(name).unwrap()
    };
    (0..count).map(make).collect()
}

fn sub(s: &Scratch, name: &str) -> Dir {
    s.dir.sub(name).unwrap()
}

#[test]
fn overlays_of_few_and_of_400_layers_are_mounted_in_every_way() {
    if !root() {
        return;
    }
    nacre_sys::proc::raise_open_files().unwrap();
    for (count, method) in [1, 2, 128, 400].into_iter().flat_map(|n| METHODS.map(|m| (n, m))) {
        let s = Scratch::new();
        let options = OverlayOptions { index: Some(false), metacopy: Some(false), ..Default::default() };
        OverlayMount::new(layers(&s, count))
            .upper(sub(&s, "upper"), sub(&s, "work"))
            .options(options)
            .mount_by(method, &sub(&s, "merged"))
            .unwrap_or_else(|e| panic!("{count} layers by {method:?}: {e}"));
        assert_eq!(s.read("merged/common"), "0", "the first layer is the topmost");
        assert_eq!(sub(&s, "merged").entries().unwrap().len(), count + 1);
        s.write("merged/written", "w");
        assert_eq!(s.read("upper/written"), "w");
        let found = mount::below(s.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind.as_str(), found[0].source.as_os_str()), ("overlay", "overlay".as_ref()));
        assert!(mount::unmount(&s.dir, "merged").unwrap());
        assert!(!mount::unmount(&s.dir, "merged").unwrap());
        assert_eq!(mount::below(s.path()).unwrap(), []);
    }
}

#[test]
fn an_overlay_without_an_upper_layer_is_read_only() {
    if !root() {
        return;
    }
    for method in METHODS {
        let s = Scratch::new();
        OverlayMount::new(layers(&s, 2)).mount_by(method, &sub(&s, "merged")).unwrap();
        let refused = std::fs::write(s.path().join("merged/x"), "").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    }
}

#[test]
fn a_mount_that_fails_leaves_nothing() {
    if !root() {
        return;
    }
    for method in METHODS {
        let s = Scratch::new();
        let lowers = layers(&s, 1);
        // The working directory inside the upper one is what overlayfs never accepts.
        s.make(&["upper/work"]);
        let failed = OverlayMount::new(lowers)
            .upper(sub(&s, "upper"), sub(&s, "upper/work"))
            .mount_by(method, &sub(&s, "merged"))
            .unwrap_err();
        let Error::Mount { target, source, .. } = &failed else { panic!("{failed:?}") };
        assert_eq!(source.raw_os_error(), Some(22), "{failed}");
        assert!(target.ends_with("merged"));
        assert_eq!(mount::below(s.path()).unwrap(), []);
    }
}

#[test]
fn more_layers_than_overlayfs_takes_are_refused_in_the_kernels_words() {
    if !root() {
        return;
    }
    nacre_sys::proc::raise_open_files().unwrap();
    for method in METHODS {
        let s = Scratch::new();
        let failed = OverlayMount::new(layers(&s, 501)).mount_by(method, &sub(&s, "merged")).unwrap_err();
        let Error::Mount { log, .. } = &failed else { panic!("{failed:?}") };
        if method != Method::OptionString {
            assert!(log.iter().any(|line| line.contains("too many lower")), "{failed}");
        }
        assert_eq!(mount::below(s.path()).unwrap(), []);
    }
}

#[test]
fn a_read_only_bind_shows_a_directory_and_takes_no_writes() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["source", "a target"]);
    s.write("source/file", "x");
    mount::bind(&sub(&s, "source"), &sub(&s, "a target"), true).unwrap();
    assert_eq!(s.read("a target/file"), "x");
    let refused = std::fs::write(s.path().join("a target/file"), "y").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    s.write("source/file", "z");
    assert!(mount::is_mount_point(&s.dir, "a target").unwrap());
    assert!(!mount::is_mount_point(&s.dir, "source").unwrap());
    assert!(!mount::is_mount_point(&s.dir, "absent").unwrap());
    assert!(!mount::is_mount_point(&s.dir, "absent/below").unwrap());
    assert!(mount::unmount(&s.dir, "a target").unwrap());
    mount::bind(&sub(&s, "source"), &sub(&s, "a target"), false).unwrap();
    s.write("a target/file", "w");
}

#[test]
fn a_file_system_in_memory_has_the_size_and_mode_that_were_asked_for() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["t"]);
    mount::tmpfs(&sub(&s, "t"), Some(1 << 20), 0o1700).unwrap();
    assert_eq!(s.dir.stat("t").unwrap().st_mode & 0o7777, 0o1700);
    let full = sub(&s, "t").write_atomic("f", &vec![0; 2 << 20], 0o644).unwrap_err();
    assert!(full.is_full(), "{full}");
    assert_eq!(sub(&s, "t").entries().unwrap(), []);
}

#[test]
fn a_busy_mount_is_an_error_of_its_own_and_can_be_detached() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["t"]);
    mount::tmpfs(&sub(&s, "t"), None, 0o755).unwrap();
    s.write("t/file", "x");
    let user = std::fs::File::open(s.path().join("t/file")).unwrap();
    assert!(matches!(mount::unmount(&s.dir, "t"), Err(Error::Busy { .. })));
    assert!(mount::detach(&s.dir, "t").unwrap());
    assert!(!mount::is_mount_point(&s.dir, "t").unwrap());
    assert_eq!(std::io::read_to_string(&user).unwrap(), "x");
}

#[test]
fn unmounting_follows_no_link_and_needs_no_directory() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["t", "d"]);
    mount::tmpfs(&sub(&s, "t"), None, 0o755).unwrap();
    symlink("t", s.path().join("link")).unwrap();
    assert!(!mount::unmount(&s.dir, "link").unwrap());
    assert!(!mount::unmount(&s.dir, "absent").unwrap());
    assert!(!mount::unmount(&s.dir, "absent/below").unwrap());
    assert!(!mount::unmount(&s.dir, "d").unwrap());
    assert!(mount::is_mount_point(&s.dir, "t").unwrap());
}

#[test]
fn a_tree_that_holds_a_mount_is_not_removed_at_all() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["tree/a b/c"]);
    s.write("tree/file", "x");
    mount::tmpfs(&sub(&s, "tree/a b/c"), None, 0o755).unwrap();
    s.write("tree/a b/c/inside", "y");
    for rel in ["tree", "tree/a b/c"] {
        match s.dir.remove_tree(rel) {
            Err(Error::HoldsMount { mount, .. }) => assert!(mount.ends_with("tree/a b/c"), "{mount:?}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((s.read("tree/file"), s.read("tree/a b/c/inside")), ("x".into(), "y".into()));
    s.make(&["tree-sibling"]);
    s.dir.remove_tree("tree-sibling").unwrap();
}

#[test]
fn a_new_mount_is_private() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["shared"]);
    // A shared parent, as systemd makes the root.
    mount::tmpfs(&sub(&s, "shared"), None, 0o755).unwrap();
    rustix::mount::mount_change(s.path().join("shared"), rustix::mount::MountPropagationFlags::SHARED)
        .unwrap();
    s.make(&["shared/t", "shared/b", "shared/m"]);
    mount::tmpfs(&sub(&s, "shared/t"), None, 0o755).unwrap();
    mount::bind(&sub(&s, "shared/t"), &sub(&s, "shared/b"), false).unwrap();
    let lowers = layers(&s, 2);
    let overlay = OverlayMount::new(lowers);
    for (n, method) in METHODS.into_iter().enumerate() {
        s.make(&[&format!("shared/m{n}")]);
        overlay.mount_by(method, &sub(&s, &format!("shared/m{n}"))).unwrap();
    }
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let at = format!("{}/shared", s.path().display());
    let shared: Vec<_> = table.lines().filter(|l| l.contains(&at) && l.contains(" shared:")).collect();
    assert_eq!(shared.len(), 1, "only the parent is: {shared:#?}");
}
