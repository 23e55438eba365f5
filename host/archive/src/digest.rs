//! SHA-256 digests, and the three identities that are made of one.
//!
//! A digest names bytes. Which bytes is what the other types say: an uncompressed layer ([`DiffId`]), a
//! stack of layers ([`ChainId`]) or an image's configuration ([`ImageId`]). They do not convert into each
//! other by accident.
//!
//! ```
//! use nacre_archive::digest::{ChainId, DiffId, Digest};
//!
//! let base = DiffId::new(Digest::of(b"layer one"));
//! let next = DiffId::new(Digest::of(b"layer two"));
//! let chain = ChainId::of(Some(ChainId::of(None, base)), next);
//! assert_eq!(ChainId::stack([base, next]), Some(chain));
//! assert_eq!(chain.to_string().parse::<ChainId>(), Ok(chain));
//! ```

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDigestError {
    /// Another algorithm than the only one that nacre computes.
    #[error("digest `{0}`: the algorithm must be sha256")]
    Algorithm(String),
    /// Not 64 lower-case hexadecimal digits after the colon.
    #[error("digest `{0}`: 64 lower-case hexadecimal digits must follow `sha256:`")]
    Form(String),
}

/// The SHA-256 of some bytes, written `sha256:<64 lower-case hexadecimal digits>`
/// (OCI image-spec, descriptor.md, "Digests").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of bytes that are in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// A digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From the 64 digits alone, as file names in `blobs/sha256` have them.
    pub fn from_hex(digits: &str) -> Result<Self, ParseDigestError> {
        let wrong = || ParseDigestError::Form(shortened(digits));
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong())?;
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 digits without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 12 digits: what people are shown.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

/// Digests of strangers' archives end up in messages: no more of them than helps.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 160;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("sha256:") {
            Some(digits) => Self::from_hex(digits).map_err(|_| ParseDigestError::Form(shortened(text))),
            None => Err(ParseDigestError::Algorithm(shortened(text))),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes a [`Digest`] piece by piece; also a [`io::Write`] that swallows what it is given.
#[derive(Debug, Clone, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Nothing hashed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Take the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was taken.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Digest);

        impl $name {
            /// Give a digest this meaning.
            pub const fn new(digest: Digest) -> Self {
                Self(digest)
            }

            /// The digest that it is.
            pub const fn digest(&self) -> &Digest {
                &self.0
            }

            /// The 64 digits without the algorithm.
            pub fn hex(&self) -> String {
                self.0.hex()
            }

            /// The first 12 digits: what people are shown.
            pub fn short(&self) -> String {
                self.0.short()
            }
        }

        impl FromStr for $name {
            type Err = ParseDigestError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, out)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

identity! {
    /// The digest of a layer's uncompressed tar (OCI image-spec, config.md, "Layer DiffID").
    DiffId
}

identity! {
    /// The digest of a stack of layers (OCI image-spec, config.md, "Layer ChainID"): two images share a
    /// layer exactly when the chain IDs up to and including it are equal.
    ChainId
}

identity! {
    /// The digest of an image's configuration (OCI image-spec, config.md, "ImageID").
    ImageId
}

impl ChainId {
    /// The identity of the stack that is `diff` on top of `parent`: the diff ID itself for a base layer,
    /// otherwise the digest of `<parent's chain ID> <diff ID>`.
    pub fn of(parent: Option<ChainId>, diff: DiffId) -> Self {
        match parent {
            None => Self(diff.0),
            Some(parent) => Self(Digest::of(format!("{parent} {diff}").as_bytes())),
        }
    }

    /// The identity of a whole stack, the base layer first; none of an empty one.
    pub fn stack(diffs: impl IntoIterator<Item = DiffId>) -> Option<Self> {
        diffs.into_iter().fold(None, |parent, diff| Some(Self::of(parent, diff)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_reads_back_what_it_prints() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Digest::of(b"")));
        assert_eq!(serde_json::from_str::<Digest>(&format!("\"{EMPTY}\"")).unwrap(), Digest::of(b""));
        assert_eq!(serde_json::to_string(&DiffId::new(Digest::of(b""))).unwrap(), format!("\"{EMPTY}\""));
    }

    #[test]
    fn anything_but_lower_case_sha256_is_refused() {
        let algorithm = |text: &str| matches!(text.parse::<Digest>(), Err(ParseDigestError::Algorithm(_)));
        let form = |text: &str| matches!(text.parse::<Digest>(), Err(ParseDigestError::Form(_)));
        assert!(algorithm(""));
        assert!(algorithm("sha512:00"));
        assert!(algorithm(&EMPTY[7..]));
        assert!(form("sha256:"));
        assert!(form(&EMPTY[..70]));
        assert!(form(&format!("{EMPTY}0")));
        assert!(form(&EMPTY.to_uppercase().replace("SHA256", "sha256")));
        assert!(form("sha256:../../../../../../../../../../../../../../../../../../../../etc/pw"));
    }

    #[test]
    fn a_hostile_digest_does_not_fill_the_message() {
        let long = format!("sha256:{}", "é".repeat(100_000));
        assert!(long.parse::<Digest>().unwrap_err().to_string().len() < 500);
    }

    #[test]
    fn chain_ids_are_those_of_the_specification() {
        let (a, b, c) = (Digest::of(b"a"), Digest::of(b"b"), Digest::of(b"c"));
        let ab = Digest::of(format!("{a} {b}").as_bytes());
        let abc = Digest::of(format!("{ab} {c}").as_bytes());
        assert_eq!(ChainId::of(None, DiffId::new(a)), ChainId::new(a));
        assert_eq!(ChainId::stack([a, b, c].map(DiffId::new)), Some(ChainId::new(abc)));
        assert_eq!(ChainId::stack([]), None);
    }

    #[test]
    fn hashing_in_pieces_gives_the_same_digest() {
        let mut hasher = Hasher::new();
        hasher.update(b"ab");
        hasher.update(b"c");
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
    }
}
