//! The disk is full, or the power goes.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use nacre_tests::{FsKind, LoopFs, Nacre, Outcome, fixture};

fn nacre(root: &Path, crash: &str, args: &[&str]) -> Outcome {
    let mut command = Command::new(Nacre::binary());
    command.env_remove("NACRE_DRIVER").env("NACRE_CRASH", crash).env("NACRE_ROOT", root);
    Outcome::of(command.args(args))
}

/// A small file system with busybox's image on it.
fn small() -> Option<(LoopFs, std::path::PathBuf, &'static str)> {
    let fs = LoopFs::new(FsKind::Ext4, 256)?;
    let (root, image) = (fs.path().join("root"), fixture::busybox());
    nacre(&root, "", &["load", "-q", "-i", image.docker().to_str().unwrap()]).succeeded();
    Some((fs, root, image.reference))
}

#[test]
fn a_full_disk_is_emptied_by_means_of_the_reserve() {
    let Some((fs, root, image)) = small() else { return nacre_tests::skip("mkfs.ext4 is not installed") };
    let ok = |args: &[&str]| nacre(&root, "", args).succeeded();
    for name in ["one", "two"] {
        ok(&["create", "--name", name, image, "true"]);
    }
    assert!(root.join("reserve").exists());
    let filler = fs.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    for block in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; block]).is_ok() {}
    }
    fs.sync();
    for _ in 0..3 {
        let refused = nacre(&root, "", &["create", image, "true"]);
        assert_eq!(refused.code, 8, "{}", refused.stderr);
    }
    assert!(root.join("reserve").exists(), "what frees nothing does not spend it");
    ok(&["rm", "one"]);
    assert!(!root.join("reserve").exists(), "it was given up for that");
    ok(&["rm", "two"]);
    ok(&["rmi", image]);
    drop(file);
    std::fs::remove_file(filler).unwrap();
    assert_eq!(ok(&["ps", "-aq"]), "");
    assert!(root.join("reserve").exists(), "there is room for it again");
    ok(&["system", "check"]);
}

/// On a copy-on-write file system every page that is written to needs room, one that was written before too.
#[test]
fn a_container_that_fills_the_disk_can_be_removed() {
    for (kind, drivers) in [(FsKind::Btrfs, ["btrfs", "overlay2"]), (FsKind::Ext4, ["overlay2", "vfs"])] {
        for driver in drivers {
            let Some(fs) = LoopFs::new(kind, 300) else {
                nacre_tests::skip(&format!("mkfs.{} is not installed", kind.name()));
                continue;
            };
            let (nacre, image) = (Nacre::at(fs).with_driver(driver), fixture::busybox());
            nacre.load(&image.docker());
            let fill = "dd if=/dev/zero of=/big bs=1M 2>/dev/null; sync";
            let filled = nacre.run(["run", "--name", "full", image.reference, "sh", "-c", fill]);
            assert!(filled.code >= 0, "{driver} on {}: {filled}", kind.name());
            let when = format!("{driver} on {}", kind.name());
            let listed = nacre.run(["ps", "-a"]);
            assert!(listed.code == 0, "{when}: {listed}");
            let removed = nacre.run(["rm", "-f", "full"]);
            assert!(removed.code == 0, "{when}: {removed}");
            nacre.ok(["run", "--rm", image.reference, "true"]);
            nacre.assert_sound();
        }
    }
}

#[test]
fn a_removal_survives_a_power_cut_before_anything_is_deleted() {
    let Some((fs, root, image)) = small() else { return nacre_tests::skip("mkfs.ext4 is not installed") };
    for boundary in ["remove:begin", "remove:1"] {
        nacre(&root, "", &["create", "--name", "box", image, "true"]).succeeded();
        fs.sync();
        let before = folders(&root);
        assert_eq!(nacre(&root, boundary, &["rm", "box"]).code, -9);
        let cut = fs.after_a_power_cut();
        let after = cut.path().join("root");
        assert_eq!(folders(&after), before, "{boundary}: nothing that was deleted is known to be");
        assert_eq!(nacre(&after, "", &["ps", "-aq"]).succeeded(), "", "{boundary}: the record came back");
        nacre(&after, "", &["system", "check"]).succeeded();
        assert_eq!(folders(&after), before - 1, "{boundary}: the journal had it");
        nacre(&root, "", &["ps"]).succeeded();
    }
}

/// How many layers have a folder.
fn folders(root: &Path) -> usize {
    let names = std::fs::read_dir(root.join("overlay2")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.len() == 64).count()
}
