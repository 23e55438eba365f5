//! Trees that copy up by ranges.

use std::ffi::OsStr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nacre_union::Whiteouts;
use nacre_union::live::policy::Ranges;
use nacre_union::live::{File, Inode, Options, Tree};

use super::Scratch;

/// What is taken at once.
pub const CHUNK: u64 = 16 << 10;
const MOST: u64 = 12 * CHUNK;

pub fn options(volatile: bool) -> Options {
    Options { volatile, copy_up: Arc::new(Ranges { from: 1 }), ..Options::default() }
}

pub fn open(s: &Scratch, volatile: bool) -> Tree {
    s.make(&["work"]);
    let (upper, lower) = (s.layer("upper", Whiteouts::Overlay), s.layer("lower", Whiteouts::Overlay));
    Tree::open(upper, &s.sub("work"), [lower], options(volatile)).unwrap()
}

pub fn find(tree: &Tree, name: &str) -> Arc<Inode> {
    tree.lookup(&tree.root(), OsStr::new(name)).unwrap().unwrap().0
}

pub fn content(file: &File) -> Vec<u8> {
    let mut all = vec![0xee; MOST as usize + 1];
    let got = file.read(&mut all, 0).unwrap();
    all.truncate(got);
    all
}

/// A file with data, a hole of more than a chunk, data up to an odd end.
pub fn lower_file(s: &Scratch, name: &str) -> Vec<u8> {
    s.make(&["lower"]);
    let mut bytes = vec![0; (4 * CHUNK + 12345) as usize];
    for (n, byte) in bytes.iter_mut().enumerate() {
        if !(CHUNK + 5000..3 * CHUNK + 100).contains(&(n as u64)) {
            *byte = (n % 251) as u8 + 1;
        }
    }
    let file = std::fs::File::create(s.path().join("lower").join(name)).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write_all_at(&bytes[..(CHUNK + 5000) as usize], 0).unwrap();
    file.write_all_at(&bytes[(3 * CHUNK + 100) as usize..], 3 * CHUNK + 100).unwrap();
    bytes
}
