//! Places, and the names that go into them.

use crate::{Place, Refusal, Root};

/// A place in the driver's home: `home("a/b")`. The home itself is `home("")`.
pub fn home(path: impl Into<String>) -> Place {
    Place { root: Root::Home, path: path.into() }
}

/// A place in the driver's run folder, which a reboot may lose.
pub fn run(path: impl Into<String>) -> Place {
    Place { root: Root::Run, path: path.into() }
}

impl Place {
    /// The place `name` below this one.
    #[must_use]
    pub fn join(&self, name: &str) -> Place {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        Place { root: self.root, path }
    }
}

/// The id, if it has the form that the host gives to every layer: 64 lower-case hexadecimal digits. Ask
/// before an id becomes part of a path.
///
/// # Errors
/// [`Refusal::BadLayerId`].
pub fn layer_id(id: &str) -> Result<&str, Refusal> {
    let valid = id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if valid { Ok(id) } else { Err(Refusal::BadLayerId(id.to_owned())) }
}
