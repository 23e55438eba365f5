//! Where a sparse file has data: GNU tar's old format and its PAX formats 0.0, 0.1 and 1.0
//! (GNU tar manual, "Storing Sparse Files").

use std::io::BufRead;

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::error::{Malformed, Problem};
use super::field;
use super::input::{BLOCK, Input};
use super::options::Limits;
use super::pax::{PaxSparse, count_segments};

/// A stretch of data; between them are holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) length: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sparse {
    pub(super) real_size: u64,
    pub(super) segments: Vec<Segment>,
}

impl Sparse {
    /// The segments must be in order, apart, inside of the file, and as long together as what is stored.
    fn checked(real_size: u64, mut segments: Vec<Segment>, stored: u64) -> Result<Self, Malformed> {
        let (mut end, mut sum) = (0u64, 0u64);
        for segment in &segments {
            if segment.offset < end {
                return Err(Malformed::Sparse);
            }
            end = segment.offset.checked_add(segment.length).ok_or(Malformed::Sparse)?;
            sum += segment.length;
        }
        if end > real_size || sum != stored {
            return Err(Malformed::Sparse);
        }
        segments.retain(|segment| segment.length > 0);
        Ok(Self { real_size, segments })
    }
}

/// Type `S`: four segments in the header, 21 in each block that follows.
pub(super) fn read_old<R: BufRead>(
    header: &Header,
    stored: u64,
    input: &mut Input<'_, R>,
    limits: &Limits,
) -> Result<Sparse, Problem> {
    let gnu = header.as_gnu().ok_or(Malformed::Sparse)?;
    let mut segments = Vec::new();
    add_old(&mut segments, &gnu.sparse)?;
    let mut more = gnu.is_extended();
    while more {
        let block = input.block()?.ok_or(Malformed::Truncated)?;
        let mut extension = GnuExtSparseHeader::new();
        extension.as_mut_bytes().copy_from_slice(&block);
        add_old(&mut segments, extension.sparse())?;
        count_segments(segments.len(), limits)?;
        more = extension.is_extended();
    }
    let real_size = field::unsigned(&gnu.realsize, "realsize")?;
    Ok(Sparse::checked(real_size, segments, stored)?)
}

fn add_old(segments: &mut Vec<Segment>, headers: &[GnuSparseHeader]) -> Result<(), Malformed> {
    for header in headers.iter().filter(|header| !header.is_empty()) {
        let offset = field::unsigned(&header.offset, "sparse offset")?;
        let length = field::unsigned(&header.numbytes, "sparse length")?;
        segments.push(Segment { offset, length });
    }
    Ok(())
}

/// The PAX formats. Returns how many of the stored bytes were the map and not data.
pub(super) fn read_pax<R: BufRead>(
    pax: PaxSparse,
    stored: u64,
    input: &mut Input<'_, R>,
    limits: &Limits,
) -> Result<Option<(Sparse, u64)>, Problem> {
    let Some(real_size) = pax.real_size else {
        return if pax.map.is_empty() && pax.major.is_none() {
            Ok(None)
        } else {
            Err(Malformed::Sparse.into())
        };
    };
    if pax.major != Some(1) {
        return Ok(Some((Sparse::checked(real_size, pax.map, stored)?, 0)));
    }
    let mut map = Map::default();
    let mut used = 0;
    while !map.is_complete() {
        if used + BLOCK as u64 > stored {
            return Err(Malformed::Sparse.into());
        }
        let block = input.block()?.ok_or(Malformed::Truncated)?;
        used += BLOCK as u64;
        map.feed(&block, limits)?;
    }
    Ok(Some((Sparse::checked(real_size, map.segments(), stored - used)?, used)))
}

/// Format 1.0: decimal numbers, a line each, before the data: how many segments, then offset and length of
/// each; filled up to a whole block.
#[derive(Default)]
struct Map {
    numbers: Vec<u64>,
    digits: Vec<u8>,
}

impl Map {
    fn is_complete(&self) -> bool {
        self.numbers.first().is_some_and(|count| (self.numbers.len() as u64 - 1) / 2 >= *count)
    }

    fn feed(&mut self, block: &[u8], limits: &Limits) -> Result<(), Problem> {
        for byte in block {
            if self.is_complete() {
                return Ok(());
            }
            match byte {
                b'0'..=b'9' if self.digits.len() < 20 => self.digits.push(*byte),
                b'\n' => {
                    self.numbers.push(field::decimal(&self.digits, "sparse map")?);
                    self.digits.clear();
                    let count = self.numbers.first().copied().unwrap_or_default();
                    count_segments(usize::try_from(count).unwrap_or(usize::MAX), limits)?;
                }
                _ => return Err(Malformed::Sparse.into()),
            }
        }
        Ok(())
    }

    fn segments(&self) -> Vec<Segment> {
        let pairs = self.numbers.get(1..).unwrap_or_default().chunks_exact(2);
        pairs.map(|pair| Segment { offset: pair[0], length: pair[1] }).collect()
    }
}

/// The block of most file systems, in bytes.
const HOLE: usize = 4096;

/// How many bytes come before a block of zeros, and if none do, how many zeros there are. A file that is new has
/// zeros where nothing is written.
pub(super) fn data_and_hole(bytes: &[u8], offset: u64) -> (usize, usize) {
    let is_hole = |block: &[u8]| block.iter().all(|byte| *byte == 0);
    // To where the file's next block begins.
    let (first, rest) = bytes.split_at(bytes.len().min(HOLE - (offset % HOLE as u64) as usize));
    let length = |wanted: bool| -> usize {
        let blocks = std::iter::once(first).chain(rest.chunks(HOLE));
        blocks.take_while(|block| is_hole(block) == wanted).map(<[u8]>::len).sum()
    };
    (length(false), length(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_make_no_sense_are_refused() {
        let segment = |offset, length| Segment { offset, length };
        assert!(Sparse::checked(10, vec![segment(0, 2), segment(5, 5), segment(10, 0)], 7).is_ok());
        for (segments, stored) in [
            (vec![segment(0, 2), segment(1, 2)], 4),
            (vec![segment(5, 2), segment(0, 2)], 4),
            (vec![segment(8, 3)], 3),
            (vec![segment(0, 2)], 3),
            (vec![segment(u64::MAX, 2)], 2),
        ] {
            assert_eq!(Sparse::checked(10, segments, stored), Err(Malformed::Sparse));
        }
    }
}
