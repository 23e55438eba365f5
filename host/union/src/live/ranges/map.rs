use std::ffi::OsString;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use nacre_sys::Dir;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::live::Result;

const MAGIC: &[u8; 8] = b"nacrerg1";
/// Magic, length and checksum.
const PREAMBLE: usize = 16;
/// Numbers of the header, before the path.
const NUMBERS: usize = 8;
const RECORD: usize = 32;
/// The longest path that a layer can have.
const MOST_HEADER: u64 = 64 << 10;

/// What does not change of a file: where its data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// The number of the file in the writable layer.
    pub(crate) upper: u64,
    /// What is taken is whole multiples of this.
    pub(crate) chunk: u64,
    /// From here on nothing is read from below.
    pub(crate) limit: u64,
    pub(crate) lower: LowerFile,
}

/// The file below, by its place in the stack and by what tells that it is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LowerFile {
    pub(crate) layer: u64,
    /// From the root of its layer.
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) modified: (i64, u64),
    pub(crate) blocks: u64,
}

/// What happened to a file, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// These bytes are in the upper file, as data: where that has a hole after all, the write was lost.
    Data(Range<u64>),
    /// These bytes are what the upper file says, holes included.
    Sure(Range<u64>),
    /// From here on nothing is read from below.
    Limit(u64),
    /// Data is copied that nobody wrote: this is the time of the last change.
    Busy(i64, u64),
    /// That is over, and the file has its time.
    Calm,
    /// All of it is in the upper file.
    Done,
}

/// The file that says what of another one is in the writable layer: a header, and records behind it. A record
/// counts when it and all before it are whole.
#[derive(Debug)]
pub(crate) struct Map {
    file: OwnedFd,
    /// Records of another file are none of this one.
    seed: u32,
    end: u64,
}

impl Map {
    /// Make one. Not synced.
    pub(crate) fn create(dir: &Dir, name: &str, header: &Header) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?;
        let body = header.encode();
        let seed = crc32fast::hash(&body);
        let length = u32::try_from(body.len()).map_err(|_| Errno::NAMETOOLONG)?;
        let whole = [MAGIC.as_slice(), &length.to_le_bytes(), &seed.to_le_bytes(), &body].concat();
        put(&file, &whole, 0)?;
        Ok(Self { file, seed, end: first_record(body.len()) })
    }

    /// Read one. None where its header is not whole: then it was being made, and nothing was trusted to it.
    pub(crate) fn load(dir: &Dir, name: &str) -> Result<Option<(Self, Header, Vec<Record>)>> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
        let mut preamble = [0; PREAMBLE];
        if get(&file, &mut preamble, 0)? < PREAMBLE || !preamble.starts_with(MAGIC) {
            return Ok(None);
        }
        let (length, seed) = (word(&preamble, 8), word(&preamble, 12));
        if u64::from(length) > MOST_HEADER {
            return Ok(None);
        }
        let mut body = vec![0; length as usize];
        if get(&file, &mut body, PREAMBLE as u64)? < body.len() || crc32fast::hash(&body) != seed {
            return Ok(None);
        }
        let Some(header) = Header::decode(&body) else { return Ok(None) };
        let mut map = Self { file, seed, end: first_record(body.len()) };
        let mut records = Vec::new();
        let mut block = vec![0; RECORD * 2048];
        'all: loop {
            let got = get(&map.file, &mut block, map.end)?;
            for bytes in block.get(..got).unwrap_or_default().chunks(RECORD) {
                let Some(record) = map.decode(bytes) else { break 'all };
                records.push(record);
                map.end += RECORD as u64;
            }
            if got < block.len() {
                break;
            }
        }
        // What a crash of the machine left behind a record that is not whole never counts.
        rustix::fs::ftruncate(&map.file, map.end)?;
        Ok(Some((map, header, records)))
    }

    /// Add a record. It survives this process, and the machine once it was synced.
    pub(crate) fn append(&mut self, record: &Record) -> Result<()> {
        put(&self.file, &self.encode(record), self.end)?;
        self.end += RECORD as u64;
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        rustix::fs::fdatasync(&self.file)
    }

    fn encode(&self, record: &Record) -> [u8; RECORD] {
        let (kind, a, b) = match record {
            Record::Data(run) => (1, run.start, run.end),
            Record::Sure(run) => (2, run.start, run.end),
            Record::Limit(limit) => (3, *limit, 0),
            Record::Busy(seconds, nanoseconds) => (4, seconds.cast_unsigned(), *nanoseconds),
            Record::Calm => (5, 0, 0),
            Record::Done => (6, 0, 0),
        };
        let mut bytes = [0; RECORD];
        let fields = [u64::from(kind as u32), a, b];
        for (place, field) in bytes.chunks_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        let (body, sum) = bytes.split_at_mut(RECORD - 8);
        let crc = self.sum(body);
        sum.copy_from_slice(&u64::from(crc).to_le_bytes());
        bytes
    }

    fn decode(&self, bytes: &[u8]) -> Option<Record> {
        let (body, sum) = bytes.split_at_checked(RECORD - 8)?;
        if sum != u64::from(self.sum(body)).to_le_bytes() {
            return None;
        }
        let (a, b) = (long(body, 8), long(body, 16));
        match long(body, 0) {
            1 => Some(Record::Data(a..b)),
            2 => Some(Record::Sure(a..b)),
            3 => Some(Record::Limit(a)),
            4 => Some(Record::Busy(a.cast_signed(), b)),
            5 => Some(Record::Calm),
            6 => Some(Record::Done),
            _ => None,
        }
    }

    fn sum(&self, body: &[u8]) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        [&self.seed.to_le_bytes()[..], &self.end.to_le_bytes(), body]
            .iter()
            .for_each(|part| sum.update(part));
        sum.finalize()
    }
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let Self { upper, chunk, limit, lower } = self;
        let (seconds, nanoseconds) = lower.modified;
        let numbers: [u64; NUMBERS] = [
            *upper,
            *chunk,
            *limit,
            lower.layer,
            lower.size,
            seconds.cast_unsigned(),
            nanoseconds,
            lower.blocks,
        ];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.extend_from_slice(lower.path.as_os_str().as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, path) = bytes.split_at_checked(NUMBERS * 8)?;
        let number = |n: usize| long(numbers, n * 8);
        let lower = LowerFile {
            layer: number(3),
            path: OsString::from_vec(path.to_vec()).into(),
            size: number(4),
            modified: (number(5).cast_signed(), number(6)),
            blocks: number(7),
        };
        let chunk = Some(number(1)).filter(|chunk| chunk.is_power_of_two())?;
        Some(Self { upper: number(0), chunk, limit: number(2), lower })
    }
}

