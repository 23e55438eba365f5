//! Which process, and is it still the same one.

use std::path::Path;
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
        Some((_, start_time)) if start_time == process.start_time => {
            thread_states(process.pid).iter().all(|state| "TtZX".contains(*state))
        }
        _ => true,
    }
}

/// Whether a thread of it waits for what no signal ends: a disk, or the child of a vfork(2).
pub(crate) fn is_waiting(process: Started) -> bool {
    thread_states(process.pid).contains(&'D')
}

fn thread_states(pid: i32) -> Vec<char> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let stat_files = threads.flatten().map(|thread| thread.path().join("stat"));
    stat_files.filter_map(|file| stat_in(&file)).map(|(state, _)| state).collect()
}

/// The start time of a living process, from `/proc/<pid>/stat` (proc(5)).
pub(crate) fn process_start_time(pid: i32) -> Option<u64> {
    let (state, start_time) = stat(pid)?;
    let has_ended = |state: char| matches!(state, 'Z' | 'X');
    // The first thread may end before the others.
    let lives = !has_ended(state) || thread_states(pid).into_iter().any(|state| !has_ended(state));
    lives.then_some(start_time)
}

/// The same of a child, which may have ended and not been waited for.
pub(crate) fn child_start_time(pid: i32) -> Option<u64> {
    stat(pid).map(|(_, start_time)| start_time)
}

fn stat(pid: i32) -> Option<(char, u64)> {
    stat_in(Path::new(&format!("/proc/{pid}/stat")))
}

fn stat_in(file: &Path) -> Option<(char, u64)> {
    let stat = std::fs::read_to_string(file).ok()?;
    // The second field is the program's name in parentheses, and may hold spaces and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}
