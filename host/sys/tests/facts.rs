//! What is said about this machine holds when it is tried.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Scratch, root};
use nacre_sys::{facts, mount};

#[test]
fn facts_are_the_same_each_time_and_leave_nothing() {
    let s = Scratch::new();
    let first = facts::probe(s.path()).unwrap();
    (0..20).for_each(|_| assert_eq!(facts::probe(s.path()).unwrap(), first));
    assert_eq!(s.dir.entries().unwrap(), []);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(kernel.starts_with(&format!("{}.{}", first.kernel.major, first.kernel.minor)));
}

#[test]
fn an_overlay_that_the_facts_promise_can_be_mounted() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    let found = facts::probe(s.path()).unwrap();
    let Some(overlay) = found.overlay else {
        nacre_skip::skip("this kernel has no overlayfs");
        return;
    };
    s.make(&["lower", "upper", "work", "merged"]);
    assert!(found.privileged && found.home.d_type && found.home.trusted_xattrs, "{found:?}");
    let plain = mount::OverlayOptions {
        index: overlay.index.then_some(false),
        metacopy: overlay.metacopy.then_some(false),
        redirect_dir: overlay.redirect_dir.then_some(false),
        volatile: overlay.volatile,
        userxattr: false,
    };
    let user = mount::OverlayOptions { userxattr: overlay.userxattr, ..Default::default() };
    for options in [user, plain] {
        mount::OverlayMount::new([s.dir.sub("lower").unwrap()])
            .upper(s.dir.sub("upper").unwrap(), s.dir.sub("work").unwrap())
            .options(options)
            .mount(&s.dir.sub("merged").unwrap())
            .unwrap_or_else(|e| panic!("{options:?}: {e}"));
        assert!(mount::unmount(&s.dir, "merged").unwrap());
    }
}

#[test]
fn a_file_system_in_memory_is_recognised() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["t"]);
    mount::tmpfs(&s.dir.sub("t").unwrap(), None, 0o755).unwrap();
    let home = facts::probe(s.path().join("t")).unwrap().home;
    assert_eq!((home.name.as_str(), home.reflink), ("tmpfs", false));
    assert!(home.d_type && home.trusted_xattrs);
}
