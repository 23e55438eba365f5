//! Files that are copied up by ranges, written by a process that is killed.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::Scratch;
use common::ranges::{content, find, lower_file, open};
use common::writer::{FILES, Op, Random, expect, killed_writer, op, write_on};
use nacre_union::Whiteouts;
use nacre_union::live::Settled;

const KILLS: u64 = 200;

/// Not a test of its own: what the killed process does.
#[test]
fn writer() {
    write_on();
}

/// Of the operation in which it was killed, any part of what it writes may be there.
fn check(seen: &[u8], plain: &mut Vec<u8>, torn: Option<&Op>, what: &str) {
    let mut after = plain.clone();
    if let Some(op) = torn {
        expect(&mut after, op);
    }
    let lengths = plain.len().min(after.len())..=plain.len().max(after.len());
    assert!(lengths.contains(&seen.len()), "{what}: {} is not in {lengths:?}", seen.len());
    for (at, byte) in seen.iter().enumerate() {
        // Made longer, and not written yet.
        let (old, new) = (plain.get(at).unwrap_or(&0), after.get(at).unwrap_or(&0));
        assert!(byte == old || byte == new, "{what}: byte {at} is {byte}, neither {old} nor {new}: {torn:?}");
    }
    *plain = seen.to_vec();
}

#[test]
fn whatever_was_written_is_there_after_a_kill_at_any_moment() {
    let mut rounds = 0;
    let (mut all, mut torn_ops) = (0, 0);
    while rounds < KILLS {
        let s = Scratch::new();
        let below = FILES.map(|name| lower_file(&s, name));
        let mut plain = below.clone();
        s.make(&["upper", "work"]);
        for _ in 0..10 {
            rounds += 1;
            let (begun, done) =
                killed_writer(s.path(), rounds, rounds.is_multiple_of(2), false, Duration::from_millis(60));
            let mut random = Random(rounds);
            for _ in 0..done {
                let (file, op) = op(&mut random);
                expect(&mut plain[file], &op);
            }
            all += done;
            let torn = (begun > done).then(|| op(&mut random));
            torn_ops += usize::from(torn.is_some());
            let tree = open(&s, true);
            for (n, name) in FILES.iter().enumerate() {
                let seen = content(&tree.open_file(&find(&tree, name), false, false).unwrap());
                let torn = torn.as_ref().filter(|(file, _)| *file == n).map(|(_, op)| op);
                check(&seen, &mut plain[n], torn, &format!("{name} after kill {rounds}"));
            }
        }
        let layer = |name| s.layer(name, Whiteouts::Overlay);
        let options = common::ranges::options(true);
        Settled::complete(layer("upper"), &s.sub("work"), [layer("lower")], options).unwrap();
        for (name, (plain, below)) in FILES.iter().zip(plain.iter().zip(&below)) {
            let shown = s.path().join("upper").join(name);
            assert!(!shown.exists() || std::fs::read(shown).unwrap() == *plain, "{name} in the layer");
            assert!(std::fs::read(s.path().join("lower").join(name)).unwrap() == *below, "{name} below");
        }
    }
    println!("{rounds} kills, {all} operations, {torn_ops} in the middle of one");
    assert!(all > 500 && torn_ops > 20, "{all} operations, {torn_ops} torn");
}
