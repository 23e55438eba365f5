//! Files that are copied up by ranges, case by case.
#![allow(clippy::unwrap_used)]

mod common;

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use common::Scratch;
use common::ranges::{CHUNK, content, find, lower_file, open, options};
use nacre_sys::mount::OverlayMount;
use nacre_sys::{Dir, xattr};
use nacre_union::live::policy::Ranges;
use nacre_union::live::{Options, SetAttributes, Settled, Spot, TimeToSet, Tree, unsettled};
use nacre_union::{Layer, Whiteouts};
use rustix::fs::FallocateFlags;

fn blocks(path: PathBuf) -> u64 {
    path.metadata().unwrap().blocks() * 512
}

#[test]
fn what_changes_no_data_copies_none() {
    if !common::root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["lower"]);
    for name in ["mode", "attribute", "times", "truncated", "opened", "linked", "renamed", "tail"] {
        std::fs::write(s.path().join("lower").join(name), vec![7; 4 << 20]).unwrap();
    }
    let options = Options { copy_up: Arc::new(Ranges::default()), ..options(true) };
    s.make(&["work", "upper"]);
    let layer = |name| s.layer(name, Whiteouts::Overlay);
    let tree = Tree::open(layer("upper"), &s.sub("work"), [layer("lower")], options.clone()).unwrap();
    let set = |name: &str, set: SetAttributes| {
        tree.set_attributes(&find(&tree, name), &set, None).unwrap();
    };
    set("mode", SetAttributes { mode: Some(0o600), uid: Some(0), ..Default::default() });
    set("times", SetAttributes { modified: Some(TimeToSet::At(1, 1)), ..Default::default() });
    set("truncated", SetAttributes { size: Some(0), ..Default::default() });
    set("tail", SetAttributes { size: Some((3 << 20) + 5), ..Default::default() });
    tree.set_xattr(&find(&tree, "attribute"), b"user.test", b"1", 0).unwrap();
    tree.open_file(&find(&tree, "opened"), true, true).unwrap();
    tree.link(&find(&tree, "linked"), &tree.root(), OsStr::new("link")).unwrap();
    let root = tree.root();
    let (from, to) = (OsStr::new("renamed"), OsStr::new("elsewhere"));
    tree.rename(Spot { parent: &root, name: from }, Spot { parent: &root, name: to }, true, false).unwrap();
    let upper = s.path().join("upper");
    for name in ["mode", "attribute", "times", "truncated", "opened", "linked", "link", "elsewhere", "tail"] {
        // A block may go for attributes.
        assert!(blocks(upper.join(name)) <= 4096, "{name} takes {}", blocks(upper.join(name)));
    }
    assert_eq!(tree.statistics().copied_bytes, 0);
    drop(tree);
    assert!(unsettled(&s.sub("work")).unwrap());
    let held = Settled::complete(layer("upper"), &s.sub("work"), [layer("lower")], options).unwrap();
    assert!(!unsettled(&s.sub("work")).unwrap());
    for name in ["mode", "attribute", "times", "linked", "link", "elsewhere"] {
        assert_eq!(std::fs::read(upper.join(name)).unwrap(), vec![7; 4 << 20], "{name}");
    }
    assert_eq!(std::fs::read(upper.join("tail")).unwrap(), vec![7; (3 << 20) + 5]);
    assert_eq!(upper.join("times").metadata().unwrap().mtime(), 1);
    for name in ["truncated", "opened"] {
        assert_eq!(upper.join(name).metadata().unwrap().len(), 0);
    }
    drop(held);
}

#[test]
fn while_somebody_reads_the_layer_files_are_copied_whole() {
    let s = Scratch::new();
    let bytes = lower_file(&s, "file");
    lower_file(&s, "other");
    let tree = open(&s, true);
    let held = Settled::hold(&s.layer("upper", Whiteouts::Overlay)).unwrap();
    tree.open_file(&find(&tree, "file"), true, false).unwrap();
    assert_eq!(tree.unsettled_files(), 0);
    assert_eq!(std::fs::read(s.path().join("upper/file")).unwrap(), bytes);
    drop(held);
    tree.open_file(&find(&tree, "other"), true, false).unwrap();
    assert_eq!(tree.unsettled_files(), 1);
}

