//! Headers into entries: what of ustar, GNU and PAX together describes one file.

use std::io::BufRead;

use tar::Header;

use super::error::{LimitName, Malformed, Problem, Refusal};
use super::field::{self, Time};
use super::input::{BLOCK, Input};
use super::options::{Limits, Warning};
use super::pax::Pax;
use super::sparse::{self, Sparse};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    /// Target of a hard or symbolic link.
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Time,
    pub(super) atime: Option<Time>,
    pub(super) device: (u32, u32),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of content that come next in the stream.
    pub(super) stored: u64,
    pub(super) sparse: Option<Sparse>,
    pub(super) warnings: Vec<Warning>,
}

impl Entry {
    /// The size of the file, holes counted.
    pub(super) fn size(&self) -> u64 {
        self.sparse.as_ref().map_or(self.stored, |sparse| sparse.real_size)
    }
}

/// Reads one entry after the other. Between two calls the caller consumes the content and its padding.
#[derive(Debug)]
pub(super) struct Headers {
    limits: Limits,
    global: Pax,
    entries: u64,
    /// For messages: the entry that is being read.
    pub(super) name: Vec<u8>,
    pub(super) offset: u64,
}

/// What the headers before an entry's own say about it.
#[derive(Default)]
struct Extensions {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

impl Headers {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, global: Pax::default(), entries: 0, name: Vec::new(), offset: 0 }
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// None at the end of the archive: two blocks of zeros, or the end of the stream between two entries.
    pub(super) fn next<R: BufRead>(&mut self, input: &mut Input<'_, R>) -> Result<Option<Entry>, Problem> {
        self.offset = input.offset();
        let mut before = Extensions::default();
        loop {
            let Some(block) = input.block()? else {
                return if before.is_empty() { Ok(None) } else { Err(Malformed::Dangling.into()) };
            };
            if block == [0; BLOCK] {
                return if before.is_empty() { end(input) } else { Err(Malformed::Dangling.into()) };
            }
            check_sum(&block)?;
            let header = Header::from_byte_slice(&block);
            let size = field::unsigned(&header.as_old().size, "size")?;
            match header.as_old().linkflag[0] {
                b'x' => {
                    let content = self.extension(size, input)?;
                    // Several in a row add up, as GNU tar has it.
                    let pax = before.pax.get_or_insert_with(|| self.global.clone());
                    pax.read(&content, &self.limits)?;
                }
                b'g' => {
                    let content = self.extension(size, input)?;
                    self.global.read(&content, &self.limits)?;
                    // What can only be meant for one file is not taken from a header that is for all.
                    self.global.path = None;
                    self.global.link = None;
                    self.global.size = None;
                    self.global.sparse = Default::default();
                }
                b'L' => before.long_name = Some(self.long_name(size, input)?),
                b'K' => before.long_link = Some(self.long_name(size, input)?),
                flag => {
                    self.entries += 1;
                    if self.entries > self.limits.entries {
                        return Err(Problem::Limit(LimitName::Entries, self.limits.entries));
                    }
                    return self.entry(header, flag, size, before, input).map(Some);
                }
            }
        }
    }

    fn entry<R: BufRead>(
        &mut self,
        header: &Header,
        flag: u8,
        size: u64,
        before: Extensions,
        input: &mut Input<'_, R>,
    ) -> Result<Entry, Problem> {
        let mut pax = before.pax.unwrap_or_else(|| self.global.clone());
        let name = before.long_name.or(pax.sparse.name.take()).or(pax.path.take());
        self.name = name.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = before.long_link.or(pax.link.take());
        let link = link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
        self.check_length(&self.name)?;
        self.check_length(&link)?;

        let kind = kind_of(flag, &self.name)?;
        let has_content = matches!(flag, 0 | b'0' | b'7' | b'S');
        let mut stored = if has_content { pax.size.unwrap_or(size) } else { 0 };
        let sparse = match flag {
            b'S' => Some(sparse::read_old(header, stored, input, &self.limits)?),
            _ if kind == Kind::File => {
                let read = sparse::read_pax(std::mem::take(&mut pax.sparse), stored, input, &self.limits)?;
                read.map(|(sparse, used)| {
                    stored -= used;
                    sparse
                })
            }
            _ => None,
        };
        let old = header.as_old();
        let entry = Entry {
            name: self.name.clone(),
            kind,
            link,
            mode: field::unsigned(&old.mode, "mode")? as u32 & 0o7777,
            uid: id(pax.uid, &old.uid, "uid")?,
            gid: id(pax.gid, &old.gid, "gid")?,
            mtime: match pax.mtime {
                Some(time) => time,
                None => Time { seconds: field::number(&old.mtime, "mtime")?, nanoseconds: 0 },
            },
            atime: pax.atime,
            device: device(header, kind)?,
            xattrs: pax.xattrs,
            stored,
            sparse,
            warnings: pax.warnings,
        };
        if entry.size() > self.limits.content_bytes {
            return Err(Problem::Limit(LimitName::ContentBytes, self.limits.content_bytes));
        }
        Ok(entry)
    }

