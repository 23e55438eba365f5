//! Names of images, in Docker's grammar: `[registry/]repository[:tag][@digest]`
//! (github.com/distribution/reference).
//!
//! People write the familiar form, `debian`; what is stored is the canonical one,
//! `docker.io/library/debian:latest`. Both parse to the same [`Reference`].
//!
//! ```
//! use nacre_archive::reference::Reference;
//!
//! let debian: Reference = "debian".parse()?;
//! assert_eq!(debian.to_string(), "docker.io/library/debian:latest");
//! assert_eq!(debian.familiar(), "debian:latest");
//! assert_eq!(debian.registry(), "docker.io");
//! # Ok::<(), nacre_archive::reference::ParseReferenceError>(())
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, ParseDigestError};

const HUB: &str = "docker.io";
const HUB_OLD: &str = "index.docker.io";
const HUB_OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// Of the registry and the repository together.
const LONGEST_NAME: usize = 255;
const LONGEST_TAG: usize = 128;

/// Why a text is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseReferenceError {
    /// Nothing before the tag or the digest.
    #[error("image name `{0}`: the name is empty")]
    Empty(String),
    /// More than 255 bytes of registry and repository.
    #[error("image name `{0}…`: longer than {LONGEST_NAME} characters")]
    TooLong(String),
    /// The registry is no host name with an optional port.
    #[error("image name `{name}`: `{registry}` is not a host name")]
    Registry {
        /// The whole text.
        name: String,
        /// The wrong part.
        registry: String,
    },
    /// A part of the repository has characters that it must not have.
    #[error(
        "image name `{name}`: `{part}` must be lower-case letters and digits, separated by `.`, `_`, `__` or `-`"
    )]
    Repository {
        /// The whole text.
        name: String,
        /// The wrong part.
        part: String,
    },
    /// A tag has characters that it must not have, or too many.
    #[error(
        "image name `{name}`: the tag `{tag}` must be up to 128 letters, digits, `_`, `.` and `-`, and must not start with `.` or `-`"
    )]
    Tag {
        /// The whole text.
        name: String,
        /// The wrong part.
        tag: String,
    },
    /// What follows the `@` is not a digest.
    #[error("image name `{name}`")]
    Digest {
        /// The whole text.
        name: String,
        /// What is wrong with it.
        source: ParseDigestError,
    },
    /// 64 hexadecimal digits are an image's ID.
    #[error("image name `{0}`: 64 hexadecimal digits are an image ID, not a name")]
    LooksLikeId(String),
}

/// The name of an image, complete: registry, repository, and a tag or a digest or both.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The host that the image is from, with its port if it has one: `docker.io` for a familiar name.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path below the registry, `library/debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag. There is none only when there is a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest that is meant.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository with another tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ParseReferenceError> {
        let name = format!("{}/{}:{tag}", self.registry, self.repository);
        check_tag(&name, tag)?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// Registry and repository, as people write them: `debian`, `ghcr.io/owner/tool`.
    pub fn familiar_name(&self) -> String {
        if self.registry != HUB {
            return format!("{}/{}", self.registry, self.repository);
        }
        match self.repository.strip_prefix(HUB_OFFICIAL) {
            Some(official) if !official.contains('/') => official.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// The whole name as Docker shows it, the tag always written: `debian:latest`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    fn suffix(&self) -> String {
        let tag = self.tag.iter().map(|tag| format!(":{tag}"));
        let digest = self.digest.iter().map(|digest| format!("@{digest}"));
        tag.chain(digest).collect()
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.chars().take(LONGEST_NAME).collect::<String>();
        if text.len() > LONGEST_NAME + LONGEST_TAG + 80 {
            return Err(ParseReferenceError::TooLong(shown()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse();
                (rest, Some(digest.map_err(|source| ParseReferenceError::Digest { name: shown(), source })?))
            }
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let path_start = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[path_start..].find(':') {
            Some(colon) => (&rest[..path_start + colon], Some(&rest[path_start + colon + 1..])),
            None => (rest, None),
        };
        if name.is_empty() {
            return Err(ParseReferenceError::Empty(shown()));
        }
        if name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ParseReferenceError::LooksLikeId(shown()));
        }
        if let Some(tag) = tag {
            check_tag(text, tag)?;
        }
        let (registry, repository) = split_registry(name);
        check_registry(text, registry)?;
        check_repository(text, &repository)?;
        if registry.len() + 1 + repository.len() > LONGEST_NAME {
            return Err(ParseReferenceError::TooLong(shown()));
        }
        let default = (tag.is_none() && digest.is_none()).then_some(DEFAULT_TAG);
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.or(default).map(str::to_owned),
            digest,
        })
    }
}

/// The first part is a registry when it looks like a host (a dot, a port, an upper-case letter, or
/// `localhost`); everything else is on Docker's own.
fn split_registry(name: &str) -> (&str, String) {
    let looks_like_host = |part: &str| {
        part.contains(['.', ':']) || part == "localhost" || part.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if looks_like_host(first) => (first, path),
        _ => (HUB, name),
    };
    match registry {
        HUB | HUB_OLD if !path.contains('/') => (HUB, format!("{HUB_OFFICIAL}{path}")),
        HUB_OLD => (HUB, path.to_owned()),
        _ => (registry, path.to_owned()),
    }
}

