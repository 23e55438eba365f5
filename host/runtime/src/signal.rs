//! Signals by name and number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A signal, real-time ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal(i32);

const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl Signal {
    /// The default of `stop`.
    pub const TERM: Self = Self(15);
    /// The default of `kill`, and what `stop` ends with.
    pub const KILL: Self = Self(9);

    /// Its number on this machine.
    pub fn number(self) -> i32 {
        self.0
    }
}

/// Reads `15`, `TERM`, `SIGTERM`, `rtmin+3` in any case, as Docker's `--signal` and an image's
/// `StopSignal` have it.
impl FromStr for Signal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::BadSignal(text.to_owned());
        if let Ok(number) = text.parse::<i32>() {
            return if (1..=RTMAX).contains(&number) { Ok(Self(number)) } else { Err(bad()) };
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = if let Some(rest) = name.strip_prefix("RTMIN") {
            RTMIN
                + if rest.is_empty() {
                    0
                } else {
                    rest.strip_prefix('+').and_then(|n| n.parse().ok()).ok_or_else(bad)?
                }
        } else if let Some(rest) = name.strip_prefix("RTMAX") {
            RTMAX
                - if rest.is_empty() {
                    0
                } else {
                    rest.strip_prefix('-').and_then(|n| n.parse().ok()).ok_or_else(bad)?
                }
        } else {
            nix::sys::signal::Signal::from_str(&format!("SIG{name}")).map_err(|_| bad())? as i32
        };
        if (1..=RTMAX).contains(&number) { Ok(Self(number)) } else { Err(bad()) }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match nix::sys::signal::Signal::try_from(self.0) {
            Ok(signal) => formatter.write_str(signal.as_str()),
            Err(_) => write!(formatter, "SIGRTMIN+{}", self.0 - RTMIN),
        }
    }
}
