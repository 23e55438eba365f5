//! Files: content, the database's file, a full disk.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use common::*;
use nacre_archive::digest::Digest;
use nacre_store::{Depth, Direction, Error, Finding, NewEntry, Paths, StateChange, Store};
use rusqlite::Connection;

fn raw(dir: &std::path::Path) -> Connection {
    Connection::open(dir.join("root/nacre.db")).unwrap()
}

#[test]
fn content_reads_back_and_its_damage_is_told() {
    let dir = temporary();
    let store = open(dir.path());
    let id = add_image(&store, "config", &["a"]);
    let digest = *id.digest();
    assert_eq!(store.content().read_verified(&digest).unwrap(), b"config");
    assert!(store.check(Depth::Bytes).unwrap().is_empty());

    fs::write(store.content().path(&digest), b"confiG").unwrap();
    let damaged = store.content().read_verified(&digest);
    assert!(matches!(damaged, Err(Error::BlobDamaged { digest: named, .. }) if named == digest));
    assert!(store.check(Depth::Names).unwrap().is_empty());
    let findings = store.check(Depth::Bytes).unwrap();
    assert_eq!(findings, [Finding::BlobDamaged { digest, found: Digest::of(b"confiG") }]);

    assert_eq!(store.publish().unwrap().put(b"config").unwrap(), digest);
    assert!(store.check(Depth::Bytes).unwrap().is_empty(), "put again, it is mended");

    fs::remove_file(store.content().path(&digest)).unwrap();
    assert!(matches!(store.content().read_verified(&digest), Err(Error::BlobMissing { .. })));
    assert_eq!(store.check(Depth::Names).unwrap(), [Finding::ImageConfigMissing { image: id }]);
}

#[test]
fn what_is_written_becomes_content_and_what_is_not_finished_leaves_nothing() {
    let dir = temporary();
    let store = open(dir.path());
    let bytes = vec![7; 1 << 20];
    let mut writer = store.content().writer().unwrap();
    writer.append(&bytes).unwrap();
    let digest = writer.finish(&store.publish().unwrap()).unwrap();
    assert_eq!(digest, Digest::of(&bytes));
    let mut unfinished = store.content().writer().unwrap();
    unfinished.append(b"x").unwrap();
    drop(unfinished);
    assert_eq!(store.content().list().unwrap(), [(digest, 1 << 20)]);
    assert_eq!(fs::read_dir(store.paths().content().join("tmp")).unwrap().count(), 0);
}

#[test]
fn content_that_is_there_and_sound_is_not_replaced_by_what_is_not_synced() {
    use std::os::unix::fs::MetadataExt;
    let dir = temporary();
    let store = open(dir.path());
    let write = || {
        let mut writer = store.content().writer().unwrap();
        writer.append(b"the same").unwrap();
        writer
    };
    let publishing = store.publish().unwrap();
    let digest = write().finish(&publishing).unwrap();
    let inode = || std::fs::metadata(store.content().path(&digest)).unwrap().ino();
    let first = inode();
    assert_eq!(write().finish_unsynced(&publishing).unwrap(), digest);
    assert_eq!(inode(), first);
    std::fs::write(store.content().path(&digest), "damaged").unwrap();
    write().finish_unsynced(&publishing).unwrap();
    store.content().verify(&digest).unwrap();
}

#[test]
fn content_that_nothing_needs_is_swept_and_the_rest_is_not() {
    let dir = temporary();
    let store = open(dir.path());
    let publishing = store.publish().unwrap();
    let framing = publishing.put(b"framing").unwrap();
    let extra = publishing.put(b"extra").unwrap();
    drop(publishing);
    let mut new = layer(&["a"]);
    new.framing = Some(framing);
    store.durable(|tx| tx.add_layer(&new)).unwrap();
    let id = add_image(&store, "config", &["a"]);
    let found = store.check(Depth::Names).unwrap();
    assert_eq!(found, [Finding::ContentUnneeded { digest: extra, size: 5 }]);
    assert_eq!(store.sweep_content().unwrap(), [(extra, 5)]);
    assert!(store.content().has(&framing).unwrap() && store.content().has(id.digest()).unwrap());
}

