//! A process that writes files that are copied up by ranges, and is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nacre_sys::Dir;
use nacre_union::live::policy::Whole;
use nacre_union::live::{SetAttributes, Tree};
use nacre_union::{Layer, Whiteouts};
use rustix::fs::FallocateFlags;

use super::ranges::{CHUNK, find};

/// Set for the process that writes: where, and the first number of the random ones.
const WRITER: &str = "NACRE_TEST_RANGES_WRITER";
const WHOLE: &str = "NACRE_TEST_RANGES_WHOLE";
const VOLATILE: &str = "NACRE_TEST_RANGES_VOLATILE";
pub const FILES: [&str; 3] = ["one", "two", "three"];

/// Numbers that are the same for the same start.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[derive(Debug)]
pub enum Op {
    Write(u64, Vec<u8>),
    Length(u64),
    Punch(u64, u64),
    Sync,
    Settle,
}

pub fn op(random: &mut Random) -> (usize, Op) {
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

pub fn expect(plain: &mut Vec<u8>, op: &Op) {
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

/// What the killed process does: it writes until then.
pub fn write_on() {
    let Ok(told) = std::env::var(WRITER) else { return };
    let (path, seed) = told.rsplit_once(' ').unwrap();
    let layer = |name: &str| Layer::new(Dir::open(Path::new(path).join(name)).unwrap(), Whiteouts::Overlay);
    let work = Dir::open(Path::new(path).join("work")).unwrap();
    let (seed, volatile) = (seed.parse().unwrap(), std::env::var_os(VOLATILE).is_some());
    let mut options = super::ranges::options(volatile);
    if std::env::var_os(WHOLE).is_some() {
        options.copy_up = std::sync::Arc::new(Whole);
    }
    let tree = Tree::open(layer("upper"), &work, [layer("lower")], options).unwrap();
    let mut random = Random(seed);
    let mut out = std::io::stdout();
    loop {
        let (file, op) = op(&mut random);
        out.write_all(b"begun\n").unwrap();
        apply(&tree, file, &op);
        out.write_all(b"done\n").unwrap();
    }
}

/// How many operations a writer began and finished before it was killed.
pub fn killed_writer(path: &Path, seed: u64, volatile: bool, whole: bool, most: Duration) -> (usize, usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture"])
        .env(WRITER, format!("{} {seed}", path.display()))
        .envs(volatile.then_some((VOLATILE, "1")))
        .envs(whole.then_some((WHOLE, "1")))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let after = Duration::from_micros(Random(seed).below(most.as_micros() as u64));
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
