//! A process that was just started, whichever runtime started it: a child of this process, by way of the
//! child subreaper, with its streams.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::error::{Error, Result};
use crate::state::{ExitStatus, Started, child_start_time};

/// A running process and this process's ends of its streams.
#[derive(Debug)]
pub(crate) struct Launched {
    pub started: Started,
    /// The terminal's master side. With one, the pipes carry nothing.
    pub terminal: Option<OwnedFd>,
    pub pipes: Pipes,
}

/// The ends to read from.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub stdout: PipeReader,
    pub stderr: PipeReader,
}

/// The ends to write to.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub stdout: PipeWriter,
    pub stderr: PipeWriter,
}

impl Pipes {
    pub(crate) fn new() -> Result<(Self, Outputs)> {
        let pipe = || std::io::pipe().map_err(|error| Error::system("make a pipe", error));
        let ((stdout, stdout_end), (stderr, stderr_end)) = (pipe()?, pipe()?);
        Ok((Self { stdout, stderr }, Outputs { stdout: stdout_end, stderr: stderr_end }))
    }
}

/// A child of this process, or one that is about to become it.
pub(crate) fn started(pid: i32) -> Result<Started> {
    let start_time = child_start_time(pid)
        .ok_or_else(|| Error::system("find the started process", std::io::Error::from(Errno::ESRCH)))?;
    Ok(Started { pid, start_time })
}

impl Launched {
    pub(crate) fn new(pid: i32, terminal: Option<OwnedFd>, pipes: Pipes) -> Result<Self> {
        Ok(Self { started: started(pid)?, terminal, pipes })
    }
}

/// Waits for a process that failed to become the program.
pub(crate) fn reap(pid: i32) {
    let _ = wait(pid);
}

/// Waits for a child's end.
pub(crate) fn wait(pid: i32) -> Result<ExitStatus> {
    loop {
        let (code, signal) = match waitpid(Pid::from_raw(pid), None) {
            Ok(WaitStatus::Exited(_, code)) => (code, None),
            Ok(WaitStatus::Signaled(_, signal, _)) => (128 + signal as i32, Some(signal as i32)),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(error) => return Err(Error::system("wait for the container", std::io::Error::from(error))),
        };
        return Ok(ExitStatus { code, signal, at: SystemTime::now() });
    }
}
