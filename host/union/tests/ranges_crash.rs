//! Files that are copied up by ranges, written by a process that is killed.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::Scratch;
use common::ranges::{CHUNK, content, find, lower_file, open};
use nacre_sys::Dir;
use nacre_union::live::{SetAttributes, Settled, Tree};
use nacre_union::{Layer, Whiteouts};
use rustix::fs::FallocateFlags;

/// Set for the process that writes: where, and the first number of the random ones.
const WRITER: &str = "NACRE_TEST_RANGES_WRITER";
const FILES: [&str; 3] = ["one", "two", "three"];
const KILLS: u64 = 200;

/// Numbers that are the same for the same start.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[derive(Debug)]
enum Op {
    Write(u64, Vec<u8>),
    Length(u64),
    Punch(u64, u64),
    Sync,
    Settle,
}

fn op(random: &mut Random) -> (usize, Op) {
    let file = random.below(3) as usize;
    let at = random.below(5 * CHUNK);
    let op = match random.below(20) {
        0 => Op::Length(at),
        1 => Op::Punch(at, 1 + random.below(2 * CHUNK)),
        2 => Op::Sync,
        3 => Op::Settle,
        _ => Op::Write(at, vec![random.below(256) as u8; 1 + random.below(CHUNK) as usize]),
    };
    (file, op)
}

fn apply(tree: &Tree, file: usize, op: &Op) {
    let inode = find(tree, FILES[file]);
    let file = tree.open_file(&inode, true, false).unwrap();
    match op {
        Op::Write(at, bytes) => assert_eq!(file.write(bytes, *at).unwrap(), bytes.len()),
        Op::Length(length) => {
            let set = SetAttributes { size: Some(*length), privileged: true, ..Default::default() };
            tree.set_attributes(&inode, &set, Some(&file)).unwrap();
        }
        Op::Punch(at, length) => {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            file.allocate(flags, *at, *length).unwrap();
        }
        Op::Sync => file.sync(true).unwrap(),
        Op::Settle => {
            tree.settle_idle(|| true).unwrap();
            tree.settle_idle(|| true).unwrap();
        }
    }
}

fn expect(plain: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(at, bytes) => {
            let (at, end) = (*at as usize, *at as usize + bytes.len());
            plain.resize(plain.len().max(end), 0);
            plain[at..end].copy_from_slice(bytes);
        }
        Op::Length(length) => plain.resize(*length as usize, 0),
        Op::Punch(at, length) => {
            let size = plain.len();
            plain[(*at as usize).min(size)..((*at + *length) as usize).min(size)].fill(0);
        }
        Op::Sync | Op::Settle => {}
    }
}

/// Not a test of its own: what the killed process does.
#[test]
fn writer() {
    let Ok(told) = std::env::var(WRITER) else { return };
    let (path, seed) = told.rsplit_once(' ').unwrap();
    let layer = |name: &str| Layer::new(Dir::open(Path::new(path).join(name)).unwrap(), Whiteouts::Overlay);
    let work = Dir::open(Path::new(path).join("work")).unwrap();
    let options = common::ranges::options(seed.len().is_multiple_of(2));
    let tree = Tree::open(layer("upper"), &work, [layer("lower")], options).unwrap();
    let mut random = Random(seed.parse().unwrap());
    let mut out = std::io::stdout();
    loop {
        let (file, op) = op(&mut random);
        out.write_all(b"begun\n").unwrap();
        apply(&tree, file, &op);
        out.write_all(b"done\n").unwrap();
    }
}

/// How many operations a writer began and finished before it was killed.
fn killed_writer(s: &Scratch, seed: u64) -> (usize, usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture"])
        .env(WRITER, format!("{} {seed}", s.path().display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let after = Duration::from_micros(Random(seed).below(60_000));
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(5) + after);
        child.kill().unwrap();
        child.wait().unwrap()
    });
    let (mut begun, mut done) = (0, 0);
    for line in out.lines() {
        match line.unwrap().as_str() {
            "begun" => begun += 1,
            "done" => done += 1,
            _ => {}
        }
    }
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&killer.join().unwrap()), Some(9));
    (begun, done)
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
            let (begun, done) = killed_writer(&s, rounds);
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
