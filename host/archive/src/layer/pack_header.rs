//! The headers of one entry: ustar, after a PAX header for what ustar cannot say.

use std::io;

use rustix::fs::{FileType, Stat, major, minor};
use tar::{EntryType, Header};

use super::input::BLOCK;
use super::tree::file_type;

/// What is to be described.
pub(super) struct Node<'a> {
    pub(super) stat: &'a Stat,
    /// Target of a symbolic link, or of a hard link if `hard`.
    pub(super) link: Option<&'a [u8]>,
    pub(super) hard: bool,
    pub(super) xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

/// Whole blocks, to be written as they are.
pub(super) struct Headers {
    pub(super) bytes: Vec<u8>,
}

/// The largest number in seven and in eleven octal digits.
const MOST_ID: u64 = 0o7777777;
const MOST_SIZE: u64 = 0o77777777777;

impl Headers {
    pub(super) fn of(path: &[u8], node: &Node<'_>) -> io::Result<Self> {
        let stat = node.stat;
        let mut header = Header::new_ustar();
        let mut records = Vec::new();
        let mut record = |key: &str, value: &[u8]| records.extend(pax_record(key.as_bytes(), value));

        let kind = entry_type(node)?;
        header.set_entry_type(kind);
        header.set_mode(stat.st_mode & 0o7777);
        let uid = fits(stat.st_uid.into(), MOST_ID, |id| record("uid", id));
        let gid = fits(stat.st_gid.into(), MOST_ID, |id| record("gid", id));
        header.set_uid(uid);
        header.set_gid(gid);
        let size = if kind.is_file() { stat.st_size as u64 } else { 0 };
        header.set_size(fits(size, MOST_SIZE, |size| record("size", size)));
        let seconds = stat.st_mtime;
        if stat.st_mtime_nsec != 0 || !(0..=MOST_SIZE as i64).contains(&seconds) {
            record("mtime", time(seconds, stat.st_mtime_nsec as u32).as_bytes());
        }
        header.set_mtime(seconds.clamp(0, MOST_SIZE as i64) as u64);
        if kind == EntryType::Char || kind == EntryType::Block {
            header.set_device_major(major(stat.st_rdev))?;
            header.set_device_minor(minor(stat.st_rdev))?;
        }

        let mut name = if path.is_empty() { b".".to_vec() } else { path.to_vec() };
        if kind.is_dir() {
            name.push(b'/');
        }
        if name.len() > 100 {
            record("path", &name);
        }
        if let Some(link) = node.link.filter(|link| link.len() > 100) {
            record("linkpath", link);
        }
        put(&mut header.as_old_mut().name, &name);
        put(&mut header.as_old_mut().linkname, node.link.unwrap_or_default());
        for (name, value) in node.xattrs {
            records.extend(pax_record(&[b"SCHILY.xattr.", name.as_slice()].concat(), value));
        }
        header.set_cksum();

        let mut bytes = Vec::with_capacity(BLOCK * 3 + records.len());
        if !records.is_empty() {
            bytes.extend_from_slice(pax_header(records.len() as u64).as_bytes());
            bytes.extend_from_slice(&records);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        bytes.extend_from_slice(header.as_bytes());
        Ok(Self { bytes })
    }
}

fn entry_type(node: &Node<'_>) -> io::Result<EntryType> {
    Ok(match file_type(node.stat) {
        _ if node.hard => EntryType::Link,
        FileType::RegularFile => EntryType::Regular,
        FileType::Directory => EntryType::Directory,
        FileType::Symlink => EntryType::Symlink,
        FileType::Fifo => EntryType::Fifo,
        FileType::CharacterDevice => EntryType::Char,
        FileType::BlockDevice => EntryType::Block,
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "tar has no type for such a file")),
    })
}

fn pax_header(size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    put(&mut header.as_old_mut().name, b"PaxHeaders/0");
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header
}

/// The number itself, or 0 when it goes into a record.
fn fits(number: u64, most: u64, record: impl FnOnce(&[u8])) -> u64 {
    if number <= most {
        return number;
    }
    record(number.to_string().as_bytes());
    0
}

fn put(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

/// `<length> <key>=<value>\n`, where the length counts its own digits.
pub(super) fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// Decimal, with a fraction without trailing zeros. Before 1970 the fraction counts away from zero.
fn time(seconds: i64, nanoseconds: u32) -> String {
    let (sign, seconds, nanoseconds) = match (seconds < 0, nanoseconds) {
        (true, 0) => ("-", seconds.unsigned_abs(), 0),
        (true, nanoseconds) => ("-", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanoseconds),
        (false, nanoseconds) => ("", seconds.unsigned_abs(), nanoseconds),
    };
    if nanoseconds == 0 {
        return format!("{sign}{seconds}");
    }
    let fraction = format!("{nanoseconds:09}");
    format!("{sign}{seconds}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::super::field::{self, Time};
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(pax_record(b"path", b"a"), b"9 path=a\n");
        assert_eq!(pax_record(b"pat", b"a"), b"8 pat=a\n");
        assert_eq!(pax_record(b"path", &[b'a'; 89]).len(), 98);
        assert_eq!(pax_record(b"path", &[b'a'; 91]).len(), 101);
    }

    #[test]
    fn a_time_reads_back_as_it_was_written() {
        for (seconds, nanoseconds) in
            [(0, 0), (1, 500_000_000), (-1, 0), (-2, 750_000_000), (-1, 1), (1 << 40, 999_999_999)]
        {
            let text = time(seconds, nanoseconds);
            let expected = Time { seconds, nanoseconds };
            assert_eq!(field::time(text.as_bytes(), "mtime"), Ok(expected), "{text}");
        }
    }
}
