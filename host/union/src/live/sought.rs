use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Tree;
use super::inode::Part;
use super::policy::SearchPolicy;

/// A name that is searched for in a directory, and what the search policy says of its layers.
#[derive(Debug)]
pub(super) struct Sought<'a> {
    policy: Option<&'a dyn SearchPolicy>,
    /// From the root of a layer.
    path: Vec<u8>,
    /// The last answer, and of which 64 layers it is.
    answer: Option<(usize, u64)>,
}

impl<'a> Sought<'a> {
    pub(super) fn of(tree: &'a Tree, parts: &[Part], name: &OsStr) -> Self {
        let all = Self { policy: None, path: Vec::new(), answer: None };
        let Some(policy) = tree.options.search.as_deref() else { return all };
        let Some(mut path) = directory_in_layer(tree, parts) else { return all };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        Self { policy: Some(policy), path, answer: None }
    }

    /// Whether a layer is to be probed. Layers are asked for in the order of the stack.
    pub(super) fn wants(&mut self, layer: usize) -> bool {
        let Some(policy) = self.policy else { return true };
        let window = layer / 64;
        let bits = match self.answer {
            Some((known, bits)) if known == window => bits,
            _ => match policy.layers(&self.path, window * 64) {
                Some(bits) => bits,
                None => {
                    self.policy = None;
                    return true;
                }
            },
        };
        self.answer = Some((window, bits));
        bits & (1 << (layer % 64)) != 0
    }

    /// Whether a layer that is not wanted needs no look.
    pub(super) fn is_trusted(&self) -> bool {
        self.policy.is_none_or(SearchPolicy::is_trusted)
    }

    /// A layer that was not wanted has something.
    pub(super) fn refute(&mut self, layer: usize) {
        if let Some(policy) = self.policy.take() {
            policy.refuted(Path::new(OsStr::from_bytes(&self.path)), layer);
        }
    }
}

/// Where a directory is in its layers: it is at the same place in all of them, since a directory that is renamed has no
/// part in read-only layers any more.
fn directory_in_layer(tree: &Tree, parts: &[Part]) -> Option<Vec<u8>> {
    let part = parts.first()?;
    let root = tree.lowers.get(part.layer)?.root.path().as_os_str().as_bytes();
    match part.dir.path().as_os_str().as_bytes().strip_prefix(root)? {
        b"" => Some(Vec::new()),
        below => Some(below.strip_prefix(b"/").or(root.ends_with(b"/").then_some(below))?.to_vec()),
    }
}
