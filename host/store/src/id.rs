//! Random names: of containers, of layers' directories, of operations.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What a name or an ID was looked up as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An image.
    Image,
    /// A container.
    Container,
    /// A layer.
    Layer,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Image => "image",
            Self::Container => "container",
            Self::Layer => "layer",
        })
    }
}

/// `bytes` random bytes as lower-case hexadecimal digits.
pub(crate) fn random_hex<const BYTES: usize>() -> Result<String> {
    random::<BYTES>().map(hex::encode)
}

pub(crate) fn random<const BYTES: usize>() -> Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::io("read", "/dev/urandom", std::io::Error::other(e.to_string())))?;
    Ok(bytes)
}

pub(crate) fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new one. Fails only where the kernel gives no random bytes.
            pub fn random() -> Result<Self> {
                random_hex::<32>().map(Self)
            }

            /// The 64 digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first 12 digits: what people are shown.
            pub fn short(&self) -> &str {
                &self.0[..12]
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                if text.len() == 64 && is_lower_hex(&text) { Ok(Self(text)) } else { Err(Error::InvalidId { text }) }
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl AsRef<std::path::Path> for $name {
            fn as_ref(&self) -> &std::path::Path {
                self.0.as_ref()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

random_id! {
    /// A container: 64 lower-case hexadecimal digits, drawn at random.
    ContainerId
}

random_id! {
    /// A layer's directory in its driver's home: the `layer-id` of the contract. Random, and never reused.
    LayerId
}
