//! Which process, and is it still the same one.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// A process that can be told from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The process ID on the host.
    pub pid: i32,
    /// When the process started, in the kernel's clock ticks since boot (field 22 of `/proc/<pid>/stat`).
    pub start_time: u64,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// The process's exit code, or 128 + the signal's number.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// When its end was seen.
    pub at: SystemTime,
}

/// What is known of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing was started under this ID, or it was deleted.
    Absent,
    /// Its first process lives.
    Running(Started),
    /// Its first process has ended. `None` when nobody saw how, since the one who waited was killed.
    Exited(Option<ExitStatus>),
}

/// Whether that very process still lives. A zombie does not.
pub fn is_alive(started: Started) -> bool {
    process_start_time(started.pid) == Some(started.start_time)
}

/// Whether that very process is stopped, or has ended.
pub(crate) fn is_stopped(process: Started) -> bool {
    match stat(process.pid) {
        Some((state, start_time)) => start_time != process.start_time || "TtZX".contains(state),
        None => true,
    }
}

/// The start time of a living process, from `/proc/<pid>/stat` (proc(5)).
pub(crate) fn process_start_time(pid: i32) -> Option<u64> {
    match stat(pid)? {
        ('Z' | 'X', _) => None,
        (_, start_time) => Some(start_time),
    }
}

/// The same of a child, which may have ended and not been waited for.
pub(crate) fn child_start_time(pid: i32) -> Option<u64> {
    stat(pid).map(|(_, start_time)| start_time)
}

fn stat(pid: i32) -> Option<(char, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold spaces and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}
