//! Mounts that a process of nacre's own serves.

use std::path::PathBuf;

use nacre_tests::{Nacre, Tree};
use rustix::process::{Pid, Signal, kill_process};

use super::drivers::{base, let_go, load, mounted};

/// The process that serves a mount of a root.
fn server(nacre: &Nacre) -> i32 {
    let root = nacre.root().display().to_string();
    let words = |process: &PathBuf| std::fs::read_to_string(process.join("cmdline")).unwrap_or_default();
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let mut serving = processes.filter(|process| {
        let words = words(process);
        words.contains("\0__union\0") && words.contains(&root)
    });
    serving.next().and_then(|process| process.file_name()?.to_str()?.parse().ok()).expect("a server")
}

#[test]
fn a_union_whose_server_was_killed_is_mounted_again_with_all_that_was_written() {
    for driver in ["fuse-overlay", "aufs"] {
        let nacre = Nacre::new().with_driver(driver);
        load(&nacre, &base());
        let (id, tree) = mounted(&nacre, "base:1");
        std::fs::write(tree.join("again"), "written").unwrap();
        std::fs::remove_file(tree.join("same")).unwrap();
        let server = Pid::from_raw(server(&nacre)).unwrap();
        kill_process(server, Signal::KILL).unwrap();
        while std::fs::read_dir(&tree).is_ok() {}
        let out = nacre.run(["mount", &id]);
        assert!(out.stderr.contains("the process that served this mount is gone"), "{driver}: {out}");
        assert_eq!(PathBuf::from(out.succeeded().trim()), tree);
        assert_eq!(std::fs::read_to_string(tree.join("again")).unwrap(), "written", "{driver}");
        assert!(!tree.join("same").exists(), "{driver}");
        let_go(&nacre, &id);
        nacre.assert_sound();
    }
}

#[test]
fn any_container_of_stacked_directories_can_be_mounted_by_the_union() {
    for driver in ["overlay2", "overlay"] {
        let nacre = Nacre::new().with_driver(driver);
        load(&nacre, &base());
        nacre.ok(["create", "--name", "box", "base:1", "/x"]);
        let tree = PathBuf::from(nacre.ok(["mount", "--union", "box"]).trim());
        assert!(server(&nacre) > 0);
        std::fs::write(tree.join("by-union"), "1").unwrap();
        std::fs::remove_file(tree.join("same")).unwrap();
        let seen = Tree::read(&tree);
        nacre.ok(["umount", "box"]);
        // What it wrote is what overlayfs writes.
        assert_eq!(PathBuf::from(nacre.ok(["mount", "box"]).trim()), tree);
        seen.assert_same(&Tree::read(&tree), driver);
        let taken = nacre.run(["mount", "--union", "box"]).failed_with(4);
        assert!(taken.stderr.contains("is mounted at"), "{taken}");
        std::fs::write(tree.join("by-overlayfs"), "2").unwrap();
        nacre.ok(["umount", "box"]);
        let tree = PathBuf::from(nacre.ok(["mount", "--union", "box"]).trim());
        assert_eq!(std::fs::read(tree.join("by-overlayfs")).unwrap(), b"2");
        assert!(!tree.join("same").exists());
        let_go(&nacre, "box");
        nacre.assert_sound();
    }
    let nacre = Nacre::new().with_driver("vfs");
    load(&nacre, &base());
    nacre.ok(["create", "--name", "box", "base:1", "/x"]);
    let refused = nacre.run(["mount", "--union", "box"]).failed_with(2);
    assert!(refused.stderr.contains("nothing to unite: vfs"), "{refused}");
    nacre.assert_sound();
}
