//! The names in an archive, and what links between them mean.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::super::{Error, MAX_ENTRIES, Result};

/// Enough for every archive that is meant well.
const LONGEST_LINK_CHAIN: usize = 16;
/// Every file system's.
const LONGEST_NAME: usize = 4096;

/// What is under a name.
#[derive(Debug)]
pub(super) enum Node<T> {
    /// A file.
    Data(T),
    /// A hard or symbolic link to another name.
    Link(String),
    /// What nobody should want to read: a device, a FIFO, a sparse file.
    Other,
}

/// All names of an archive.
#[derive(Debug)]
pub(super) struct Names<T> {
    nodes: HashMap<String, Node<T>>,
    seen: usize,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { nodes: HashMap::new(), seen: 0 }
    }
}

impl<T> Names<T> {
    /// Count an entry, whether it is kept or not.
    pub fn count(&mut self) -> Result<()> {
        self.seen += 1;
        if self.seen > MAX_ENTRIES { Err(Error::TooManyEntries) } else { Ok(()) }
    }

    /// Keep what is under a name. Some writers repeat a file that is named by its digest; that is
    /// harmless, since such a file is verified, and the first one stays. Any other name stands once.
    pub fn add(&mut self, name: String, node: Node<T>) -> Result<()> {
        match self.nodes.entry(name) {
            Entry::Vacant(free) => {
                free.insert(node);
                Ok(())
            }
            Entry::Occupied(taken) if is_named_by_digest(taken.key()) => Ok(()),
            Entry::Occupied(taken) => Err(Error::Duplicate { name: taken.key().clone() }),
        }
    }

    /// Whether there is anything under a name.
    pub fn contains(&self, name: &str) -> bool {
        self.nodes.contains_key(name)
    }

    /// The file that a name leads to, and that file's own name. None if there is nothing.
    pub fn find(&self, name: &str) -> Result<Option<(&str, &T)>> {
        let mut at = name;
        for _ in 0..LONGEST_LINK_CHAIN {
            match self.nodes.get_key_value(at) {
                None => return Ok(None),
                Some((own, Node::Data(data))) => return Ok(Some((own, data))),
                Some((_, Node::Link(target))) => at = target,
                Some((own, Node::Other)) => return Err(Error::NotAFile { name: own.clone() }),
            }
        }
        Err(Error::LinkLoop { name: name.to_owned() })
    }
}

/// The last part up to the first dot, or the folder of a `layer.tar`, is 64 hexadecimal digits.
fn is_named_by_digest(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let stem = last.strip_prefix("sha256:").unwrap_or(last).split('.').next().unwrap_or("");
    stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The name of an entry: without `./` in front and `/` behind. None for the archive's root and for a name
/// that is not UTF-8, to which no JSON can refer.
pub(super) fn clean(raw: &[u8]) -> Result<Option<String>> {
    let unsafe_name = || Error::UnsafeName {
        name: String::from_utf8_lossy(&raw[..raw.len().min(LONGEST_NAME)]).into_owned(),
    };
    if raw.first() == Some(&b'/') || raw.len() > LONGEST_NAME || raw.contains(&0) {
        return Err(unsafe_name());
    }
    if raw.split(|&byte| byte == b'/').any(|part| part == b"..") {
        return Err(unsafe_name());
    }
    let Ok(text) = std::str::from_utf8(raw) else { return Ok(None) };
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    Ok(if parts.is_empty() { None } else { Some(parts.join("/")) })
}

/// The name that a symbolic link leads to, seen from the folder that the link is in.
pub(super) fn symlink_target(name: &str, target: &[u8]) -> Result<String> {
    let unsafe_link =
        || Error::UnsafeLink { name: name.to_owned(), target: String::from_utf8_lossy(target).into_owned() };
    let text = std::str::from_utf8(target).map_err(|_| unsafe_link())?;
    if text.starts_with('/') || text.is_empty() || text.len() > LONGEST_NAME {
        return Err(unsafe_link());
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(unsafe_link)?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// The name that a hard link leads to: from the archive's root.
pub(super) fn hardlink_target(name: &str, target: &[u8]) -> Result<String> {
    let text = || String::from_utf8_lossy(&target[..target.len().min(LONGEST_NAME)]).into_owned();
    let unsafe_link = || Error::UnsafeLink { name: name.to_owned(), target: text() };
    clean(target).ok().flatten().ok_or_else(unsafe_link)
}
