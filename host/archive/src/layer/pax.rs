//! PAX extended headers (POSIX.1-2001, pax, "pax Extended Header").
//!
//! Crate `tar` splits them at line feeds, and so tears values apart that contain one, as those of binary
//! extended attributes do. Here each record's own length counts.

use super::acl;
use super::error::{EntryName, LimitName, Malformed, Problem};
use super::field::{self, Time};
use super::options::{Limits, Warning};
use super::sparse::Segment;

/// What extended headers say of an entry; none where they are silent.
#[derive(Debug, Clone, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Time>,
    pub(super) atime: Option<Time>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: PaxSparse,
    pub(super) warnings: Vec<Warning>,
}

/// The three dialects in which GNU tar says where a sparse file has data
/// (GNU tar manual, "Storing Sparse Files").
#[derive(Debug, Clone, Default)]
pub(super) struct PaxSparse {
    pub(super) major: Option<u64>,
    pub(super) real_size: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    /// Versions 0.0 and 0.1. That of 1.0 is in the content.
    pub(super) map: Vec<Segment>,
    offset: Option<u64>,
}

impl Pax {
    /// Read the records of one header into this.
    pub(super) fn read(&mut self, content: &[u8], limits: &Limits) -> Result<(), Problem> {
        let mut rest = content;
        while !rest.is_empty() {
            let (record, after) = split_record(rest).ok_or_else(|| bad(rest))?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(|| bad(record))?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            self.record(key, value, limits)?;
            rest = after;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8], limits: &Limits) -> Result<(), Problem> {
        // An empty value takes back what was said before.
        let text = || Some(value.to_vec()).filter(|value| !value.is_empty());
        let number = |name| if value.is_empty() { Ok(None) } else { field::decimal(value, name).map(Some) };
        let time = |name| if value.is_empty() { Ok(None) } else { field::time(value, name).map(Some) };
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.link = text(),
            b"size" => self.size = number("size")?,
            b"uid" => self.uid = number("uid")?,
            b"gid" => self.gid = number("gid")?,
            b"mtime" => self.mtime = time("mtime")?,
            b"atime" => self.atime = time("atime")?,
            b"GNU.sparse.major" => self.sparse.major = number("GNU.sparse.major")?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.real_size = number("GNU.sparse.size")?,
            b"GNU.sparse.name" => self.sparse.name = text(),
            b"GNU.sparse.offset" => self.sparse.offset = number("GNU.sparse.offset")?,
            b"GNU.sparse.numbytes" => self.segment(value, limits)?,
            b"GNU.sparse.map" => self.map(value, limits)?,
            b"SCHILY.acl.access" => self.acl(b"system.posix_acl_access", value, limits)?,
            b"SCHILY.acl.default" => self.acl(b"system.posix_acl_default", value, limits)?,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattr(name.to_vec(), value.to_vec(), limits)?;
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    let name = percent_decode(name).ok_or_else(|| bad(key))?;
                    let value = base64_decode(value).ok_or_else(|| bad(key))?;
                    // libarchive writes both dialects; the binary one is the truth.
                    if !self.xattrs.iter().any(|(have, _)| *have == name) {
                        self.xattr(name, value, limits)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn xattr(&mut self, name: Vec<u8>, value: Vec<u8>, limits: &Limits) -> Result<(), Problem> {
        if name.is_empty() || name.contains(&0) {
            return Err(bad(&name).into());
        }
        self.xattrs.retain(|(have, _)| *have != name);
        let bytes: usize = self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        if (bytes + name.len() + value.len()) as u64 > limits.xattr_bytes {
            return Err(Problem::Limit(LimitName::XattrBytes, limits.xattr_bytes));
        }
        self.xattrs.push((name, value));
        Ok(())
    }

    fn acl(&mut self, name: &[u8], text: &[u8], limits: &Limits) -> Result<(), Problem> {
        match acl::from_text(text) {
            Some(value) => self.xattr(name.to_vec(), value, limits),
            None => {
                let acl = EntryName::new(text);
                self.warnings.push(Warning::Acl { name: EntryName::new(""), acl });
                Ok(())
            }
        }
    }

    fn segment(&mut self, length: &[u8], limits: &Limits) -> Result<(), Problem> {
        let offset = self.sparse.offset.take().ok_or(Malformed::Sparse)?;
        let length = field::decimal(length, "GNU.sparse.numbytes")?;
        self.sparse.map.push(Segment { offset, length });
        count_segments(self.sparse.map.len(), limits)
    }

    fn map(&mut self, text: &[u8], limits: &Limits) -> Result<(), Problem> {
        self.sparse.map.clear();
        let mut numbers = text.split(|byte| *byte == b',').filter(|text| !text.is_empty());
        while let Some(offset) = numbers.next() {
            let offset = field::decimal(offset, "GNU.sparse.map")?;
            let length = field::decimal(numbers.next().ok_or(Malformed::Sparse)?, "GNU.sparse.map")?;
            self.sparse.map.push(Segment { offset, length });
            count_segments(self.sparse.map.len(), limits)?;
        }
        Ok(())
    }
}

pub(super) fn count_segments(count: usize, limits: &Limits) -> Result<(), Problem> {
    if count as u64 > limits.sparse_segments {
        return Err(Problem::Limit(LimitName::SparseSegments, limits.sparse_segments));
    }
    Ok(())
}

/// `<length> <key>=<value>\n`, where the length counts all of it. Returns key and value, and what follows.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(field::decimal(&bytes[..space], "length").ok()?).ok()?;
    let record = bytes.get(space + 1..length)?;
    Some((record.strip_suffix(b"\n")?, &bytes[length..]))
}

fn bad(record: &[u8]) -> Malformed {
    Malformed::Pax(EntryName::new(&record[..record.len().min(64)]))
}

fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

/// RFC 4648 base64, with or without padding, as libarchive writes it.
fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.iter().take_while(|byte| **byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        super::super::pack_header::pax_record(key.as_bytes(), value)
    }