#[test]
fn check_lists_every_kind_of_broken_record() {
    let dir = temporary();
    let store = open(dir.path());
    let id = add_image(&store, "config", &["a", "b"]);
    store.write(|tx| tx.add_container(&container(Some("web"), Some(id), &["a", "b"]))).unwrap();
    let mut framed = layer(&["f"]);
    framed.framing = Some(Digest::of(b"never written"));
    store.write(|tx| tx.add_layer(&framed)).unwrap();
    fs::write(store.paths().content().join("sha256/README"), "").unwrap();
    let db = raw(dir.path());
    db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    db.execute("DELETE FROM layers WHERE chain_id = ?1", [chain(&["a"]).to_string()]).unwrap();
    let findings = store.check(Depth::Bytes).unwrap();
    assert!(findings.contains(&Finding::ImageLayerMissing { image: id, layer: chain(&["a"]) }));
    assert!(findings.iter().any(|found| matches!(found, Finding::LayerParentMissing { .. })));
    assert!(findings.iter().any(|found| matches!(found, Finding::LayerFramingMissing { .. })));
    assert!(findings.iter().any(|found| matches!(found, Finding::StrangeFile { .. })));
    assert_eq!(findings.len(), 4, "{findings:?}");

    db.execute_batch("DELETE FROM layers; DELETE FROM images; DELETE FROM image_layers").unwrap();
    let findings = store.check(Depth::Bytes).unwrap();
    assert!(findings.iter().any(|found| matches!(found, Finding::ContainerImageMissing { .. })));
    assert!(findings.iter().any(|found| matches!(found, Finding::ContainerLayerMissing { .. })));
    assert!(findings.iter().any(|found| matches!(found, Finding::ContentUnneeded { .. })));
    assert_eq!(findings.len(), 4, "{findings:?}");
}

#[test]
fn a_later_schema_and_another_program_s_database_are_refused() {
    let dir = temporary();
    drop(open(dir.path()));
    raw(dir.path()).execute_batch("PRAGMA user_version = 99").unwrap();
    assert!(matches!(Store::open(paths(dir.path())), Err(Error::SchemaTooNew { found: 99, known: 2, .. })));
    raw(dir.path()).execute_batch("PRAGMA user_version = 1; PRAGMA application_id = 5").unwrap();
    assert!(matches!(Store::open(paths(dir.path())), Err(Error::Damaged { .. })));
}

#[test]
fn a_root_of_an_earlier_version_is_brought_up_to_date() {
    let dir = temporary();
    let paths = paths(dir.path());
    let first = Connection::open(paths.database()).unwrap();
    first.execute_batch(include_str!("../src/schema.sql")).unwrap();
    first.execute_batch("PRAGMA user_version = 1; PRAGMA application_id = 0x6e616372").unwrap();
    drop(first);
    let store = open(dir.path());
    assert!(store.check(Depth::Bytes).unwrap().is_empty());
    let entry = NewEntry {
        driver: DRIVER.to_owned(),
        op: "create".to_owned(),
        subject: "x".to_owned(),
        direction: Direction::Undo,
        plan: serde_json::json!([]),
    };
    store.journal_begin(&entry).unwrap();
    assert_eq!(store.read(|view| view.journal()).unwrap()[0].new, entry);
}

