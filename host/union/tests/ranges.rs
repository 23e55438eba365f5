//! Files that are copied up by ranges, against a plain file.
#![allow(clippy::unwrap_used)]

mod common;

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use common::Scratch;
use common::ranges::{CHUNK, content, find, lower_file, open};
use nacre_union::live::{File, Inode, SetAttributes, Spot, TimeToSet, Tree};
use proptest::prelude::*;
use rustix::fs::{FallocateFlags, SeekFrom};

#[derive(Debug, Clone)]
enum Op {
    Write(u64, u64),
    Length(u64),
    Punch(u64, u64),
    Zero(u64, u64, bool),
    Allocate(u64, u64, bool),
    Copy(u64, u64, u64),
    Sync,
    Settle(usize),
    Again,
    Rename,
    Link,
    Mode,
    Truncate,
    Forget,
}

fn op() -> impl Strategy<Value = Op> {
    // Near the edges of chunks and of the file, mostly.
    let at = || {
        prop_oneof![
            3 => (0..6u64, 0..3u64).prop_map(|(n, d)| n * CHUNK + d),
            1 => (1..6u64).prop_map(|n| n * CHUNK - 1),
            3 => 0..5 * CHUNK,
        ]
    };
    let length = || prop_oneof![2 => 1..100u64, 2 => 1..3 * CHUNK, 1 => Just(CHUNK), 1 => Just(2 * CHUNK)];
    prop_oneof![
        8 => (at(), length()).prop_map(|(a, l)| Op::Write(a, l)),
        3 => at().prop_map(Op::Length),
        2 => (at(), length()).prop_map(|(a, l)| Op::Punch(a, l)),
        2 => (at(), length(), any::<bool>()).prop_map(|(a, l, k)| Op::Zero(a, l, k)),
        1 => (at(), length(), any::<bool>()).prop_map(|(a, l, k)| Op::Allocate(a, l, k)),
        2 => (at(), at(), length()).prop_map(|(a, b, l)| Op::Copy(a, b, l)),
        1 => Just(Op::Sync),
        2 => (0..3usize).prop_map(Op::Settle),
        4 => Just(Op::Again),
        1 => Just(Op::Rename),
        1 => Just(Op::Link),
        1 => Just(Op::Mode),
        1 => Just(Op::Truncate),
        1 => Just(Op::Forget),
    ]
}

struct Subject<'a> {
    s: &'a Scratch,
    volatile: bool,
    tree: Option<Tree>,
    names: Vec<String>,
    plain: Vec<u8>,
    mode: u32,
}

