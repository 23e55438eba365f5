//! The built-in runner: namespaces, a new root, and the process, without another program.
//!
//! The command starts this program again as a helper ([`init::main`], [`exec::main`]). Its first stage
//! makes or enters the process ID namespace, starts the second stage in it and exits; the second stage
//! sets all else up and becomes the process. Both have a socket as standard input, over which they get
//! what to do and the process's streams, and tell how far they came. It is closed when the process is
//! executed.

mod credentials;
pub(crate) mod exec;
mod execute;
pub(crate) mod init;
mod loopback;
mod rootfs;
mod stage;

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Failure, Result};
use crate::launch::{Launched, Pipes, started};
use crate::link;
use crate::process::Process;
use crate::spec::{Mount, Network};
use crate::state::Started;

/// What the first stage is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FirstStage {
    /// The directory for the mount that the second stage is executed from.
    pub bundle: PathBuf,
    /// Where the new process goes.
    pub place: Place,
}

/// The namespaces of the new process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Place {
    /// New ones.
    New { network: Network },
    /// Those of a running process.
    Of(Started),
}

/// What the second stage is told. It comes in a file descriptor, since it may be large.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SecondStage {
    pub process: Process,
    pub entry: Entry,
}

/// How the second stage gets into the container.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// It makes the container.
    Make(Box<Surroundings>),
    /// It joins a running one.
    Join(Started),
}

/// What is around the first process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Surroundings {
    pub rootfs: PathBuf,
    pub bundle: PathBuf,
    pub hostname: String,
    pub network: Network,
    pub read_only: bool,
    pub mounts: Vec<Mount>,
}

/// What the stages tell.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The second stage was started, under this ID on the host.
    Pid(i32),
    /// The process's terminal, as a file descriptor.
    Terminal,
    /// All is set up; the program is executed when the command says so.
    Ready,
    Failed(Failure),
}

/// Starts a process with the helper program `helper`. `record` is called just before the program is
/// executed: it is not when that fails, nor when this process is killed before.
pub(crate) fn launch(
    helper: &Path,
    first: &FirstStage,
    second: &SecondStage,
    stdin: OwnedFd,
    record: &dyn Fn(Started) -> Result<()>,
) -> Result<Launched> {
    let (ours, theirs) = link::pair().map_err(|error| Error::system("make a socket pair", error))?;
    let job = job_file(second)?;
    let (pipes, outputs) = Pipes::new()?;
    let mut command = Command::new(helper);
    command.arg(if matches!(first.place, Place::New { .. }) { init::ARGUMENT } else { exec::ARGUMENT });
    // A group of its own: the terminal's Ctrl-C is for the process, by way of the command.
    command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).process_group(0);
    let mut first_stage = command.spawn().map_err(|error| Error::io("execute the helper", helper, error))?;
    drop(command);
    let fds: Vec<BorrowedFd<'_>> =
        vec![job.as_fd(), stdin.as_fd(), outputs.stdout.as_fd(), outputs.stderr.as_fd()];
    let sent = link::send(&ours, first, &[]).and_then(|()| link::send(&ours, &(), &fds));
    drop((stdin, outputs));
    let outcome = match sent {
        Ok(()) => follow(&ours, record),
        Err(error) => {
            let failure = Failure::Other(format!("the helper ended: {error}"));
            Outcome { failure: Some(failure), ..Outcome::default() }
        }
    };
    // A second stage that still waits ends.
    drop(ours);
    // The first stage exits at once, and the second becomes this process's child.
    let _ = first_stage.wait();
    outcome.into_launched(pipes)
}

fn job_file(second: &SecondStage) -> Result<OwnedFd> {
    let failed = |error: std::io::Error| Error::system("write the helper's instructions", error);
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let file = rustix::fs::memfd_create("nacre-job", flags).map_err(|error| failed(error.into()))?;
    let mut file = std::fs::File::from(file);
    let bytes = serde_json::to_vec(second).map_err(|error| failed(error.into()))?;
    file.write_all(&bytes).map_err(failed)?;
    Ok(file.into())
}

#[derive(Default)]
struct Outcome {
    pid: Option<i32>,
    terminal: Option<OwnedFd>,
    ready: bool,
    failure: Option<Failure>,
}

/// Reads what the stages tell until both have closed their end. The second waits to be released.
fn follow(link: impl AsFd, record: &dyn Fn(Started) -> Result<()>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut released = false;
    loop {
        match link::receive::<Report>(&link) {
            Ok(Some((Report::Pid(pid), _))) => outcome.pid = Some(pid),
            Ok(Some((Report::Terminal, fds))) => outcome.terminal = fds.into_iter().next(),
            Ok(Some((Report::Ready, _))) => outcome.ready = true,
            Ok(Some((Report::Failed(failure), _))) => outcome.failure = Some(failure),
            Ok(None) => return outcome,
            Err(error) => {
                outcome.failure.get_or_insert(Failure::Other(format!("the helper ended: {error}")));
                return outcome;
            }
        }
        // The two stages' messages come in either order.
        if let (Some(pid), true, false) = (outcome.pid, outcome.ready, released) {
            released = true;
            if let Err(error) = release(&link, pid, record) {
                outcome.failure = Some(error.into());
                return outcome;
            }
        }
    }
}

fn release(link: impl AsFd, pid: i32, record: &dyn Fn(Started) -> Result<()>) -> Result<()> {
    record(started(pid)?)?;
    link::send(link, &(), &[]).map_err(|error| Error::system("release the helper", error))
}

impl Outcome {
    fn into_launched(self, pipes: Pipes) -> Result<Launched> {
        let failure = match (self.failure, self.pid, self.ready) {
            (None, Some(pid), true) => return Launched::new(pid, self.terminal, pipes),
            (Some(failure), ..) => failure,
            _ => Failure::Other("the helper ended before it executed the program".into()),
        };
        if let Some(pid) = self.pid {
            crate::launch::reap(pid);
        }
        Err(failure.into())
    }
}