#[test]
fn a_file_without_names_leaves_nothing_and_can_be_used_while_it_is_open() {
    // To delete a file of a lower layer makes a device.
    if !common::root() {
        return;
    }
    let s = Scratch::new();
    let bytes = lower_file(&s, "file");
    lower_file(&s, "over");
    let tree = open(&s, true);
    let root = tree.root();
    let inode = find(&tree, "file");
    let file = tree.open_file(&inode, true, false).unwrap();
    file.write(b"new", 5).unwrap();
    tree.unlink(&root, OsStr::new("file")).unwrap();
    assert_eq!(tree.unsettled_files(), 0);
    file.write(b"more", 4 * CHUNK).unwrap();
    let mut expected = bytes;
    expected[5..8].copy_from_slice(b"new");
    expected[4 * CHUNK as usize..4 * CHUNK as usize + 4].copy_from_slice(b"more");
    assert!(content(&file) == expected);
    // Another one takes the place of one with a map.
    tree.open_file(&find(&tree, "over"), true, false).unwrap().write(b"x", 0).unwrap();
    let owner = nacre_union::live::Owner { uid: 0, gid: 0, mode: 0o600, umask: 0 };
    tree.create(&root, OsStr::new("new"), nacre_union::live::New::File, owner).unwrap();
    let spot = |name| Spot { parent: &root, name: OsStr::new(name) };
    tree.rename(spot("new"), spot("over"), true, false).unwrap();
    assert_eq!(tree.unsettled_files(), 0);
    assert_eq!(std::fs::read_dir(s.path().join("work/ranges")).unwrap().count(), 0);
    tree.settle_all().unwrap();
    assert!(!unsettled(&s.sub("work")).unwrap());
}

#[test]
fn a_layer_whose_lower_file_is_missing_or_another_one_is_refused() {
    let s = Scratch::new();
    lower_file(&s, "file");
    let tree = open(&s, true);
    tree.open_file(&find(&tree, "file"), true, false).unwrap().write(b"x", 0).unwrap();
    drop(tree);
    let again = |lowers: Vec<Layer>| {
        Tree::open(s.layer("upper", Whiteouts::Overlay), &s.sub("work"), lowers, options(true))
    };
    let other = s.layer("empty", Whiteouts::Overlay);
    let refused = again(vec![other.clone()]).unwrap_err();
    assert!(matches!(refused, nacre_union::Error::Unsettled { .. }), "{refused}");
    assert!(s.path().join("work/work/incompat/nacre-ranges").exists(), "it stays refused by overlayfs");
    // Layers may come to lie between.
    let tree = again(vec![other, s.layer("lower", Whiteouts::Overlay)]).unwrap();
    assert_eq!(tree.unsettled_files(), 1);
    drop(tree);
    std::fs::File::open(s.path().join("lower/file"))
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    again(vec![s.layer("lower", Whiteouts::Overlay)]).unwrap_err();
}

#[test]
fn a_file_with_capabilities_keeps_them() {
    if !common::root() {
        return;
    }
    let s = Scratch::new();
    let bytes = lower_file(&s, "file");
    lower_file(&s, "later");
    let capabilities = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let lower = Dir::open(s.path().join("lower")).unwrap();
    let name = b"security.capability";
    use std::os::fd::AsFd;
    xattr::set(xattr::Carrier::At(lower.as_fd(), OsStr::new("file")), name, &capabilities).unwrap();
    let tree = open(&s, true);
    let set = SetAttributes { modified: Some(TimeToSet::At(1, 1)), ..Default::default() };
    for file in ["file", "later"] {
        tree.set_attributes(&find(&tree, file), &set, None).unwrap();
    }
    tree.set_xattr(&find(&tree, "later"), name, &capabilities, 0).unwrap();
    tree.settle_all().unwrap();
    for file in ["file", "later"] {
        assert_eq!(tree.xattr(&find(&tree, file), name).unwrap(), capabilities, "{file}");
        assert_eq!(std::fs::read(s.path().join("upper").join(file)).unwrap(), bytes);
    }
}

#[test]
fn to_zero_more_than_there_can_be_changes_nothing() {
    let s = Scratch::new();
    let bytes = lower_file(&s, "file");
    let tree = open(&s, true);
    let file = tree.open_file(&find(&tree, "file"), true, false).unwrap();
    for flags in [FallocateFlags::ZERO_RANGE, FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE] {
        file.allocate(flags, 100, 1 << 60).unwrap_err();
        assert!(content(&file) == bytes);
    }
}

