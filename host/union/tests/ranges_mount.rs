//! Files that are copied up by ranges, through a mount.
#![cfg(feature = "fuse")]
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use common::ranges::{CHUNK, options};
use common::{Scratch, root};
use nacre_sys::mount::{self, OverlayMount};
use nacre_union::Whiteouts;
use nacre_union::fuse::{ServeOptions, Service, mount as serve};
use nacre_union::live::policy::Ranges;
use nacre_union::live::{Options, Tree, unsettled};

const SIZE: usize = 5 << 20;

/// A mount and the thread that serves it.
struct Live<'a> {
    s: &'a Scratch,
    server: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl<'a> Live<'a> {
    fn new(s: &'a Scratch, passthrough: bool, settle_after: Option<Duration>) -> Self {
        s.make(&["live", "work"]);
        let options = Options { copy_up: Arc::new(Ranges::default()), ..options(false) };
        let (upper, lower) = (s.layer("upper", Whiteouts::Overlay), s.layer("lower", Whiteouts::Overlay));
        let tree = Tree::open(upper, &s.sub("work"), [lower], options).unwrap();
        let options = ServeOptions { passthrough, threads: 2, settle_after, ..ServeOptions::default() };
        let mounted = serve(tree, &s.path().join("live"), &options).unwrap();
        Self { s, server: Some(std::thread::spawn(move || mounted.serve())) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.s.path().join("live").join(name)
    }

    fn end(mut self) {
        assert!(mount::unmount(&self.s.dir, "live").unwrap());
        self.server.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        if self.server.is_some() {
            let _ = mount::detach(&self.s.dir, "live");
        }
    }
}

fn lower(s: &Scratch, names: &[&str]) -> Vec<u8> {
    s.make(&["lower"]);
    let bytes: Vec<u8> = (0..SIZE).map(|n| (n % 253) as u8 + 1).collect();
    for name in names {
        std::fs::write(s.path().join("lower").join(name), &bytes).unwrap();
    }
    bytes
}

fn open(path: impl AsRef<Path>) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn taken(s: &Scratch, name: &str) -> u64 {
    s.path().join("upper").join(name).metadata().unwrap().blocks() * 512
}

fn same(path: impl AsRef<Path>, expected: &[u8]) {
    let path = path.as_ref();
    assert!(std::fs::read(path).unwrap() == expected, "{}", path.display());
}

#[test]
fn every_way_to_write_takes_what_is_written_and_the_rest_stays_below() {
    if !root() {
        return;
    }
    for passthrough in [true, false] {
        let s = Scratch::new();
        let below = lower(&s, &["file", "mode", "emptied", "source"]);
        let live = Live::new(&s, passthrough, None);
        let path = live.path("file");
        let number = path.metadata().unwrap().ino();
        let reader = File::open(&path).unwrap();
        let mut start = [0; 8];
        reader.read_exact_at(&mut start, 0).unwrap();

        let mut expected = below.clone();
        let file = open(&path);
        file.write_all_at(b"by write", 2 * CHUNK + 10).unwrap();
        expected[2 * CHUNK as usize + 10..][..8].copy_from_slice(b"by write");
        nacre_sys::map::write_mapped(&file, &[7; CHUNK as usize + 5]).unwrap();
        expected[..CHUNK as usize + 5].fill(7);
        assert!(taken(&s, "file") <= 4 * CHUNK, "{} bytes", taken(&s, "file"));
        std::fs::hard_link(&path, live.path("link")).unwrap();
        std::fs::rename(&path, live.path("renamed")).unwrap();
        assert_eq!(live.path("link").metadata().unwrap().ino(), number);
        assert_eq!(live.path("renamed").metadata().unwrap().nlink(), 2);

        std::thread::scope(|scope| {
            for n in 0..4u8 {
                let path = live.path("link");
                scope.spawn(move || {
                    let mut file = OpenOptions::new().append(true).open(path).unwrap();
                    for _ in 0..50 {
                        file.write_all(&[b'a' + n; 100]).unwrap();
                    }
                });
            }
        });
        let seen = std::fs::read(live.path("renamed")).unwrap();
        assert_eq!(seen.len(), SIZE + 4 * 50 * 100);
        let (old, new) = seen.split_at(SIZE);
        assert!(old == expected, "what was there before the end");
        for n in 0..4 {
            assert_eq!(new.chunks(100).filter(|part| *part == [b'a' + n; 100]).count(), 50);
        }

        let source = open(live.path("source"));
        let (mut from, mut to) = (CHUNK, 0);
        let mut left = CHUNK as usize + 100;
        while left > 0 {
            left -=
                rustix::fs::copy_file_range(&file, Some(&mut from), &source, Some(&mut to), left).unwrap();
        }
        let mut copied = below.clone();
        copied[..CHUNK as usize + 100].copy_from_slice(&seen[CHUNK as usize..][..CHUNK as usize + 100]);
        same(live.path("source"), &copied);

        std::fs::set_permissions(live.path("mode"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        OpenOptions::new().write(true).truncate(true).open(live.path("emptied")).unwrap();
        assert!(taken(&s, "mode") <= 4096 && taken(&s, "emptied") <= 4096);
        same(live.path("mode"), &below);
        same(live.path("emptied"), b"");
        // One that is truncated when it has a map already.
        OpenOptions::new().write(true).truncate(true).open(live.path("mode")).unwrap();
        open(live.path("mode")).set_len(1000).unwrap();
        same(live.path("mode"), &[0; 1000]);
        drop((reader, file, source));

        live.end();
        assert!(!unsettled(&s.sub("work")).unwrap());
        s.make(&["merged"]);
        OverlayMount::new([s.sub("lower")])
            .upper(s.sub("upper"), s.sub("work"))
            .mount(&s.sub("merged"))
            .unwrap();
        same(s.path().join("merged/link"), &seen);
        same(s.path().join("merged/source"), &copied);
        same(s.path().join("merged/mode"), &[0; 1000]);
        for name in ["file", "mode", "emptied", "source"] {
            same(s.path().join("lower").join(name), &below);
        }
    }
}

#[test]
fn what_nobody_uses_is_completed_and_keeps_its_time() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    let mut bytes = lower(&s, &["file"]);
    let live = Live::new(&s, true, Some(Duration::from_millis(50)));
    let file = open(live.path("file"));
    file.write_all_at(b"x", 0).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(5)).unwrap();
    bytes[0] = b'x';
    let start = Instant::now();
    while unsettled(&s.sub("work")).unwrap() {
        assert!(start.elapsed() < Duration::from_secs(20), "it is not completed");
        std::thread::sleep(Duration::from_millis(10));
    }
    same(s.path().join("upper/file"), &bytes);
    assert_eq!(live.path("file").metadata().unwrap().mtime(), 5);
    assert_eq!(live.path("file").metadata().unwrap().nlink(), 1);
    // It is open since before.
    file.write_all_at(b"y", SIZE as u64).unwrap();
    bytes.push(b'y');
    same(live.path("file"), &bytes);
    drop(file);
    same(live.path("file"), &bytes);
    live.end();
}

fn service(s: &Scratch) -> Service {
    let path = |name: &str| s.path().join(name);
    Service {
        lowers: vec![path("lower")],
        upper: Some((path("upper"), path("work"))),
        at: path("live"),
        whiteouts: Whiteouts::Overlay,
    }
}

#[test]
fn a_layer_can_be_read_while_it_is_mounted_once_it_was_settled() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    let mut bytes = lower(&s, &["file", "later"]);
    let live = Live::new(&s, true, None);
    let file = open(live.path("file"));
    file.write_all_at(b"x", CHUNK).unwrap();
    bytes[CHUNK as usize] = b'x';
    let held = service(&s).settle().unwrap();
    same(s.path().join("upper/file"), &bytes);
    // What is written meanwhile is in the layer in full.
    bytes[CHUNK as usize] = b'y';
    for name in ["file", "later"] {
        open(live.path(name)).write_all_at(b"y", CHUNK).unwrap();
        let mut expected = bytes.clone();
        if name == "later" {
            expected[CHUNK as usize] = b'y';
        }
        same(s.path().join("upper").join(name), &expected);
    }
    drop((held, file));
    live.end();
}