#[test]
fn a_damaged_database_is_named() {
    let dir = temporary();
    let paths = paths(dir.path());
    fs::write(paths.database(), "not a database, but long enough to be taken for one".repeat(100)).unwrap();
    match Store::open(paths.clone()) {
        Err(Error::Damaged { path, .. }) => assert_eq!(path, paths.database()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_database_file_is_filled() {
    let dir = temporary();
    fs::write(paths(dir.path()).database(), "").unwrap();
    assert!(open(dir.path()).read(|view| view.images()).unwrap().is_empty());
}

#[test]
fn an_existing_root_is_opened_without_a_write() {
    let dir = temporary();
    drop(open(dir.path()));
    let state = || {
        ["nacre.db", "nacre.db-wal"].map(|name| {
            let metadata = fs::metadata(dir.path().join("root").join(name)).unwrap();
            (metadata.size(), metadata.mtime(), metadata.mtime_nsec())
        })
    };
    let before = state();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let store = open(dir.path());
    store.read(|view| view.containers(true)).unwrap();
    store.claim_dead().unwrap();
    drop(store);
    assert_eq!(state(), before);
}

#[test]
fn only_root_reads_the_records_and_all_pass_through_the_root() {
    let dir = temporary();
    let store = open(dir.path());
    add_image(&store, "config", &["a"]);
    let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().mode() & 0o777;
    assert_eq!(mode("root"), 0o711);
    assert_eq!(mode("run"), 0o700);
    assert_eq!(mode("root/content"), 0o700);
    for name in ["root/nacre.db", "root/nacre.db-wal"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    // SQLite's shared memory is where no disk can be full (`.cargo/config.toml`).
    assert!(!dir.path().join("root/nacre.db-shm").exists());
    let database = fs::metadata(dir.path().join("root/nacre.db")).unwrap();
    let shared = format!("/run/nacre/sqlite-shm-{:x}-{:x}", database.ino() as u32, database.dev() as u32);
    assert_eq!(fs::metadata(&shared).unwrap().mode() & 0o777, 0o600, "{shared}");
}

#[test]
fn the_run_directory_is_the_same_for_every_name_of_a_root() {
    let dir = temporary();
    std::os::unix::fs::symlink(dir.path().join("root"), dir.path().join("link")).unwrap();
    fs::create_dir(dir.path().join("root")).unwrap();
    let [one, two] = ["root", "link"].map(|name| Paths::prepare(dir.path().join(name)).unwrap());
    assert_eq!(one, two);
    fs::remove_dir_all(&one.run).unwrap();
}

#[test]
fn records_are_kept_after_every_process_is_gone() {
    let dir = temporary();
    let store = open(dir.path());
    let id = add_image(&store, "config", &["a"]);
    drop(store);
    assert_eq!(open(dir.path()).read(|view| view.images()).unwrap()[0].id, id);
}

struct Mounted<'d>(&'d std::path::Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

fn mount<'d>(dir: &'d std::path::Path, options: &str) -> Option<Mounted<'d>> {
    let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(dir).status();
    if done.is_ok_and(|status| status.success()) {
        return Some(Mounted(dir));
    }
    nacre_skip::skip("a tmpfs cannot be mounted here (root is needed)");
    None
}

#[test]
fn a_full_disk_is_told_and_changes_nothing() {
    let dir = temporary();
    let Some(_mounted) = mount(dir.path(), "size=1m") else { return };
    let store = open(dir.path());
    add_stack(&store, &["a"]);
    let mut filled = 0;
    let error = loop {
        let change = StateChange::Set(filled.to_string(), vec![1; 50_000]);
        match store.write(|tx| tx.change_state(DRIVER, &[change])) {
            Ok(()) => filled += 1,
            Err(error) => break error,
        }
        assert!(filled < 100);
    };
    assert!(error.is_disk_full(), "{error:?}");
    let content = store.publish().unwrap().put(&vec![3; 2 << 20]).unwrap_err();
    assert!(content.is_disk_full(), "{content:?}");
    assert_eq!(store.read(|view| view.state_keys(DRIVER, "")).unwrap().len(), filled);
    assert_eq!(store.content().list().unwrap(), []);
    assert_eq!(fs::read_dir(store.paths().content().join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_read_only_root_can_be_read_and_says_that_it_cannot_be_changed() {
    let dir = temporary();
    let Some(_mounted) = mount(dir.path(), "size=8m") else { return };
    drop(open(dir.path()));
    let paths = paths(dir.path());
    let done = Command::new("mount").args(["-o", "remount,ro"]).arg(dir.path()).status().unwrap();
    assert!(done.success());
    let store = Store::open(paths).unwrap();
    assert!(store.is_read_only());
    assert!(store.read(|view| view.images()).unwrap().is_empty());
    let change = store.write(|tx| tx.change_state("a", &[StateChange::Set("key".into(), vec![1])]));
    assert!(matches!(change, Err(Error::ReadOnly { .. })), "{change:?}");
}