fn check_registry(name: &str, registry: &str) -> Result<(), ParseReferenceError> {
    let wrong = || ParseReferenceError::Registry { name: name.to_owned(), registry: registry.to_owned() };
    // An IPv6 address stands in brackets, its colons are not the port's.
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or_else(wrong)?;
            if address.is_empty() || !address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':') {
                return Err(wrong());
            }
            (None, port)
        }
        None => {
            let end = registry.find(':').unwrap_or(registry.len());
            (Some(&registry[..end]), &registry[end..])
        }
    };
    let port_fits = match port.strip_prefix(':') {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    let label_fits = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if port_fits && host.is_none_or(|host| host.split('.').all(label_fits)) { Ok(()) } else { Err(wrong()) }
}

fn check_repository(name: &str, repository: &str) -> Result<(), ParseReferenceError> {
    for part in repository.split('/') {
        if !path_part_fits(part) {
            return Err(ParseReferenceError::Repository { name: name.to_owned(), part: part.to_owned() });
        }
    }
    Ok(())
}

/// Runs of letters and digits, with one separator between each two: `.`, `_`, `__` or any number of `-`.
fn path_part_fits(part: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends_fit = bytes.first().is_some_and(|&byte| alphanumeric(byte))
        && bytes.last().is_some_and(|&byte| alphanumeric(byte));
    ends_fit
        && bytes.split(|&byte| alphanumeric(byte)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|&byte| byte == b'-')
        })
}

fn check_tag(name: &str, tag: &str) -> Result<(), ParseReferenceError> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'));
    if fits { Ok(()) } else { Err(ParseReferenceError::Tag { name: name.to_owned(), tag: tag.to_owned() }) }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}{}", self.registry, self.repository, self.suffix())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Reference({self})")
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn canonical(text: &str) -> String {
        text.parse::<Reference>().unwrap().to_string()
    }

    #[test]
    fn familiar_names_are_completed() {
        for (written, canon, familiar) in [
            ("debian", "docker.io/library/debian:latest", "debian:latest"),
            ("debian:12", "docker.io/library/debian:12", "debian:12"),
            ("docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
            ("index.docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"),
            ("library/debian", "docker.io/library/debian:latest", "debian:latest"),
            ("owner/tool:v1", "docker.io/owner/tool:v1", "owner/tool:v1"),
            ("localhost/tool", "localhost/tool:latest", "localhost/tool:latest"),
            ("localhost:5000/tool", "localhost:5000/tool:latest", "localhost:5000/tool:latest"),
            ("LOCAL/tool", "LOCAL/tool:latest", "LOCAL/tool:latest"),
            ("ghcr.io/a/b/c:x", "ghcr.io/a/b/c:x", "ghcr.io/a/b/c:x"),
            ("[fe80::1]:5000/tool", "[fe80::1]:5000/tool:latest", "[fe80::1]:5000/tool:latest"),
            ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("a__b.c---d", "docker.io/library/a__b.c---d:latest", "a__b.c---d:latest"),
        ] {
            let reference: Reference = written.parse().unwrap();
            assert_eq!(reference.to_string(), canon);
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(canonical(canon), canon, "the canonical form reads back");
        }
    }

    #[test]
    fn a_digest_takes_the_place_of_the_default_tag() {
        assert_eq!(canonical(&format!("debian@{DIGEST}")), format!("docker.io/library/debian@{DIGEST}"));
        assert_eq!(
            canonical(&format!("debian:12@{DIGEST}")),
            format!("docker.io/library/debian:12@{DIGEST}")
        );
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        for wrong in [
            "",
            ":tag",
            "Debian",
            "a//b",
            "a/",
            "/a",
            "-a",
            "a-",
            "a___b",
            "a..b",
            "a:",
            "a:.x",
            "a:-x",
            "a b",
            "a@sha256:12",
            "a@md5:00",
            "http://a/b",
            "a:b:c",
            "../a",
            "a.b:x/c",
            "-a.b/c",
            "é",
        ] {
            assert!(wrong.parse::<Reference>().is_err(), "`{wrong}` was taken");
        }
        assert!(format!("a:{}", "x".repeat(129)).parse::<Reference>().is_err());
        assert!(format!("{}/x", "a".repeat(250)).parse::<Reference>().is_err());
        assert!(matches!(DIGEST[7..].parse::<Reference>(), Err(ParseReferenceError::LooksLikeId(_))));
    }

    #[test]
    fn another_tag_replaces_tag_and_digest() {
        let reference: Reference = format!("debian@{DIGEST}").parse().unwrap();
        assert_eq!(reference.with_tag("12").unwrap().familiar(), "debian:12");
        assert!(reference.with_tag("a b").is_err());
    }
}
