//! How a case ends.

use std::error::Error as _;
use std::fmt::Debug;

use serde::Serialize;

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// The driver is right.
    Passed,
    /// The driver is wrong.
    Failed {
        /// What should have been.
        expected: String,
        /// What was.
        found: String,
    },
    /// Nothing can be said.
    Skipped {
        /// Why.
        reason: String,
    },
}

impl Verdict {
    /// `passed`, `failed` or `skipped`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed { .. } => "failed",
            Self::Skipped { .. } => "skipped",
        }
    }
}

/// Why a case ends before its end.
#[derive(Debug)]
pub(crate) struct Stop(pub Verdict);

/// What a case and its parts return.
pub(crate) type Done<T = ()> = Result<T, Stop>;

impl Stop {
    pub(crate) fn failed(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self(Verdict::Failed { expected: expected.into(), found: found.into() })
    }

    pub(crate) fn skipped(reason: impl Into<String>) -> Self {
        Self(Verdict::Skipped { reason: reason.into() })
    }

    /// In one line, for a message about something larger.
    pub(crate) fn text(&self) -> String {
        match &self.0 {
            Verdict::Passed => String::new(),
            Verdict::Failed { expected, found } => format!("{found} (expected: {expected})"),
            Verdict::Skipped { reason } => reason.clone(),
        }
    }
}

/// What went wrong, with the causes.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

impl From<nacre_engine::Error> for Stop {
    fn from(error: nacre_engine::Error) -> Self {
        // A trap's trace is for the driver's author, who gets it from the command that failed.
        let text = if error.source().is_some() { in_full(&error) } else { error.to_string() };
        Self::failed("the engine does what it is asked", text)
    }
}

/// Adds what was expected to an error.
pub(crate) trait Expected<T> {
    /// `expected` completes "it must hold that".
    fn or_stop(self, expected: impl FnOnce() -> String) -> Done<T>;
}

impl<T, E: std::error::Error> Expected<T> for Result<T, E> {
    fn or_stop(self, expected: impl FnOnce() -> String) -> Done<T> {
        self.map_err(|error| Stop::failed(expected(), in_full(&error)))
    }
}

/// Stops unless two values are equal.
pub(crate) fn same<T: Debug + PartialEq>(what: &str, expected: T, found: T) -> Done {
    if expected == found {
        return Ok(());
    }
    Err(Stop::failed(format!("{what}: {expected:?}"), format!("{found:?}")))
}

/// Stops unless something holds; `found` says what is there in its place.
pub(crate) fn holds(is: bool, expected: &str, found: impl FnOnce() -> String) -> Done {
    if is { Ok(()) } else { Err(Stop::failed(expected, found())) }
}
