//! The drivers that ship, each on the file systems that it is for: the main job, its layout on disk, and what
//! it alone can do.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nacre_tests::craft::{Header, Image, Packing, Tar};
use nacre_tests::{FsKind, LoopFs, Nacre, Tree, fixture, scratch, shell, skip};

/// Each driver with the file systems that it is tried on; overlay2 is the subject of the other suites.
const HOMES: [(&str, FsKind); 5] = [
    ("vfs", FsKind::Ext4),
    ("vfs", FsKind::Xfs),
    ("btrfs", FsKind::Btrfs),
    ("overlay", FsKind::Ext4),
    ("overlay", FsKind::Xfs),
];

fn nacre(driver: &'static str, kind: FsKind) -> Option<Nacre> {
    let made = Nacre::on(kind);
    if made.is_none() {
        skip(&format!("{driver} on {}: no mkfs.{}", kind.name(), kind.name()));
    }
    made.map(|nacre| nacre.with_driver(driver))
}

pub(crate) fn load(nacre: &Nacre, image: &Image) {
    let dir = scratch();
    let archive = dir.path().join("archive.tar");
    std::fs::write(&archive, image.oci_layout(Packing::Plain).tar()).unwrap();
    nacre.load(&archive);
}

/// The names in a folder of the driver's home.
fn names(nacre: &Nacre, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(nacre.root().join(folder)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Make a container, and mount it.
pub(crate) fn mounted(nacre: &Nacre, image: &str) -> (String, PathBuf) {
    let id = nacre.ok(["create", image, "/bin/true"]).trim().to_owned();
    let path = nacre.ok(["mount", &id]).trim().into();
    (id, path)
}

pub(crate) fn let_go(nacre: &Nacre, id: &str) {
    nacre.ok(["umount", id]);
    nacre.ok(["rm", id]);
}

/// Load, run, write, diff, commit, save, load elsewhere, remove.
fn main_job(driver: &'static str, kind: FsKind) {
    if let Some(nacre) = nacre(driver, kind) {
        main_job_of(&nacre, &format!("{driver} on {kind:?}"));
    }
}

pub(crate) fn main_job_of(nacre: &Nacre, what: &str) {
    let (image, dir) = (fixture::app(), scratch());
    nacre.load(&image.docker());
    assert_eq!(nacre.rows(["images", "--no-trunc"])[0]["ID"].as_str().unwrap(), image.id());

    let script = "echo changed >> /srv/app/main.py; rm /srv/app/empty; mkdir /srv/app/made; \
                  ln /srv/app/main.py /srv/app/linked; chmod 700 /srv/app/blob; python3 -Bc 'print(\"hello\")'";
    assert_eq!(nacre.ok(["run", "--name", "box", image.reference, "sh", "-c", script]), "hello\n");
    let mut diff: Vec<String> = nacre.ok(["diff", "box"]).lines().map(str::to_owned).collect();
    diff.sort();
    let expected = [
        "A /srv/app/linked",
        "A /srv/app/made",
        "C /srv",
        "C /srv/app",
        "C /srv/app/blob",
        "C /srv/app/main.py",
        "D /srv/app/empty",
    ];
    assert_eq!(diff, expected, "{what}");
    let row = &nacre.rows(["ps", "-a", "-s"])[0];
    assert_eq!(row["SizeBytes"].as_u64().unwrap(), 44 + 20_000_000, "{what}");

    let id = nacre.ok(["commit", "-m", "changed", "box", "example/changed:1"]);
    let see = "cat /srv/app/main.py; test -e /srv/app/empty || echo gone; test -d /srv/app/made && echo made; \
               stat -c %a:%h /srv/app/blob /srv/app/linked";
    let seen = nacre.ok(["run", "--rm", "example/changed:1", "sh", "-c", see]);
    assert!(seen.ends_with("changed\ngone\nmade\n700:1\n644:2\n"), "{seen}");
    // The image itself is as it was.
    let untouched = nacre.ok([
        "run",
        "--rm",
        image.reference,
        "sh",
        "-c",
        "cat /srv/app/main.py; stat -c %a /srv/app/blob",
    ]);
    assert!(!untouched.contains("changed") && !untouched.ends_with("700\n"), "{untouched}");

    let saved = dir.path().join("saved.tar");
    nacre.ok(["save", "-o", saved.to_str().unwrap(), "example/changed:1"]);
    let elsewhere = Nacre::new();
    elsewhere.load(&saved);
    assert_eq!(elsewhere.ok(["images", "-q", "--no-trunc"]).trim(), id.trim());
    assert_eq!(elsewhere.ok(["run", "--rm", "example/changed:1", "sh", "-c", see]), seen);

    nacre.assert_sound();
    nacre.ok(["rm", "box"]);
    nacre.ok(["rmi", "example/changed:1"]);
    nacre.load(&saved);
    assert_eq!(nacre.ok(["run", "--rm", "example/changed:1", "sh", "-c", see]), seen);
    nacre.ok(["rmi", "example/changed:1"]);
    nacre.ok(["rmi", image.reference]);
    assert_eq!(nacre.rows(["layer", "ls"]).len(), 0, "no layer is left without an image");
    nacre.assert_sound();
}

#[test]
fn the_main_job_is_done_by_vfs_on_ext4() {
    main_job("vfs", FsKind::Ext4);
}

#[test]
fn the_main_job_is_done_by_vfs_on_xfs_with_reflinks() {
    main_job("vfs", FsKind::Xfs);
}

#[test]
fn the_main_job_is_done_by_btrfs() {
    main_job("btrfs", FsKind::Btrfs);
}

#[test]
fn the_main_job_is_done_by_overlay_on_ext4() {
    main_job("overlay", FsKind::Ext4);
}

#[test]
fn the_main_job_is_done_by_overlay_on_xfs() {
    main_job("overlay", FsKind::Xfs);
}

#[test]
fn the_main_job_is_done_by_fuse_overlay() {
    main_job("fuse-overlay", FsKind::Ext4);
}

#[test]
fn the_main_job_is_done_by_aufs() {
    main_job("aufs", FsKind::Ext4);
}

pub(crate) fn base() -> Image {
    let tar = Tar::new()
        .file("same", b"same")
        .file("again", b"below")
        .file("linked", b"below")
        .file("removed", b"below")
        .dir("d/")
        .file("d/file", b"below")
        .symlink("link", "same");
    Image::new("base:1").layer(tar.finish())
}

fn two_layers() -> Image {
    let mut owned = Header::new("mine", b'0');
    (owned.mode, owned.owner) = (0o4711, (7, 7));
    let tar = Tar::new()
        .file("again", b"above")
        .hardlink("linked-again", "linked")
        .entry(&Header::new(".wh.removed", b'0'), b"")
        .entry(&owned, b"")
        .file("link", b"no link")
        .file("d", b"a file now");
    Image { reference: "two:1".into(), ..base() }.layer(tar.finish())
}

/// The tree without the root directory itself, which is the container's own where overlayfs shows it.
fn entries(root: &Path) -> Tree {
    let mut tree = Tree::read(root);
    tree.entries.remove(&b""[..]);
    tree
}

#[test]
fn a_container_sees_its_image_and_the_image_never_changes() {
    for (driver, kind) in HOMES {
        let Some(nacre) = nacre(driver, kind) else { continue };
        load(&nacre, &two_layers());
        let (first, path) = mounted(&nacre, "two:1");
        let before = entries(&path);
        assert_eq!(std::fs::read_to_string(path.join("again")).unwrap(), "above");
        assert_eq!(std::fs::read_to_string(path.join("d")).unwrap(), "a file now");
        assert!(!path.join("removed").exists());
        assert_eq!(path.join("mine").metadata().unwrap().mode() & 0o7777, 0o4711);
        std::fs::write(path.join("same"), "written").unwrap();
        std::fs::write(path.join("linked"), "written").unwrap();
        std::fs::remove_file(path.join("again")).unwrap();
        std::os::unix::fs::chown(path.join("link"), Some(9), Some(9)).unwrap();
        let (second, path) = mounted(&nacre, "two:1");
        before.assert_same(&entries(&path), &format!("a second container of {driver} on {kind:?}"));
        let_go(&nacre, &first);
        let_go(&nacre, &second);
        nacre.ok(["rmi", "two:1"]);
        nacre.assert_sound();
    }
}

#[test]
fn vfs_has_a_folder_for_each_layer_as_docker_has() {
    let Some(nacre) = nacre("vfs", FsKind::Ext4) else { return };
    load(&nacre, &two_layers());
    assert_eq!(names(&nacre, "vfs"), ["dir"]);
    let layers = names(&nacre, "vfs/dir");
    assert!(layers.len() == 2 && layers.iter().all(|name| name.len() == 64), "{layers:?}");
    let (id, _) = mounted(&nacre, "two:1");
    assert_eq!(names(&nacre, "vfs/dir").len(), 3);
    let_go(&nacre, &id);
    nacre.ok(["rmi", "two:1"]);
    assert_eq!(names(&nacre, "vfs/dir"), [""; 0]);
}

#[test]
fn vfs_shares_data_between_layers_where_the_file_system_can() {
    let Some(nacre) = nacre("vfs", FsKind::Xfs) else { return };
    let big = Tar::new().file("big", &vec![7; 50 << 20]).finish();
    load(&nacre, &Image::new("big:1").layer(big));
    let used = || {
        shell(&format!("sync -f {}", nacre.root().display()));
        let found = rustix::fs::statvfs(nacre.root()).unwrap();
        (found.f_blocks - found.f_bfree) * found.f_frsize
    };
    let before = used();
    let containers: Vec<_> = (0..4).map(|_| mounted(&nacre, "big:1").0).collect();
    assert!(used() - before < 10 << 20, "{} more", used() - before);
    containers.iter().for_each(|id| let_go(&nacre, id));
}

#[test]
fn overlay_links_an_images_files_to_those_below_and_never_writes_to_them() {
    for kind in [FsKind::Ext4, FsKind::Xfs] {
        let Some(nacre) = nacre("overlay", kind) else { continue };
        load(&nacre, &base());
        let home = nacre.root().join("overlay");
        let below = home.join(&names(&nacre, "overlay")[0]).join("root");
        let before = Tree::read(&below);
        load(&nacre, &two_layers());
        let own = names(&nacre, "overlay").into_iter().map(|name| home.join(name).join("root"));
        let own = own.into_iter().find(|root| *root != below).unwrap();
        before.assert_same(&Tree::read(&below), &format!("the layer below, on {kind:?}"));
        let inode = |root: &Path, name: &str| root.join(name).symlink_metadata().unwrap().ino();
        assert_eq!(inode(&below, "same"), inode(&own, "same"));
        assert_eq!(inode(&below, "linked"), inode(&own, "linked-again"));
        assert_ne!(inode(&below, "again"), inode(&own, "again"));

        let (id, path) = mounted(&nacre, "two:1");
        std::fs::write(path.join("same"), "written").unwrap();
        nacre.ok(["commit", &id, "third:1"]);
        before.assert_same(&Tree::read(&below), &format!("the layer below, after a commit on {kind:?}"));
        let container = names(&nacre, "overlay").into_iter().map(|name| home.join(name));
        let container = container.into_iter().find(|layer| layer.join("upper").exists()).unwrap();
        let mut parts: Vec<_> =
            std::fs::read_dir(&container).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        parts.sort();
        assert_eq!(parts, ["lower-id", "merged", "upper", "work"]);
        let lower = std::fs::read_to_string(container.join("lower-id")).unwrap();
        assert_eq!(home.join(lower).join("root"), own);
        let_go(&nacre, &id);
        nacre.assert_sound();
    }
}

#[test]
fn btrfs_makes_a_layer_a_snapshot_and_deletes_what_a_container_nested_in_it() {
    let Some(nacre) = nacre("btrfs", FsKind::Btrfs) else { return };
    load(&nacre, &two_layers());
    assert_eq!(names(&nacre, "btrfs"), ["subvolumes"]);
    let home = nacre.root().join("btrfs/subvolumes");
    for name in names(&nacre, "btrfs/subvolumes") {
        assert_eq!(home.join(&name).metadata().unwrap().ino(), 256, "{name} is no subvolume");
    }
    let (id, path) = mounted(&nacre, "two:1");
    let at = path.display();
    shell(&format!("cd {at}; btrfs subvolume create a; btrfs subvolume create a/b; echo x > a/b/file"));
    assert!(nacre.ok(["diff", &id]).contains("A /a/b/file"));
    nacre.ok(["commit", &id, "nested:1"]);
    let_go(&nacre, &id);
    let (id, path) = mounted(&nacre, "nested:1");
    assert_eq!(std::fs::read_to_string(path.join("a/b/file")).unwrap(), "x\n");
    let_go(&nacre, &id);
    nacre.ok(["rmi", "nested:1"]);
    nacre.ok(["rmi", "two:1"]);
    assert_eq!(names(&nacre, "btrfs/subvolumes"), [""; 0]);
    let left = shell(&format!("btrfs subvolume list {}", nacre.root().display()));
    assert_eq!(left, "", "subvolumes are left");
}

#[test]
fn btrfs_limits_what_a_container_takes_up() {
    let Some(nacre) = nacre("btrfs", FsKind::Btrfs) else { return };
    let image = fixture::busybox();
    nacre.load(&image.docker());
    let write = "dd if=/dev/zero of=/big bs=1M count=50 && sync";
    let full = nacre.run([
        "run",
        "--name",
        "small",
        "--storage-opt",
        "size=20M",
        image.reference,
        "sh",
        "-c",
        write,
    ]);
    assert!(full.code != 0 && full.stderr.contains("uota exceeded"), "{full}");
    let quotas = names(&nacre, "btrfs/quotas");
    assert_eq!(quotas.len(), 1);
    let size = std::fs::read_to_string(nacre.root().join("btrfs/quotas").join(&quotas[0])).unwrap();
    assert_eq!(size, (20 << 20).to_string());
    nacre.ok(["run", "--rm", image.reference, "sh", "-c", write]);
    nacre.ok(["rm", "small"]);
    assert_eq!(names(&nacre, "btrfs/quotas"), [""; 0]);
    nacre.assert_sound();
}

#[test]
fn btrfs_refuses_a_container_of_less_than_the_least_space() {
    let Some(nacre) = nacre("btrfs", FsKind::Btrfs) else { return };
    let image = fixture::busybox();
    nacre.load(&image.docker());
    let few = ["--storage-opt", "btrfs.min_space=1G", "create", "--storage-opt", "size=20M", image.reference];
    let refused = nacre.run(few);
    assert!(refused.code != 0 && refused.stderr.contains("`size`"), "{refused}");
    assert_eq!(nacre.rows(["ps", "-a"]).len(), 0);
    nacre.assert_sound();
}

#[test]
fn btrfs_says_so_where_there_is_no_btrfs() {
    let Some(nacre) = nacre("btrfs", FsKind::Ext4) else { return };
    let refused = nacre.run(["load", "-i", fixture::busybox().docker().to_str().unwrap()]);
    assert!(refused.code != 0 && refused.stderr.contains("is not btrfs"), "{refused}");
}

#[test]
fn overlay2_says_so_where_a_container_cannot_be_limited() {
    let Some(nacre) = nacre("overlay2", FsKind::Ext4) else { return };
    let image = fixture::busybox();
    nacre.load(&image.docker());
    let refused = nacre.run(["create", "--storage-opt", "size=20M", image.reference, "true"]);
    assert!(refused.code != 0 && refused.stderr.contains("cannot be limited"), "{refused}");
    assert_eq!(nacre.rows(["ps", "-a"]).len(), 0);
    nacre.assert_sound();
}

#[test]
fn overlay2_limits_what_a_container_writes_where_there_is_project_quota() {
    let kinds = [FsKind::Ext4, FsKind::Xfs].into_iter();
    for (kind, driver) in kinds.flat_map(|kind| ["overlay2", "fuse-overlay"].map(|driver| (kind, driver))) {
        let Some(fs) = LoopFs::with_project_quota(kind, 1024) else {
            skip(&format!("this kernel has no project quota on {}", kind.name()));
            continue;
        };
        let (nacre, image) = (Nacre::at(fs).with_driver(driver), fixture::busybox());
        nacre.load(&image.docker());
        let write = "dd if=/dev/zero of=/big bs=1M count=50 && sync";
        let run = ["run", "--rm", "--storage-opt", "size=20M", image.reference, "sh", "-c", write];
        let full = nacre.run(run);
        assert!(full.code != 0, "{driver} on {}: {full}", kind.name());
        let many = "for n in $(seq 100); do touch /$n || exit 9; done";
        let run = ["run", "--rm", "--storage-opt", "inodes=50", image.reference, "sh", "-c", many];
        assert_eq!(nacre.run(run).code, 9, "{driver} on {}", kind.name());
        nacre.ok(["run", "--rm", image.reference, "sh", "-c", write]);
        // One that is full can be mounted, and emptied, and has its limit all the time.
        nacre.run(["run", "--name", "full", "--storage-opt", "size=20M", image.reference, "sh", "-c", write]);
        let tree = PathBuf::from(nacre.ok(["mount", "full"]).trim());
        assert!(std::fs::write(tree.join("more"), vec![1; 4 << 20]).is_err(), "{driver} on {}", kind.name());
        std::fs::remove_file(tree.join("big")).unwrap();
        std::fs::write(tree.join("more"), vec![1; 4 << 20]).unwrap();
        nacre.ok(["umount", "full"]);
        assert!(nacre.run(["start", "--attach", "full"]).code > 0, "it writes 50 MB again");
        nacre.ok(["rm", "full"]);
        nacre.assert_sound();
    }
}

#[test]
fn a_volatile_container_is_mounted_as_often_as_any() {
    let nacre = Nacre::new();
    nacre.load(&fixture::busybox().docker());
    nacre.ok(["create", "--name", "box", "--storage-opt", "volatile=true", "example/busybox:1", "true"]);
    for round in ["one", "two", "three"] {
        let tree = std::path::PathBuf::from(nacre.ok(["mount", "box"]).trim());
        std::fs::write(tree.join(round), round).unwrap();
        nacre.ok(["umount", "box"]);
    }
    nacre.ok(["start", "--attach", "box"]);
    assert_eq!(nacre.ok(["diff", "box"]).lines().count(), 3);
    nacre.ok(["rm", "box"]);
}
