//! How bytes are compressed, told from the bytes themselves: media types are often wrong.

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip (RFC 1952), one member or several.
    Gzip,
    /// Zstandard (RFC 8878), one frame or several.
    Zstd,
}

impl Compression {
    /// Tell from the first bytes of a blob; four suffice. What is neither gzip nor zstd is plain.
    pub fn sniff(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// The same of a tar, from its first 512 bytes or all if there are fewer. None if it is no tar at all.
    pub fn sniff_tar(start: &[u8]) -> Option<Self> {
        Some(Self::sniff(start)).filter(|found| *found != Self::Plain || is_tar_header(start))
    }

    /// The name of the format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// A tar starts with a header whose checksum is right, or, when it is empty, with zeros.
fn is_tar_header(start: &[u8]) -> bool {
    let Some(block) = start.first_chunk::<512>() else { return false };
    if block.iter().all(|&byte| byte == 0) {
        return true;
    }
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(block);
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, &byte)| u32::from(if (148..156).contains(&at) { b' ' } else { byte }))
        .sum();
    header.cksum().is_ok_and(|stated| stated == sum)
}
