//! In which way the driver is wrong.

use nacre_driver_sdk::{Refusal, Setting, Settings, state};

/// No way at all.
pub(crate) const NONE: &str = "none";

/// The ways.
pub(crate) const WORDS: [&str; 22] = [
    NONE,
    "loses-whiteouts",
    "forgets-opaque",
    "copies-up-metadata-only",
    "renames-by-reference",
    "shares-an-upper",
    "reorders-layers",
    "drops-a-parent",
    "leaks-a-mount",
    "leaks-a-folder",
    "wrong-usage",
    "wrong-difference",
    "wrong-target",
    "wrong-root-mode",
    "mounts-read-only",
    "changes-parents",
    "promises-too-much",
    "loses-state",
    "loses-writes",
    "leaves-half-made",
    "removes-only-once",
    "disowns-layers",
];

/// The key that the word is saved under.
pub(crate) const KEY: &str = "how";

/// One of [`WORDS`].
pub(crate) struct Lie(String);

impl Lie {
    /// The one that was asked for.
    pub(crate) fn of(settings: &[Setting]) -> Result<Self, Refusal> {
        Ok(Self(settings.text("how")?.to_owned()))
    }

    /// The one that the first plan saved.
    pub(crate) fn saved() -> Self {
        let word = state::get(KEY).and_then(|word| String::from_utf8(word).ok());
        Self(word.unwrap_or_else(|| NONE.to_owned()))
    }

    pub(crate) fn is(&self, word: &str) -> bool {
        debug_assert!(WORDS.contains(&word), "{word} is no lie");
        self.0 == word
    }

    pub(crate) fn word(&self) -> &str {
        &self.0
    }
}
