//! Records of what was asked of a tree, to be looked at or done again somewhere else.
//!
//! # Format, version 1
//!
//! ```text
//! file    = "nacretr" version record…       the version is one byte
//! record  = kind after error field…         kind is one byte
//! number  = LEB128, unsigned                after, error and all fields that are numbers
//! name    = number byte…                    its length, and so many bytes
//! ```
//!
//! `after` are the microseconds since the record before, and for the first since the tree was opened; `error` is the
//! kernel's number of the error (errno(3)) that the operation ended with, 0 for none. The kinds and their fields are
//! those of [`Operation`], in the order in which they stand there. Inodes are numbers of the tree: the root is 1, and
//! every other one was the result of a [`Operation::Lookup`] or [`Operation::Create`] before. What the kernel answers
//! from what it knows, and data that it reads and writes itself, does not reach the tree and is not recorded.
//!
//! A file may end in the middle of a record: its writer was killed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const MAGIC: &[u8; 7] = b"nacretr";
const VERSION: u8 = 1;
/// What a name or an extended attribute's may have (NAME_MAX, XATTR_NAME_MAX), and more.
const MAX_NAME: u64 = 4096;
/// A killed writer loses as much.
const FLUSH: Duration = Duration::from_secs(1);

/// A value in a record.
trait Field: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn get(from: &mut dyn Read) -> io::Result<Self>;
    fn show(&self) -> String;
}

