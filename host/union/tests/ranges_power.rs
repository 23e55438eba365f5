//! Files that are copied up, by ranges or whole, on a disk that is taken away.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::ranges::{content, find, lower_file, options};
use common::writer::{FILES, Op, Random, expect, killed_writer, op, write_on};
use common::{Scratch, root};
use nacre_sys::{Dir, mount};
use nacre_union::live::Tree;
use nacre_union::{Layer, Whiteouts};

const ROUNDS: u64 = 12;

fn run(program: &str, words: &[&str]) -> bool {
    Command::new(program).args(words).status().is_ok_and(|status| status.success())
}

fn attach(image: &Path, at: &Path) {
    std::fs::create_dir_all(at).unwrap();
    // It commits when it is asked to: whatever else reaches the disk does so by chance.
    let words = ["-t", "ext4", "-o", "loop,commit=300", image.to_str().unwrap(), at.to_str().unwrap()];
    assert!(run("mount", &words));
}

/// Not a test of its own: what the killed process does.
#[test]
fn writer() {
    write_on();
}

/// Whatever reached the disk when the writer is killed is all that there is: the file system's own memory is lost.
#[test]
fn what_was_synced_is_there_and_what_was_never_written_is_as_it_was() {
    if !root() || !run("mkfs.ext4", &["-V"]) {
        return;
    }
    let mut synced_ops = 0;
    for round in 1..=ROUNDS {
        let s = Scratch::new();
        let (image, copy) = (s.path().join("image"), s.path().join("copy"));
        std::fs::File::create(&image).unwrap().set_len(48 << 20).unwrap();
        assert!(run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]));
        let at = s.path().join("disk");
        attach(&image, &at);
        let inner = Dir::open(&at).unwrap();
        for name in ["lower", "upper", "work"] {
            inner.make_dir(name, 0o755).unwrap();
        }
        let below = FILES.map(|name| lower_file(&s, name));
        for name in FILES {
            std::fs::copy(s.path().join("lower").join(name), at.join("lower").join(name)).unwrap();
        }
        assert!(run("sync", &["-f", at.to_str().unwrap()]));
        let whole = round.is_multiple_of(3);
        let (begun, done) = killed_writer(&at, 1000 + round, false, whole, Duration::from_millis(700));
        // As much of the image as has been written to it.
        assert!(run("cp", &["--sparse=always", image.to_str().unwrap(), copy.to_str().unwrap()]));
        drop(inner);
        assert!(mount::detach(&s.dir, "disk").unwrap());

        // What each file was since it was synced.
        let mut states = below.clone().map(|plain| vec![plain]);
        let mut random = Random(1000 + round);
        for n in 0..begun {
            let (file, op) = op(&mut random);
            let mut next = states[file].last().unwrap().clone();
            expect(&mut next, &op);
            if matches!(op, Op::Sync) && n < done {
                states[file].clear();
                synced_ops += 1;
            }
            states[file].push(next);
        }
        let again = s.path().join("again");
        attach(&copy, &again);
        let layer = |name: &str| Layer::new(Dir::open(again.join(name)).unwrap(), Whiteouts::Overlay);
        let work = Dir::open(again.join("work")).unwrap();
        let tree = Tree::open(layer("upper"), &work, [layer("lower")], options(false)).unwrap();
        for settled in [false, true] {
            for (name, states) in FILES.iter().zip(&states) {
                let seen = content(&tree.open_file(&find(&tree, name), false, false).unwrap());
                // One that is being made longer may be on its way.
                let lengths = || states.iter().map(Vec::len);
                let possible = lengths().min().unwrap()..=lengths().max().unwrap();
                assert!(
                    possible.contains(&seen.len()),
                    "{name}, round {round}: {} of {possible:?}",
                    seen.len()
                );
                for (at, byte) in seen.iter().enumerate() {
                    let possible = states.iter().any(|state| state.get(at).unwrap_or(&0) == byte);
                    assert!(possible, "{name}, round {round}, settled {settled}: byte {at} is {byte}");
                }
            }
            tree.close().unwrap();
        }
        for (name, below) in FILES.iter().zip(&below) {
            assert!(std::fs::read(again.join("lower").join(name)).unwrap() == *below);
        }
        drop((tree, work));
        assert!(mount::detach(&s.dir, "again").unwrap());
    }
    println!("{ROUNDS} disks, {synced_ops} times synced");
    assert!(synced_ops > 20);
}
