//! Compiled components on disk: used when intact and ours, and never otherwise.
// clippy takes only the functions marked #[test] for tests.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nacre_plugin::{ComponentHost, Config, NoState, StorageDriver};

fn works(cache_dir: &Path) {
    let host =
        ComponentHost::new(Config { cache_dir: Some(cache_dir.to_owned()), ..Config::default() }).unwrap();
    let driver = common::overlay2(&host).driver(Arc::new(NoState)).unwrap();
    assert_eq!(driver.remove(&"a".repeat(64)).unwrap().len(), 2);
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn identity(path: &Path) -> (u64, Vec<u8>) {
    use std::os::unix::fs::MetadataExt;
    (fs::metadata(path).unwrap().ino(), fs::read(path).unwrap())
}

#[test]
fn a_component_is_compiled_once() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("below/cache");
    works(&cache);
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o7777, 0o700);
    let [entry] = &entries(&cache)[..] else { panic!("{:?}", entries(&cache)) };
    let first = identity(entry);
    works(&cache);
    assert!(identity(entry) == first, "it was compiled again");
}

#[test]
fn a_damaged_or_foreign_entry_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    works(&cache);
    let entry = entries(&cache).remove(0);
    let good = fs::read(&entry).unwrap();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let bad = [
        Vec::new(),
        b"nacre-c1".to_vec(),
        good[..good.len() - 1].to_vec(),
        [good.as_slice(), b"x"].concat(),
        flipped(0),
        flipped(20),
        flipped(good.len() / 2),
        b"\x7fELF another program's file, long enough to have a header and something below it".to_vec(),
    ];
    for bytes in bad {
        fs::write(&entry, &bytes).unwrap();
        works(&cache);
        assert!(fs::read(&entry).unwrap().len() == good.len(), "an entry of {} bytes was kept", bytes.len());
    }
    assert_eq!(entries(&cache).len(), 1, "{:?}", entries(&cache));
}

#[test]
fn an_entry_that_is_a_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    works(&cache);
    let entry = entries(&cache).remove(0);
    let aside = dir.path().join("aside");
    fs::rename(&entry, &aside).unwrap();
    symlink(&aside, &entry).unwrap();
    works(&cache);
    assert!(fs::symlink_metadata(&entry).unwrap().is_file());
}

#[test]
fn a_folder_that_others_can_reach_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    for mode in [0o777, 0o770, 0o755, 0o702] {
        fs::create_dir(&cache).unwrap();
        fs::set_permissions(&cache, fs::Permissions::from_mode(mode)).unwrap();
        works(&cache);
        assert!(entries(&cache).is_empty(), "{mode:o}");
        fs::remove_dir(&cache).unwrap();
    }
    let real = dir.path().join("real");
    fs::create_dir(&real).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(&real, &cache).unwrap();
    works(&cache);
    assert!(entries(&real).is_empty(), "a link was followed");
}

#[test]
fn a_folder_of_another_user_is_not_used() {
    if !rustix::process::geteuid().is_root() {
        nacre_skip::skip("giving a folder to another user needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&cache, Some(65534), None).unwrap();
    works(&cache);
    assert!(entries(&cache).is_empty());
}

#[test]
fn a_cache_that_cannot_be_made_costs_time_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    works(&dir.path().join("file/cache"));
}