    fn read(content: &[u8]) -> Result<Pax, Problem> {
        let mut pax = Pax::default();
        pax.read(content, &Limits::default()).map(|()| pax)
    }

    #[test]
    fn a_value_may_hold_line_feeds_and_equals_signs() {
        let value = b"\x01\n12 path=evil\n=\0\n";
        let pax = read(&[record("SCHILY.xattr.user.x", value), record("path", b"a\nb")].concat()).unwrap();
        assert_eq!(pax.xattrs, [(b"user.x".to_vec(), value.to_vec())]);
        assert_eq!(pax.path.as_deref(), Some(&b"a\nb"[..]));
    }

    #[test]
    fn libarchive_s_attributes_are_decoded() {
        let pax = read(&record("LIBARCHIVE.xattr.user.a%3Db", b"AP8K")).unwrap();
        assert_eq!(pax.xattrs, [(b"user.a=b".to_vec(), vec![0, 0xff, 0x0a])]);
        let both =
            [record("SCHILY.xattr.user.a", b"\x01"), record("LIBARCHIVE.xattr.user.a", b"AQ")].concat();
        assert_eq!(read(&both).unwrap().xattrs, [(b"user.a".to_vec(), vec![1])]);
    }

    #[test]
    fn an_empty_value_takes_back_what_was_said() {
        let pax = read(&[record("path", b"a"), record("path", b"")].concat()).unwrap();
        assert_eq!(pax.path, None);
    }

    #[test]
    fn records_that_break_the_grammar_are_refused() {
        for content in [
            &b"x"[..],
            b"5 a=b\n",
            b"7 a=b\n",
            b"0 \n",
            b"1 \n",
            b"6 a=b ",
            b"6 aab\n",
            b"99999999999999999999 a=b\n",
            b"18446744073709551615 a=b\n",
            b"-6 a=b\n",
            b" 6 a=b\n",
        ] {
            assert!(matches!(read(content), Err(Problem::Malformed(Malformed::Pax(_)))), "{content:?}");
        }
        for key in ["size", "uid", "mtime", "GNU.sparse.map", "GNU.sparse.major"] {
            let result = read(&record(key, b"-x"));
            assert!(matches!(result, Err(Problem::Malformed(Malformed::Number(_)))), "{key}");
        }
    }
}