fn first_record(body: usize) -> u64 {
    ((PREAMBLE + body) as u64).next_multiple_of(RECORD as u64)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Fill a buffer as far as the file goes.
pub(crate) fn get(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(file, rest, offset + done as u64) {
            Ok(0) => break,
            Ok(got) => done += got,
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// Write all of a buffer.
pub(crate) fn put(file: &OwnedFd, bytes: &[u8], offset: u64) -> Result<()> {
    match put_some(file, bytes, offset)? {
        all if all == bytes.len() => Ok(()),
        _ => Err(Errno::NOSPC),
    }
}

/// Write as much of a buffer as can be. An error is one of the first byte.
pub(crate) fn put_some(file: &OwnedFd, bytes: &[u8], offset: u64) -> Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pwrite(file, rest, offset + done as u64) {
            Ok(0) => break,
            Ok(put) => done += put,
            Err(Errno::INTR) => {}
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let lower = LowerFile {
            layer: 3,
            path: "usr/lib/big".into(),
            size: 1 << 40,
            modified: (-5, 999_999_999),
            blocks: 77,
        };
        Header { upper: 42, chunk: 65536, limit: 1 << 40, lower }
    }

    fn records() -> Vec<Record> {
        let mut records = vec![Record::Data(0..65536), Record::Sure(65536..1 << 41), Record::Limit(9)];
        records.extend([Record::Busy(-1, 5), Record::Calm, Record::Done]);
        records
    }

    #[test]
    fn what_was_recorded_is_read_again() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let mut map = Map::create(&dir, "map", &header()).unwrap();
        for record in records() {
            map.append(&record).unwrap();
        }
        let (mut map, found, read) = Map::load(&dir, "map").unwrap().unwrap();
        assert_eq!((found, read), (header(), records()));
        map.append(&Record::Limit(5)).unwrap();
        let (_, _, read) = Map::load(&dir, "map").unwrap().unwrap();
        assert_eq!(read.last(), Some(&Record::Limit(5)));
    }

    #[test]
    fn what_is_damaged_ends_it_and_does_not_come_back() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let mut map = Map::create(&dir, "map", &header()).unwrap();
        for record in records() {
            map.append(&record).unwrap();
        }
        let path = temp.path().join("map");
        let good = std::fs::read(&path).unwrap();
        let start = good.len() - records().len() * RECORD;
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            let loaded = Map::load(&dir, "map").unwrap();
            let padding = PREAMBLE + header().encode().len()..start;
            if at < padding.start {
                assert!(loaded.is_none(), "byte {at} of the header");
            } else if !padding.contains(&at) {
                let (mut map, _, read) = loaded.unwrap();
                let whole = (at - start) / RECORD;
                assert_eq!(read, records()[..whole]);
                map.append(&records()[whole]).unwrap();
                let (_, _, read) = Map::load(&dir, "map").unwrap().unwrap();
                assert_eq!(read, records()[..=whole], "those behind it do not count again");
            }
        }
        for length in 0..start {
            std::fs::write(&path, &good[..length]).unwrap();
            let whole = length >= PREAMBLE + header().encode().len();
            assert_eq!(Map::load(&dir, "map").unwrap().is_some(), whole);
        }
    }
}
