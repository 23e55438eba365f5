//! Signals by name and number.

use std::fmt;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::PidfdFlags;

use crate::error::{Error, Result};
use crate::state::{Started, is_alive};

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
    pub(crate) const CONT: Self = Self(18);
    pub(crate) const STOP: Self = Self(19);

    /// Its number on this machine.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl TryFrom<i32> for Signal {
    type Error = Error;

    fn try_from(number: i32) -> Result<Self> {
        if (1..=RTMAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Error::BadSignal(number.to_string()))
        }
    }
}

/// Reads `15`, `TERM`, `SIGTERM`, `rtmin+3` in any case, as Docker's `--signal` and an image's
/// `StopSignal` have it.
impl FromStr for Signal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::BadSignal(text.to_owned());
        let offset = |digits: &str| digits.parse::<u8>().ok().map(i32::from);
        if let Ok(number) = text.parse::<i32>() {
            return if (1..=RTMAX).contains(&number) { Ok(Self(number)) } else { Err(bad()) };
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = if let Some(rest) = name.strip_prefix("RTMIN") {
            RTMIN
                + if rest.is_empty() { 0 } else { rest.strip_prefix('+').and_then(offset).ok_or_else(bad)? }
        } else if let Some(rest) = name.strip_prefix("RTMAX") {
            RTMAX
                - if rest.is_empty() { 0 } else { rest.strip_prefix('-').and_then(offset).ok_or_else(bad)? }
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

/// Sends a signal to that very process, never to a later one of its number. Tells whether it lived.
pub(crate) fn send(process: Started, signal: Signal) -> Result<bool> {
    let Some(pidfd) = open(process)? else { return Ok(false) };
    let Some(named) = rustix::process::Signal::from_named_raw(signal.0) else {
        return send_unnamed(process, signal);
    };
    match rustix::process::pidfd_send_signal(&pidfd, named) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(Error::system("send a signal to the container", error)),
    }
}

/// The real-time signals, for which there is no safe call.
fn send_unnamed(process: Started, signal: Signal) -> Result<bool> {
    let status = Command::new("kill")
        .args(["-s", &signal.0.to_string(), &process.pid.to_string()])
        .status()
        .map_err(|error| Error::io("execute", "kill", error))?;
    Ok(status.success())
}

/// Waits until that process has ended, for `timeout` at most. Tells whether it has.
pub(crate) fn wait_for_end(process: Started, timeout: Option<Duration>) -> Result<bool> {
    let Some(pidfd) = open(process)? else { return Ok(true) };
    // An end that the clock cannot tell is none.
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left =
            left.map(|left| Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }));
        match rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], left.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::system("wait for the container", error)),
        }
    }
}

fn open(process: Started) -> Result<Option<OwnedFd>> {
    let Some(pid) = rustix::process::Pid::from_raw(process.pid) else { return Ok(None) };
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        // Asked after opening: if it lives, it is what was opened.
        Ok(pidfd) => Ok(is_alive(process).then_some(pidfd)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(Error::system("open the container's process", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_many_names() {
        let number = |text: &str| text.parse::<Signal>().map(Signal::number).ok();
        for text in ["15", "TERM", "SIGTERM", "term"] {
            assert_eq!(number(text), Some(15), "{text}");
        }
        assert_eq!(number("SIGRTMIN+3"), Some(37));
        assert_eq!(number("rtmax-1"), Some(63));
        for text in ["", "0", "65", "-1", "NOPE", "RTMIN+99"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn an_absurd_real_time_signal_is_none() {
        for text in ["RTMIN+2147483647", "RTMAX-2147483647", "RTMIN+-1", "RTMAX--2147483648", "RTMIN+255"] {
            assert!(text.parse::<Signal>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_wait_of_ages_ends_with_the_process() {
        let mut child = Command::new("sleep").arg("0.1").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let started = Started { pid, start_time: crate::state::process_start_time(pid).unwrap() };
        assert!(wait_for_end(started, Some(Duration::MAX)).unwrap());
        child.wait().unwrap();
    }
}
