//! Several processes, some of them killed.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::HashSet;
use std::io::Read;
use std::process::Child;

use common::*;
use nacre_store::{Direction, Error, NewEntry};
use serde_json::json;

fn new_entry(subject: &str) -> NewEntry {
    NewEntry {
        driver: DRIVER.to_owned(),
        op: "create".to_owned(),
        subject: subject.to_owned(),
        direction: Direction::Undo,
        plan: json!([{ "mkdir": "x" }]),
    }
}

/// Not a test of its own: what the other processes do.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    let store = open(&dir);
    match role.as_str() {
        "open" => {}
        "hammer" => hammer(&store),
        "unpack" => unpack(&store),
        "journal" => {
            store.journal_begin(&new_entry("one")).unwrap();
            store.journal_begin(&new_entry("two")).unwrap();
            let owner = store.owner().unwrap();
            store.write(|tx| tx.hold_layers(&owner, DRIVER, &[chain(&["a"])])).unwrap();
            println!("{SAYS}ready");
            let _ = std::io::stdin().read(&mut [0]);
        }
        "claim" => {
            let claimed = store.claim_dead().unwrap();
            println!("{SAYS}{}", claimed.len());
            // Stays alive with what it claimed until it is told to end.
            let _ = std::io::stdin().read(&mut [0]);
        }
        "write content" => {
            let mut writer = store.content().writer().unwrap();
            writer.append(b"half").unwrap();
            println!("{SAYS}ready");
            let _ = std::io::stdin().read(&mut [0]);
        }
        other => panic!("{other}"),
    }
}

fn hammer(store: &nacre_store::Store) {
    for round in 0..25 {
        let made = store.write(|tx| tx.add_container(&container(None, None, &[]))).unwrap();
        let found = store.read(|view| view.find_container(&made.name)).unwrap();
        assert_eq!(found.id, made.id);
        let id = store.journal_begin(&new_entry(made.id.as_str())).unwrap();
        let owner = store.owner().unwrap();
        store.durable(|tx| tx.journal_finish(&owner, id)).unwrap();
        if round % 2 == 0 {
            store.write(|tx| tx.remove_container(&made.id)).unwrap();
        }
    }
}

fn unpack(store: &nacre_store::Store) {
    for height in 1..=4 {
        let new = layer(&["a", "b", "c", "d"][..height]);
        let _lock = store.lock_layer(DRIVER, &new.chain_id).unwrap();
        if store.read(|view| view.layer(DRIVER, &new.chain_id)).unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(5));
            store.write(|tx| tx.add_layer(&new)).unwrap();
            println!("{SAYS}unpacked");
        }
    }
}

/// What they said, after they ended well.
fn outputs(children: Vec<Child>) -> Vec<String> {
    children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{text}");
            text
        })
        .collect()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn sixteen_processes_open_a_new_root_at_once() {
    for _ in 0..5 {
        let dir = temporary();
        outputs((0..16).map(|_| spawn(dir.path(), "open")).collect());
        assert!(open(dir.path()).check(nacre_store::Depth::Bytes).unwrap().is_empty());
    }
}

#[test]
fn sixteen_processes_write_at_once() {
    let dir = temporary();
    outputs((0..16).map(|_| spawn(dir.path(), "hammer")).collect());
    let store = open(dir.path());
    assert_eq!(store.read(|view| view.containers(true)).unwrap().len(), 16 * 12);
    assert!(store.read(|view| view.journal()).unwrap().is_empty());
    assert!(store.check(nacre_store::Depth::Bytes).unwrap().is_empty());
}

#[test]
fn a_layer_is_unpacked_once_by_sixteen_processes() {
    let dir = temporary();
    let said = outputs((0..16).map(|_| spawn(dir.path(), "unpack")).collect());
    let unpacked: usize = said.iter().map(|text| text.matches("unpacked").count()).sum();
    assert_eq!(unpacked, 4);
    let left = std::fs::read_dir(paths(dir.path()).locks()).unwrap().map(|file| file.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("layer-")).collect();
    assert!(left.is_empty(), "lock files are cleaned up: {left:?}");
}