impl Field for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn get(from: &mut dyn Read) -> io::Result<Self> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = byte(from)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged("a number is too long"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Field for OsString {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn get(from: &mut dyn Read) -> io::Result<Self> {
        let length = u64::get(from)?;
        if length > MAX_NAME {
            return Err(damaged("a name is too long"));
        }
        let mut name = vec![0; length as usize];
        from.read_exact(&mut name)?;
        Ok(Self::from_vec(name))
    }

    fn show(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

fn byte(from: &mut dyn Read) -> io::Result<u8> {
    let mut one = [0];
    from.read_exact(&mut one)?;
    Ok(one[0])
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The kinds of record, with their numbers and fields.
macro_rules! operations {
    ($($(#[$meaning:meta])+ $kind:literal $name:ident($word:literal) { $($(#[$field_meaning:meta])+ $field:ident: $type:ty,)* })+) => {
        /// What was asked of a tree.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Operation {
            $($(#[$meaning])+ $name { $($(#[$field_meaning])+ $field: $type,)* },)+
        }

        impl Operation {
            /// Its kind as a word.
            pub fn word(&self) -> &'static str {
                match self { $(Self::$name { .. } => $word,)+ }
            }

            /// Its fields as text.
            pub fn fields(&self) -> Vec<(&'static str, String)> {
                match self { $(Self::$name { $($field,)* } => vec![$((stringify!($field), $field.show()),)*],)+ }
            }

            fn put(&self, after: u64, error: u64, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name { $($field,)* } => {
                        out.push($kind);
                        after.put(out);
                        error.put(out);
                        $($field.put(out);)*
                    })+
                }
            }

            fn get(kind: u8, from: &mut dyn Read) -> io::Result<Self> {
                Ok(match kind {
                    $($kind => Self::$name { $($field: Field::get(from)?,)* },)+
                    _ => return Err(damaged("a kind of record that this version does not know")),
                })
            }
        }
    };
}

operations! {
    /// A name was searched for in a directory.
    1 Lookup("lookup") {
        /// The directory.
        parent: u64,
        /// The name.
        name: OsString,
        /// What it is; 0 where there is nothing.
        found: u64,
    }
    /// A directory was read.
    2 List("list") {
        /// The directory.
        inode: u64,
    }
    /// A file was opened.
    3 Open("open") {
        /// The file.
        inode: u64,
        /// 1: to be written, 2: truncated, 3: both.
        how: u64,
    }
    /// A file, directory, link or device was made.
    4 Create("create") {
        /// The directory.
        parent: u64,
        /// Its name there.
        name: OsString,
        /// What it is; 0 where nothing was made.
        found: u64,
    }
    /// A name was removed.
    5 Remove("remove") {
        /// The directory.
        parent: u64,
        /// The name.
        name: OsString,
    }
    /// A name was changed.
    6 Rename("rename") {
        /// The directory.
        parent: u64,
        /// The name.
        name: OsString,
        /// The new directory.
        new_parent: u64,
        /// The new name.
        new_name: OsString,
        /// 1: both names are exchanged.
        exchange: u64,
    }
    /// A file got one more name.
    7 Link("link") {
        /// The file.
        inode: u64,
        /// The directory.
        parent: u64,
        /// The name.
        name: OsString,
    }
    /// Mode, owner, times or length were changed.
    8 Attributes("attributes") {
        /// Of what.
        inode: u64,
    }
    /// An extended attribute was set or removed.
    9 Xattr("xattr") {
        /// Of what.
        inode: u64,
        /// The attribute.
        name: OsString,
    }
    /// Something was copied up for one of the others, which follows.
    10 CopyUp("copy-up") {
        /// What.
        inode: u64,
        /// Its length in bytes.
        size: u64,
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, since the tree was opened.
    pub at: Duration,
    /// The error that it ended with (errno(3)); 0 for none.
    pub error: u32,
    /// What was asked.
    pub operation: Operation,
}

/// Begin a file, in which there are no records yet.
///
/// # Errors
/// There is one of that name already, or it cannot be made.
pub fn begin(path: &Path) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(MAGIC)?;
    file.write_all(&[VERSION])
}

/// Writes records.
#[derive(Debug)]
pub struct Recorder(Mutex<State>);

#[derive(Debug)]
struct State {
    out: BufWriter<File>,
    begun: Instant,
    /// Microseconds after the beginning.
    last: u64,
    flushed: Instant,
    failed: bool,
}

impl Recorder {
    /// Write to a file that was [begun](begin).
    ///
    /// # Errors
    /// It is not there, or cannot be written.
    pub fn append(path: &Path) -> io::Result<Self> {
        let out = BufWriter::with_capacity(64 << 10, File::options().append(true).open(path)?);
        let begun = Instant::now();
        Ok(Self(Mutex::new(State { out, begun, last: 0, flushed: begun, failed: false })))
    }

    /// Write a record. A file that cannot be written is told of once, and ends there.
    pub fn note(&self, error: u32, operation: &Operation) {
        let mut state = self.0.lock();
        if state.failed {
            return;
        }
        let now = Instant::now();
        let at = u64::try_from(now.duration_since(state.begun).as_micros()).unwrap_or(u64::MAX);
        let mut bytes = Vec::with_capacity(64);
        operation.put(at.saturating_sub(state.last), u64::from(error), &mut bytes);
        state.last = at;
        let mut done = state.out.write_all(&bytes);
        if now.duration_since(state.flushed) > FLUSH {
            done = done.and_then(|()| state.out.flush());
            state.flushed = now;
        }
        if let Err(e) = done {
            state.failed = true;
            tracing::warn!("the record of operations ends here: {e}");
        }
    }

    /// Have all of it in the file.
    pub fn flush(&self) -> io::Result<()> {
        self.0.lock().out.flush()
    }
}

/// Reads records, the first one first.
#[derive(Debug)]
pub struct Records {
    from: BufReader<File>,
    at: u64,
}

impl Records {
    /// Open a file.
    ///
    /// # Errors
    /// It cannot be read, is no record of operations, or is one of another version.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::read(File::open(path)?)
    }

    /// Read a file that is open.
    ///
    /// # Errors
    /// As of [`Records::open`].
    pub fn read(file: File) -> io::Result<Self> {
        let mut from = BufReader::new(file);
        let mut magic = [0; MAGIC.len()];
        match from.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => {}
            Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => return Err(e),
            _ => return Err(damaged("it is no record of operations")),
        }
        match byte(&mut from)? {
            VERSION => Ok(Self { from, at: 0 }),
            other => {
                Err(damaged(&format!("it is of version {other}, and this program reads version {VERSION}")))
            }
        }
    }

    fn next_record(&mut self) -> io::Result<Record> {
        let kind = byte(&mut self.from)?;
        self.at = self.at.saturating_add(u64::get(&mut self.from)?);
        let error = u32::try_from(u64::get(&mut self.from)?).map_err(|_| damaged("no number of an error"))?;
        let operation = Operation::get(kind, &mut self.from)?;
        Ok(Record { at: Duration::from_micros(self.at), error, operation })
    }
}

impl Iterator for Records {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.from.fill_buf() {
            Ok([]) => None,
            Ok(_) => Some(self.next_record()),
            Err(e) => Some(Err(e)),
        }
    }
}

/// The paths of a tree's inodes, as far as its records tell them.
#[derive(Debug)]
pub struct Paths(std::collections::HashMap<u64, std::path::PathBuf>);

impl Default for Paths {
    fn default() -> Self {
        Self([(crate::live::ROOT, "/".into())].into())
    }
}

impl Paths {
    /// What a record is about, and where it goes to, if it goes anywhere. To be asked for each record, in order.
    pub fn of(&mut self, operation: &Operation) -> (std::path::PathBuf, Option<std::path::PathBuf>) {
        let path =
            |inode: &u64| self.0.get(inode).cloned().unwrap_or_else(|| format!("<inode {inode}>").into());
        let below = |parent: &u64, name: &OsStr| path(parent).join(name);
        match operation {
            Operation::Lookup { parent, name, found } | Operation::Create { parent, name, found, .. } => {
                let path = below(parent, name);
                if *found != 0 {
                    self.0.insert(*found, path.clone());
                }
                (path, None)
            }
            Operation::Remove { parent, name } => (below(parent, name), None),
            Operation::Rename { parent, name, new_parent, new_name, .. } => {
                (below(parent, name), Some(below(new_parent, new_name)))
            }
            Operation::Link { inode, parent, name } => (path(inode), Some(below(parent, name))),
            Operation::List { inode }
            | Operation::Open { inode, .. }
            | Operation::Attributes { inode }
            | Operation::Xattr { inode, .. }
            | Operation::CopyUp { inode, .. } => (path(inode), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_cut_file_is_read_up_to_the_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        begin(&path).unwrap();
        let recorder = Recorder::append(&path).unwrap();
        let operations = [
            Operation::Lookup { parent: 1, name: "a\u{1}".into(), found: u64::MAX },
            Operation::Rename {
                parent: 1,
                name: "a".into(),
                new_parent: 300,
                new_name: "".into(),
                exchange: 1,
            },
            Operation::List { inode: u64::MAX },
        ];
        for operation in &operations {
            recorder.note(2, operation);
        }
        recorder.flush().unwrap();
        let read: Vec<_> = Records::open(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(read.iter().map(|record| record.operation.clone()).collect::<Vec<_>>(), operations);
        assert!(read.iter().all(|record| record.error == 2));
        assert!(read.is_sorted_by_key(|record| record.at));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let mut cut = Records::open(&path).unwrap();
        assert_eq!(cut.by_ref().filter_map(Result::ok).count(), 2);
        begin(&path).unwrap_err();
        for wrong in [&b"nacretr\x02"[..], b"nacre", b"other file"] {
            std::fs::write(&path, wrong).unwrap();
            Records::open(&path).unwrap_err();
        }
    }

    #[test]
    fn paths_follow_the_inodes() {
        let mut paths = Paths::default();
        let shown = |(from, to): (std::path::PathBuf, Option<std::path::PathBuf>)| {
            (from.display().to_string(), to.map(|to| to.display().to_string()))
        };
        let usr = Operation::Lookup { parent: 1, name: "usr".into(), found: 7 };
        assert_eq!(shown(paths.of(&usr)), ("/usr".into(), None));
        let renamed = Operation::Rename {
            parent: 7,
            name: "a".into(),
            new_parent: 1,
            new_name: "b".into(),
            exchange: 0,
        };
        assert_eq!(shown(paths.of(&renamed)), ("/usr/a".into(), Some("/b".into())));
        assert_eq!(shown(paths.of(&Operation::List { inode: 9 })), ("<inode 9>".into(), None));
    }
}