/// Serve by the program, in the foreground.
fn program(s: &Scratch) -> Child {
    s.make(&["live", "work", "upper"]);
    let path = |name: &str| s.path().join(name).display().to_string();
    let options = format!(
        "lowerdir={},upperdir={},workdir={},copyup=ranges,settle=never",
        path("lower"),
        path("upper"),
        path("work")
    );
    let child = Command::new(env!("CARGO_BIN_EXE_nacre-union"))
        .args(["nacre", &path("live"), "-o", &options, "-f"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !mount::below(s.path()).unwrap().iter().any(|found| found.mount_point.ends_with("live")) {
        assert!(start.elapsed() < Duration::from_secs(20), "it is not mounted");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn what_a_killed_server_leaves_is_taken_up_by_the_next_or_completed_without_one() {
    if !root() {
        return;
    }
    for again in [true, false] {
        let s = Scratch::new();
        let mut bytes = lower(&s, &["file"]);
        let mut server = program(&s);
        let path = s.path().join("live/file");
        open(&path).write_all_at(b"before", 3 * CHUNK + 1).unwrap();
        bytes[3 * CHUNK as usize + 1..][..6].copy_from_slice(b"before");
        std::fs::rename(&path, s.path().join("live/renamed")).unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        mount::detach(&s.dir, "live").unwrap();
        assert!(unsettled(&s.sub("work")).unwrap());
        let path = s.path().join("live/renamed");
        if again {
            let mut server = program(&s);
            same(&path, &bytes);
            let synced = OpenOptions::new().write(true).custom_flags(0o4_010_000).open(&path).unwrap();
            synced.write_all_at(b"after", 10 * CHUNK).unwrap();
            bytes[10 * CHUNK as usize..][..5].copy_from_slice(b"after");
            same(&path, &bytes);
            drop(synced);
            assert!(mount::unmount(&s.dir, "live").unwrap());
            assert!(server.wait().unwrap().success());
        } else {
            service(&s).settle().unwrap().unwrap();
        }
        assert!(!unsettled(&s.sub("work")).unwrap());
        same(s.path().join("upper/renamed"), &bytes);
    }
}
