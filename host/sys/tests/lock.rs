//! Locks between values, threads and processes.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};

use common::Scratch;
use nacre_sys::FileLock;

#[test]
fn one_holder_excludes_the_others_until_it_is_dropped() {
    let s = Scratch::new();
    let path = s.path().join("lock");
    let held = FileLock::exclusive(&path).unwrap();
    assert!(FileLock::try_exclusive(&path).unwrap().is_none());
    drop(held);
    let shared = FileLock::shared(&path).unwrap();
    drop(FileLock::shared(&path).unwrap());
    assert!(FileLock::try_exclusive(&path).unwrap().is_none());
    drop(shared);
    assert!(FileLock::try_exclusive(&path).unwrap().is_some());
}

#[test]
fn a_lock_whose_file_is_removed_and_made_again_all_the_time_still_excludes() {
    let s = Scratch::new();
    let path = s.path().join("lock");
    let inside = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..300 {
                    let lock = FileLock::exclusive(&path).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    std::hint::spin_loop();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    lock.remove_and_release().unwrap();
                }
            });
        }
    });
    assert!(!path.exists());
}

#[test]
fn a_child_process_does_not_keep_the_lock() {
    let s = Scratch::new();
    let path = s.path().join("lock");
    let held = FileLock::exclusive(&path).unwrap();
    let mut child = std::process::Command::new("sleep").arg("5").spawn().unwrap();
    drop(held);
    assert!(FileLock::try_exclusive(&path).unwrap().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
}