    fn extension<R: BufRead>(&self, size: u64, input: &mut Input<'_, R>) -> Result<Vec<u8>, Problem> {
        if size > self.limits.pax_bytes {
            return Err(Problem::Limit(LimitName::PaxBytes, self.limits.pax_bytes));
        }
        input.extension(size)
    }

    fn long_name<R: BufRead>(&self, size: u64, input: &mut Input<'_, R>) -> Result<Vec<u8>, Problem> {
        // The NUL at its end is counted.
        if size > self.limits.name_bytes.saturating_add(1) {
            return Err(Problem::Limit(LimitName::NameBytes, self.limits.name_bytes));
        }
        let mut name = input.extension(size)?;
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        Ok(name)
    }

    fn check_length(&self, name: &[u8]) -> Result<(), Problem> {
        if name.len() as u64 > self.limits.name_bytes {
            return Err(Problem::Limit(LimitName::NameBytes, self.limits.name_bytes));
        }
        Ok(())
    }
}

/// After the first block of zeros: only another one, or nothing, may be next.
fn end<R: BufRead>(input: &mut Input<'_, R>) -> Result<Option<Entry>, Problem> {
    match input.block()? {
        Some(block) if block != [0; BLOCK] => Err(Malformed::AfterEnd.into()),
        _ => Ok(None),
    }
}

/// The sum of all bytes, with spaces in place of the sum. Some old writers summed signed bytes.
fn check_sum(block: &[u8; BLOCK]) -> Result<(), Malformed> {
    const SUM: std::ops::Range<usize> = 148..156;
    let expected = field::number(&block[SUM], "checksum").map_err(|_| Malformed::Checksum)?;
    let others = || block[..SUM.start].iter().chain(&block[SUM.end..]);
    let spaces = 8 * i64::from(b' ');
    let sum = spaces + others().map(|byte| i64::from(*byte)).sum::<i64>();
    if sum == expected || spaces + others().map(|byte| i64::from(*byte as i8)).sum::<i64>() == expected {
        return Ok(());
    }
    Err(Malformed::Checksum)
}

fn kind_of(flag: u8, name: &[u8]) -> Result<Kind, Malformed> {
    Ok(match flag {
        // Before there was a type for directories, a slash at the end made one.
        0 if name.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        flag => return Err(Malformed::Type(char::from(flag))),
    })
}

fn id(pax: Option<u64>, field: &[u8], name: &'static str) -> Result<u32, Malformed> {
    let id = match pax {
        Some(id) => id,
        None => field::unsigned(field, name)?,
    };
    // The last one means "leave as it is" to chown(2).
    u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or(Malformed::Number(name))
}

fn device(header: &Header, kind: Kind) -> Result<(u32, u32), Malformed> {
    if !matches!(kind, Kind::CharDevice | Kind::BlockDevice) {
        return Ok((0, 0));
    }
    let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
        (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
        (None, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
        (None, None) => return Err(Malformed::Number("device")),
    };
    let number = |field: &[u8]| {
        let number = field::unsigned(field, "device")?;
        u32::try_from(number).map_err(|_| Malformed::Number("device"))
    };
    Ok((number(major)?, number(minor)?))
}

/// The parts of an entry's name, joined again by single slashes; empty for the root of the layer.
pub(super) fn clean(name: &[u8], limits: &Limits) -> Result<Vec<u8>, Problem> {
    if name.is_empty() || name.contains(&0) {
        return Err(Refusal::Name.into());
    }
    if name[0] == b'/' {
        return Err(Refusal::AbsoluteName.into());
    }
    let mut path = Vec::with_capacity(name.len());
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err(Refusal::ParentInName.into()),
            _ if part.len() > 255 => {
                return Err(Problem::Limit(LimitName::NameBytes, 255.min(limits.name_bytes)));
            }
            _ => {}
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
    }
    Ok(path)
}