impl Subject<'_> {
    fn tree(&self) -> &Tree {
        self.tree.as_ref().unwrap()
    }

    fn file(&self, write: bool) -> (Arc<Inode>, File) {
        let inode = find(self.tree(), self.names.last().unwrap());
        let file = self.tree().open_file(&inode, write, false).unwrap();
        (inode, file)
    }

    fn longer(&mut self, end: u64) {
        if end > self.plain.len() as u64 {
            self.plain.resize(end as usize, 0);
        }
    }

    fn apply(&mut self, op: &Op, n: usize) {
        let tree = self.tree.as_ref().unwrap();
        match *op {
            Op::Write(at, length) => {
                let bytes = vec![n as u8 | 0x80; length as usize];
                assert_eq!(self.file(true).1.write(&bytes, at).unwrap(), bytes.len());
                self.longer(at + length);
                self.plain[at as usize..(at + length) as usize].copy_from_slice(&bytes);
            }
            Op::Length(length) => {
                let set = SetAttributes { size: Some(length), privileged: true, ..Default::default() };
                tree.set_attributes(&find(tree, self.names.last().unwrap()), &set, None).unwrap();
                self.plain.resize(length as usize, 0);
            }
            Op::Punch(at, length) => {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                self.file(true).1.allocate(flags, at, length).unwrap();
                self.zero(at, length);
            }
            Op::Zero(at, length, keep) => {
                self.file(true).1.allocate(FallocateFlags::ZERO_RANGE | kept(keep), at, length).unwrap();
                if !keep {
                    self.longer(at + length);
                }
                self.zero(at, length);
            }
            Op::Allocate(at, length, keep) => {
                self.file(true).1.allocate(kept(keep), at, length).unwrap();
                if !keep {
                    self.longer(at + length);
                }
            }
            Op::Copy(from, to, length) => {
                let (_, file) = self.file(true);
                let disjoint = from + length <= to || to + length <= from;
                if disjoint {
                    let copied = file.copy_to(from, &file, to, length).unwrap();
                    let end = self.plain.len().min((from + length) as usize);
                    let bytes = self.plain.get(from as usize..end).unwrap_or_default().to_vec();
                    assert_eq!(copied, bytes.len());
                    if !bytes.is_empty() {
                        self.longer(to + bytes.len() as u64);
                        self.plain[to as usize..to as usize + bytes.len()].copy_from_slice(&bytes);
                    }
                }
            }
            Op::Sync => self.file(false).1.sync(n.is_multiple_of(2)).unwrap(),
            Op::Settle(steps) => {
                let left = std::cell::Cell::new(steps);
                let more = || left.replace(left.get().saturating_sub(1)) > 0;
                tree.settle_idle(|| true).unwrap();
                tree.settle_idle(more).unwrap();
            }
            Op::Again => {
                self.tree = None;
                self.tree = Some(open(self.s, self.volatile));
            }
            Op::Rename => {
                let to = format!("name-{n}");
                let root = tree.root();
                let old = self.names.pop().unwrap();
                let spot = |name| Spot { parent: &root, name: OsStr::new(name) };
                tree.rename(spot(&old), spot(&to), true, false).unwrap();
                self.names.push(to);
            }
            Op::Link => {
                let name = format!("link-{n}");
                let inode = find(tree, &self.names[0]);
                tree.link(&inode, &tree.root(), OsStr::new(&name)).unwrap();
                self.names.push(name);
            }
            Op::Mode => {
                self.mode = 0o600 + n as u32 % 0o100;
                let set = SetAttributes {
                    mode: Some(self.mode),
                    modified: Some(TimeToSet::At(n as i64, 5)),
                    privileged: true,
                    ..Default::default()
                };
                tree.set_attributes(&find(tree, &self.names[0]), &set, None).unwrap();
            }
            Op::Truncate => {
                let inode = find(tree, &self.names[0]);
                tree.open_file(&inode, true, true).unwrap();
                self.plain.clear();
            }
            Op::Forget => {
                let inode = find(tree, &self.names[0]);
                tree.forget(inode.number(), u64::MAX);
            }
        }
    }

    fn zero(&mut self, at: u64, length: u64) {
        let size = self.plain.len();
        let range = (at as usize).min(size)..((at + length) as usize).min(size);
        self.plain[range].fill(0);
    }

    fn check(&self, op: &Op) {
        for name in &self.names {
            let inode = find(self.tree(), name);
            let attributes = self.tree().attributes(&inode).unwrap();
            assert_eq!(attributes.stat.st_size as usize, self.plain.len(), "length after {op:?}");
            assert_eq!(attributes.stat.st_nlink as usize, self.names.len(), "names after {op:?}");
            assert_eq!(attributes.stat.st_mode & 0o7777, self.mode, "mode after {op:?}");
        }
        let (_, file) = self.file(false);
        let seen = content(&file);
        if seen != self.plain {
            let at = seen.iter().zip(&self.plain).position(|(a, b)| a != b);
            let lengths = (seen.len(), self.plain.len());
            assert_eq!(at, None, "the first other byte after {op:?}, lengths {lengths:?}");
            assert_eq!(lengths.0, lengths.1, "length after {op:?}");
        }
        self.check_holes(&file, op);
    }

    /// What is no data is zeros, and the two alternate.
    fn check_holes(&self, file: &File, op: &Op) {
        let size = self.plain.len() as u64;
        let mut at = 0;
        while at < size {
            let data = file.seek(SeekFrom::Data(at)).unwrap_or(size);
            let hole = &self.plain[at as usize..data as usize];
            assert!(hole.iter().all(|byte| *byte == 0), "data at {at} is a hole after {op:?}");
            if data == size {
                break;
            }
            at = file.seek(SeekFrom::Hole(data)).unwrap();
            assert!(at > data && at <= size, "a hole at {at} behind {data} after {op:?}");
        }
    }
}

fn kept(keep: bool) -> FallocateFlags {
    if keep { FallocateFlags::KEEP_SIZE } else { FallocateFlags::empty() }
}

fn history(volatile: bool, ops: &[Op]) {
    let s = Scratch::new();
    let plain = lower_file(&s, "file");
    let below = plain.clone();
    let mode = s.path().join("lower/file").metadata().unwrap().mode() & 0o7777;
    let tree = Some(open(&s, volatile));
    let mut subject = Subject { s: &s, volatile, tree, names: vec!["file".into()], plain, mode };
    for (n, op) in ops.iter().enumerate() {
        subject.apply(op, n);
        subject.check(op);
    }
    let before = see_times(&subject);
    subject.tree().settle_all().unwrap();
    subject.check(&Op::Settle(0));
    assert_eq!(see_times(&subject), before);
    assert_eq!(subject.tree().unsettled_files(), 0);
    drop(subject.tree.take());
    assert!(!s.path().join("work/ranges").exists() && !s.path().join("work/work/incompat").exists());
    assert_eq!(std::fs::read(s.path().join("lower/file")).unwrap(), below);
    let name = s.path().join("upper").join(subject.names.last().unwrap());
    if name.exists() {
        assert_eq!(std::fs::read(&name).unwrap(), subject.plain, "in the layer itself");
        assert_eq!(name.metadata().unwrap().nlink() as usize, subject.names.len());
    }
}

fn see_times(subject: &Subject<'_>) -> (i64, u64) {
    let stat = subject.tree().attributes(&find(subject.tree(), &subject.names[0])).unwrap().stat;
    (stat.st_mtime, stat.st_mtime_nsec)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default()
    })]

    #[test]
    fn it_is_what_a_plain_file_would_be_whoever_opens_it_next(ops in prop::collection::vec(op(), 1..40)) {
        history(true, &ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 8, failure_persistence: None, max_shrink_iters: 100, ..ProptestConfig::default()
    })]

    #[test]
    fn and_so_it_is_where_all_is_synced(ops in prop::collection::vec(op(), 1..30)) {
        history(false, &ops);
    }
}
