//! Mounts that a process of nacre's own serves.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use nacre_tests::craft::{Image, Tar};
use nacre_tests::{FsKind, Nacre, Tree};
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

#[test]
fn what_the_union_does_is_counted() {
    let nacre = Nacre::on(FsKind::Ext4).unwrap().with_driver("fuse-overlay");
    load(&nacre, &base());
    assert!(nacre.rows(["stat"]).is_empty());
    nacre.ok(["create", "--name", "box", "base:1", "/x"]);
    let refused = nacre.run(["stat", "box"]).failed_with(4);
    assert!(refused.stderr.contains("box is not mounted by nacre's own union"), "{refused}");
    nacre.run(["stat", "nobody"]).failed_with(3);
    let tree = PathBuf::from(nacre.ok(["mount", "box"]).trim());
    let count = |field: &str| nacre.rows(["stat", "box"])[0][field].as_u64().unwrap();
    assert_eq!(count("Others") + count("Whole"), 0);
    let before = count("Lookups");
    assert!(!tree.join("absent").exists());
    assert!(count("Lookups") > before);
    assert_eq!(count("Opens"), 0);
    std::fs::read(tree.join("same")).unwrap();
    assert_eq!(count("Opens"), 1);
    std::fs::File::options().append(true).open(tree.join("same")).unwrap();
    assert_eq!((count("Whole"), count("CopiedBytes")), (1, tree.join("same").metadata().unwrap().len()));
    let table = nacre.ok(["stat"]);
    assert!(table.starts_with("CONTAINER ") && table.contains("1 whole"), "{table}");
    let_go(&nacre, "box");
    nacre.assert_sound();
}

const LARGE: usize = 48 << 20;

/// What the image's large file has, and with a write of a container in it.
fn large(written: bool) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..LARGE).map(|n| (n / 4096 % 251) as u8).collect();
    if written {
        bytes[20 << 20..][..4].copy_from_slice(b"mine");
    }
    bytes
}

/// A container on an image with a large file, which is mounted by the union and has written a little to it.
fn half_copied(nacre: &Nacre, name: &str) -> PathBuf {
    nacre.ok(["create", "--name", name, "large:1", "/x"]);
    let tree = PathBuf::from(nacre.ok(["mount", "--union", name]).trim());
    let file = std::fs::File::options().write(true).open(tree.join("large")).unwrap();
    file.write_all_at(b"mine", 20 << 20).unwrap();
    tree
}

/// The writable layer's own file, beside the mount.
fn upper(tree: &Path) -> PathBuf {
    let layer = tree.parent().unwrap();
    ["diff", "upper"]
        .map(|upper| layer.join(upper).join("large"))
        .into_iter()
        .find(|path| path.exists())
        .unwrap()
}

#[test]
fn what_was_copied_up_in_part_is_whole_for_everybody_else() {
    for driver in ["fuse-overlay", "overlay2", "overlay"] {
        // Without reflinks.
        let nacre = Nacre::on(FsKind::Ext4).unwrap().with_driver(driver);
        let image = Image::new("large:1").layer(Tar::new().file("large", &large(false)).finish());
        let archive = nacre.root().with_file_name("large.tar");
        std::fs::write(&archive, image.docker_archive().tar()).unwrap();
        nacre.load(&archive);
        let taken = |tree: &Path| upper(tree).metadata().unwrap().blocks() * 512;

        // Read past the mount while it is there: by commit, which makes a layer of it, and by diff.
        let tree = half_copied(&nacre, "mounted");
        assert!(taken(&tree) < 1 << 20, "{driver}: a write of 4 bytes copied {}", taken(&tree));
        assert!(std::fs::read(tree.join("large")).unwrap() == large(true), "{driver}: through the mount");
        assert_eq!(nacre.ok(["diff", "mounted"]).trim(), "C /large");
        nacre.ok(["commit", "mounted", "larger:1"]);
        assert!(taken(&tree) >= LARGE as u64, "{driver}: a layer was made of half a file");
        nacre.ok(["create", "--name", "of-commit", "larger:1", "/x"]);
        let committed = PathBuf::from(nacre.ok(["mount", "of-commit"]).trim());
        assert!(
            std::fs::read(committed.join("large")).unwrap() == large(true),
            "{driver}: what was committed"
        );
        let_go(&nacre, "of-commit");
        let_go(&nacre, "mounted");

        // By the driver's own mount, at once after the union's has ended; and moved to another driver.
        half_copied(&nacre, "ended");
        nacre.ok(["umount", "ended"]);
        let tree = PathBuf::from(nacre.ok(["mount", "ended"]).trim());
        assert!(std::fs::read(tree.join("large")).unwrap() == large(true), "{driver}: mounted by the driver");
        nacre.ok(["umount", "ended"]);
        half_copied(&nacre, "moved");
        nacre.ok(["umount", "moved"]);
        nacre.ok(["driver", "migrate", "moved", "--to", "vfs"]);
        let tree = PathBuf::from(nacre.ok(["mount", "moved"]).trim());
        assert!(std::fs::read(tree.join("large")).unwrap() == large(true), "{driver}: moved");
        let_go(&nacre, "moved");

        // Its server was killed: nothing of it is lost, and overlayfs does not mount what it would misread.
        half_copied(&nacre, "killed");
        kill_process(Pid::from_raw(server(&nacre)).unwrap(), Signal::KILL).unwrap();
        let tree = PathBuf::from(nacre.ok(["mount", "killed"]).trim());
        assert!(
            std::fs::read(tree.join("large")).unwrap() == large(true),
            "{driver}: after the server was killed"
        );
        let_go(&nacre, "killed");

        // Removed while it is completed.
        half_copied(&nacre, "removed");
        nacre.ok(["umount", "removed"]);
        nacre.ok(["rm", "removed"]);
        nacre.ok(["rm", "ended"]);
        nacre.assert_sound();
    }
}