#[test]
fn what_a_living_process_does_is_nobody_else_s() {
    let dir = temporary();
    let store = open(dir.path());
    let mut living = spawn(dir.path(), "journal");
    hear(&mut living);
    assert!(store.claim_dead().unwrap().is_empty());
    assert!(store.check(nacre_store::Depth::Names).unwrap().is_empty());
    let theirs = store.read(|view| view.journal()).unwrap().remove(0);
    let owner = store.owner().unwrap();
    assert!(matches!(store.write(|tx| tx.journal_finish(&owner, theirs.id)), Err(Error::NotOwned { .. })));
    kill(living);
}

#[test]
fn what_a_killed_process_left_is_claimed_once() {
    let dir = temporary();
    let store = open(dir.path());
    add_stack(&store, &["a"]);
    let mut killed = spawn(dir.path(), "journal");
    hear(&mut killed);
    kill(killed);
    let findings = store.check(nacre_store::Depth::Names).unwrap();
    assert_eq!(findings.len(), 3, "two entries, one hold: {findings:?}");
    assert!(store.read(|view| view.unreferenced_layers(DRIVER)).unwrap().is_empty());

    let mut claimers: Vec<_> = (0..8).map(|_| spawn(dir.path(), "claim")).collect();
    let mut counts: Vec<_> = claimers.iter_mut().map(hear).collect();
    counts.sort();
    assert_eq!(counts, ["0", "0", "0", "0", "0", "0", "0", "2"]);
    assert_eq!(store.read(|view| view.unreferenced_layers(DRIVER)).unwrap().len(), 1);
    claimers.into_iter().for_each(kill);

    // Whoever claimed them died too: the next one gets them.
    let claimed = store.claim_dead().unwrap();
    let subjects: Vec<_> = claimed.iter().map(|entry| entry.new.subject.as_str()).collect();
    assert_eq!(subjects, ["two", "one"], "the latest first");
    assert_eq!(claimed[1].new, new_entry("one"));
    let owner = store.owner().unwrap();
    store.write(|tx| claimed.iter().try_for_each(|entry| tx.journal_finish(&owner, entry.id))).unwrap();
    assert!(store.check(nacre_store::Depth::Names).unwrap().is_empty());
}

#[test]
fn content_that_a_killed_process_wrote_is_found_and_swept() {
    let dir = temporary();
    let store = open(dir.path());
    let mut living = spawn(dir.path(), "write content");
    hear(&mut living);
    assert!(store.check(nacre_store::Depth::Names).unwrap().is_empty());
    store.sweep_content().unwrap();
    let temporary = || std::fs::read_dir(store.paths().content().join("tmp")).unwrap().count();
    assert_eq!(temporary(), 1);
    kill(living);
    let findings = store.check(nacre_store::Depth::Names).unwrap();
    assert!(matches!(&findings[..], [nacre_store::Finding::StaleFile { .. }]), "{findings:?}");
    store.sweep_content().unwrap();
    assert_eq!(temporary(), 0);
}

#[test]
fn a_killed_process_s_run_files_are_swept_and_a_living_one_s_are_not() {
    let dir = temporary();
    let store = open(dir.path());
    let mut child = spawn(dir.path(), "journal");
    hear(&mut child);
    assert_eq!(store.sweep_run().unwrap(), 0);
    kill(child);
    assert_eq!(store.sweep_run().unwrap(), 1);
    assert_eq!(store.claim_dead().unwrap().len(), 2, "no file: dead");
}

#[test]
fn threads_share_a_store() {
    let dir = temporary();
    let store = open(dir.path());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| hammer(&store));
        }
    });
    let names: HashSet<_> =
        store.read(|view| view.containers(true)).unwrap().into_iter().map(|found| found.name).collect();
    assert_eq!(names.len(), 8 * 12);
}
