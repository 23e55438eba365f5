//! Random things that are done to a tree.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nacre_sys::{Dir, xattr};
use proptest::prelude::*;
use rustix::fs::CWD;

pub const NAMES: [&[u8]; 5] = [b"a", b"b", b"a-b", b"\xff\xfe", b"new\nline"];

pub type Names = Vec<usize>;

#[derive(Debug, Clone)]
pub enum Op {
    Write(Names),
    MakeDir(Names),
    Remove(Names),
    Link(Names, Names),
    Symlink(Names),
    Device(Names),
    Rename(Names, Names),
    Mode(Names),
    Attribute(Names),
    /// Remove a directory and make it again.
    Again(Names),
    Append(Names),
    Truncate(Names),
    Swap(Names, Names),
}

pub fn op() -> impl Strategy<Value = Op> {
    // Mostly the same few names, so that one is made and removed often.
    let name = || prop_oneof![5 => 0..2usize, 1 => 0..NAMES.len()];
    let path = move || prop::collection::vec(name(), 1..4);
    prop_oneof![
        4 => path().prop_map(Op::Write),
        4 => path().prop_map(Op::MakeDir),
        3 => path().prop_map(Op::Remove),
        1 => (path(), path()).prop_map(|(a, b)| Op::Link(a, b)),
        1 => path().prop_map(Op::Symlink),
        1 => path().prop_map(Op::Device),
        3 => (path(), path()).prop_map(|(a, b)| Op::Rename(a, b)),
        1 => path().prop_map(Op::Mode),
        1 => path().prop_map(Op::Attribute),
        3 => path().prop_map(Op::Again),
        2 => path().prop_map(Op::Append),
        1 => path().prop_map(Op::Truncate),
        1 => (path(), path()).prop_map(|(a, b)| Op::Swap(a, b)),
    ]
}

pub fn rel(names: &Names) -> PathBuf {
    names.iter().map(|n| OsStr::from_bytes(NAMES[*n])).collect()
}

/// Do it where it can be done; `n` makes what is written differ from all before.
pub fn apply(root: &Path, op: &Op, n: i64) {
    let at = |names: &Names| root.join(rel(names));
    let touched = match op {
        Op::Write(p) => std::fs::create_dir_all(at(p).parent().unwrap())
            .and_then(|()| std::fs::write(at(p), format!("written {n}")))
            .map(|()| at(p)),
        Op::MakeDir(p) => std::fs::create_dir_all(at(p)).map(|()| at(p)),
        Op::Remove(p) => Dir::open(root).unwrap().remove_tree(rel(p)).map_or(Ok(()), Ok).map(|()| at(p)),
        Op::Link(p, q) => std::fs::hard_link(at(p), at(q)).map(|()| at(q)),
        Op::Symlink(p) => symlink(format!("to/{n}"), at(p)).map(|()| at(p)),
        Op::Device(p) => {
            let (kind, mode) = (nacre_sys::FileType::CharacterDevice, nacre_sys::Mode::RUSR);
            let made = rustix::fs::mknodat(CWD, at(p), kind, mode, n as u64 + 1);
            made.map(|()| at(p)).map_err(Into::into)
        }
        Op::Rename(p, q) => std::fs::rename(at(p), at(q)).map(|()| at(q)),
        Op::Mode(p) => {
            let mode = std::fs::Permissions::from_mode(0o700 + (n as u32 % 0o77));
            std::fs::symlink_metadata(at(p))
                .and_then(
                    |meta| if meta.is_symlink() { Ok(()) } else { std::fs::set_permissions(at(p), mode) },
                )
                .map(|()| at(p))
        }
        Op::Attribute(p) => std::fs::File::open(at(p)).map(|file| {
            let _ = xattr::set(&file, b"user.test", n.to_string().as_bytes());
            at(p)
        }),
        Op::Append(p) => std::fs::OpenOptions::new()
            .append(true)
            .open(at(p))
            .and_then(|mut file| file.write_all(format!(", more {n}").as_bytes()))
            .map(|()| at(p)),
        Op::Truncate(p) => {
            std::fs::OpenOptions::new().write(true).open(at(p)).and_then(|f| f.set_len(4)).map(|()| at(p))
        }
        Op::Swap(p, q) => {
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(CWD, at(p), CWD, at(q), flags).map(|()| at(q)).map_err(Into::into)
        }
        Op::Again(p) => {
            let _ = Dir::open(root).unwrap().remove_tree(rel(p));
            std::fs::create_dir(at(p)).map(|()| at(p))
        }
    };
    if let Ok(path) = touched {
        let time = rustix::fs::Timespec { tv_sec: 1_000_000 + n, tv_nsec: n };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let _ = rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    }
}