#[test]
fn many_threads_write_one_file() {
    let s = Scratch::new();
    let mut expected = lower_file(&s, "file");
    let tree = open(&s, true);
    let inode = find(&tree, "file");
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let (tree, inode) = (&tree, &inode);
            scope.spawn(move || {
                let file = tree.open_file(inode, true, false).unwrap();
                for n in 0..150u64 {
                    let at = (n * 4 + u64::from(thread)) * 128;
                    file.write(&[thread + 1; 128], at).unwrap();
                    let mut read = [0; 128];
                    file.read(&mut read, at).unwrap();
                    assert_eq!(read, [thread + 1; 128]);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..20 {
                tree.settle_idle(|| true).unwrap();
            }
        });
    });
    for (n, bytes) in expected.chunks_mut(128).take(600).enumerate() {
        bytes.fill((n % 4) as u8 + 1);
    }
    assert!(content(&tree.open_file(&inode, false, false).unwrap()) == expected);
    assert_eq!(tree.statistics().ranges, 1);
}

#[test]
fn the_kernel_refuses_the_layer_until_it_is_settled() {
    if !common::root() {
        return;
    }
    let s = Scratch::new();
    let mut bytes = lower_file(&s, "file");
    let tree = open(&s, true);
    tree.open_file(&find(&tree, "file"), true, false).unwrap().write(b"x", 0).unwrap();
    bytes[0] = b'x';
    s.make(&["merged"]);
    let mounted =
        || OverlayMount::new([s.sub("lower")]).upper(s.sub("upper"), s.sub("work")).mount(&s.sub("merged"));
    mounted().unwrap_err();
    drop(tree);
    mounted().unwrap_err();
    let tree = open(&s, true);
    mounted().unwrap_err();
    assert_eq!(content(&tree.open_file(&find(&tree, "file"), false, false).unwrap()), bytes);
    tree.close().unwrap();
    drop(tree);
    mounted().unwrap();
    assert_eq!(std::fs::read(s.path().join("merged/file")).unwrap(), bytes);
}

/// The state that a crash of the machine leaves on the disk: data that was not synced is lost, in whole or in
/// part, and records are lost or torn.
#[test]
fn what_a_crash_of_the_machine_lost_is_as_it_was_before_and_the_rest_is_there() {
    let s = Scratch::new();
    let below = lower_file(&s, "file");
    let tree = open(&s, false);
    let file = tree.open_file(&find(&tree, "file"), true, false).unwrap();
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    file.write(b"kept", 10).unwrap();
    file.allocate(hole, 3 * CHUNK, CHUNK).unwrap();
    // In the hole below, where the map vouches for what is written.
    file.write(b"in a hole", 2 * CHUNK).unwrap();
    file.sync(false).unwrap();
    file.write(b"lost", CHUNK + 10).unwrap();
    file.write(b"torn", 4 * CHUNK + 10).unwrap();
    drop((file, tree));
    let upper = std::fs::File::options().write(true).open(s.path().join("upper/file")).unwrap();
    rustix::fs::fallocate(&upper, hole, CHUNK + 8192, 4096).unwrap();
    let entries = std::fs::read_dir(s.path().join("work/ranges")).unwrap();
    let map = entries.map(|e| e.unwrap().path()).find(|path| path.extension().is_some()).unwrap();
    let map = std::fs::File::options().write(true).open(map).unwrap();
    map.set_len(map.metadata().unwrap().len() - 7).unwrap();
    let mut expected = below.clone();
    expected[10..14].copy_from_slice(b"kept");
    expected[2 * CHUNK as usize..][..9].copy_from_slice(b"in a hole");
    expected[3 * CHUNK as usize..4 * CHUNK as usize].fill(0);
    for settled in [false, true] {
        let tree = open(&s, false);
        let file = tree.open_file(&find(&tree, "file"), false, false).unwrap();
        assert!(content(&file) == expected, "settled: {settled}");
        if !settled {
            tree.close().unwrap();
            assert!(std::fs::read(s.path().join("upper/file")).unwrap() == expected);
        }
    }
    assert_eq!(std::fs::read(s.path().join("lower/file")).unwrap(), below);
}
