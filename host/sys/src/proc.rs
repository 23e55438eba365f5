//! Processes: who is who, also after a process ID was used again.

use std::path::Path;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{Pid, Resource, Rlimit};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};

/// A process that cannot be mistaken for a later one with the same ID.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The process ID.
    pub pid: i32,
    /// When it was started, in clock ticks since the boot (proc_pid_stat(5), field 22).
    pub start: u64,
    /// The boot that this was.
    pub boot: String,
}

impl Identity {
    /// Who has this process ID now; none where nobody has, or only a zombie.
    pub fn of(pid: i32) -> Result<Option<Self>> {
        Ok(match start_time(pid)? {
            Some(start) => Some(Self { pid, start, boot: boot_id()? }),
            None => None,
        })
    }

    /// This process.
    pub fn own() -> Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Self::of(pid)?.ok_or_else(|| Error::io("read", "/proc/self/stat", std::io::ErrorKind::NotFound))
    }

    /// Whether it is still running. A zombie is not.
    pub fn is_alive(&self) -> Result<bool> {
        Ok(self.boot == boot_id()? && start_time(self.pid)? == Some(self.start))
    }
}

/// A name for the time since the machine was started, different for every boot.
pub fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(std::fs::read_to_string(path).on("read", path)?.trim().to_owned())
}

/// When a process was started, in clock ticks since the boot; none where it is gone or a zombie.
pub fn start_time(pid: i32) -> Result<Option<u64>> {
    let path = format!("/proc/{pid}/stat");
    match std::fs::read(&path) {
        Ok(stat) => Ok(parse_start_time(&stat)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ESRCH) => {
            Ok(None)
        }
        Err(e) => Err(Error::io("read", Path::new(&path), e)),
    }
}

/// The process's name is in parentheses and may hold anything, so fields are counted from the last one.
fn parse_start_time(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|b| *b == b')')? + 2;
    let mut fields = std::str::from_utf8(stat.get(after_name..)?).ok()?.split(' ');
    let state = fields.next()?;
    let start = fields.nth(18)?;
    if matches!(state, "Z" | "X") { None } else { start.parse().ok() }
}

/// How long the machine has been up, sleep included.
pub fn uptime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Become the parent of orphaned descendants.
pub fn set_child_subreaper() -> Result<()> {
    let own = Some(rustix::process::getpid());
    rustix::process::set_child_subreaper(own).on("become subreaper", "/proc/self")
}

/// Get a signal when the parent process dies. The parent may have died before the call: compare
/// `getppid` afterwards.
pub fn set_parent_death_signal(signal: rustix::process::Signal) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(signal)).on("set death signal", "/proc/self")
}

/// Have a program end with the thread that starts it, which must wait for it: what a killed process began would go on
/// beside whoever undoes it.
pub(crate) fn end_with_this_thread(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let signal = rustix::process::Signal::KILL;
    // SAFETY: the closure makes one system call, and allocates nothing.
    unsafe {
        command.pre_exec(move || Ok(rustix::process::set_parent_process_death_signal(Some(signal))?));
    }
}

/// A descriptor for a process, readable when it ends.
pub fn pidfd(pid: i32) -> Result<std::os::fd::OwnedFd> {
    let path = format!("/proc/{pid}");
    let pid = Pid::from_raw(pid).ok_or(rustix::io::Errno::SRCH).on("open process", &path)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).on("open process", path)
}

/// Set the permission bits that new files never get; returns those that it was before. It holds for the
/// whole process.
pub fn set_umask(mask: u32) -> u32 {
    rustix::process::umask(Mode::from_raw_mode(mask & 0o777)).as_raw_mode()
}

/// Raise the number of files that this process may have open to the most that it is allowed. A stack of
/// 400 layers takes as many.
pub fn raise_open_files() -> Result<u64> {
    let now = rustix::process::getrlimit(Resource::Nofile);
    let most = now.maximum;
    if now.current != most {
        rustix::process::setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })
            .on("raise open files", "/proc/self/limits")?;
    }
    Ok(most.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let stat = b"7 (a) R (b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        assert_eq!(parse_start_time(stat), Some(4711));
        let zombie = b"7 (a) Z 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        assert_eq!(parse_start_time(zombie), None);
    }

    #[test]
    fn this_process_is_alive_and_a_later_one_with_its_id_is_not_it() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive().unwrap());
        let later = Identity { start: own.start + 1, ..own.clone() };
        assert!(!later.is_alive().unwrap());
        let other_boot = Identity { boot: "x".into(), ..own };
        assert!(!other_boot.is_alive().unwrap());
    }

    #[test]
    fn a_child_that_was_not_waited_for_counts_as_dead() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let it = rustix::process::WaitId::Pid(Pid::from_raw(pid).unwrap());
        let seen = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(it, seen).unwrap();
        assert_eq!(Identity::of(pid).unwrap(), None);
        child.wait().unwrap();
    }
}
