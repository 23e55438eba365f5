//! The process that a detached container leaves behind: it waits, logs, and tells the engine of the end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::attach;
use crate::bundle::{read_json, write_json};
use crate::container::{Container, DetachedOptions};
use crate::error::{Error, Failure, Result};
use crate::launch::Launched;
use crate::logs::{LogWriter, Stream};
use crate::runtime::Runtime;
use crate::spec::ContainerSpec;
use crate::state::{ExitStatus, Started};

/// The hidden argument, followed by the path of the job.
pub(crate) const ARGUMENT: &str = "__monitor";

/// The end of a detached container, as its monitor tells it to the callback of [`crate::helper_main`].
#[derive(Debug, Clone)]
pub struct ExitInfo {
    /// The container.
    pub id: String,
    /// Its run directory.
    pub run_dir: PathBuf,
    /// Which process that was: the container may have been started again since.
    pub started: Started,
    /// How its first process ended.
    pub status: ExitStatus,
    /// As given with [`DetachedOptions::context`].
    pub context: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Job {
    id: String,
    run_dir: PathBuf,
    runtime: String,
    helper: PathBuf,
    spec: ContainerSpec,
    log: PathBuf,
    context: String,
}

/// What the monitor tells the command, as the only thing on its standard output.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Started(Started),
    Failed(Failure),
}

/// Starts a monitor and waits for its answer.
pub(crate) fn start(
    container: &Container,
    spec: &ContainerSpec,
    options: &DetachedOptions,
) -> Result<Started> {
    let runtime = container.runtime();
    // The monitor works in another directory.
    let absolute = |path: &Path| std::path::absolute(path).map_err(|error| Error::io("find", path, error));
    let job = Job {
        id: container.id().to_owned(),
        run_dir: runtime.run_dir().to_owned(),
        runtime: runtime.name().to_owned(),
        helper: runtime.helper().to_owned(),
        spec: ContainerSpec { rootfs: absolute(&spec.rootfs)?, ..spec.clone() },
        log: absolute(&options.log)?,
        context: options.context.clone(),
    };
    let path = container.bundle().file("monitor.json");
    write_json(&path, &job)?;
    let messages = container.bundle().file("monitor.log");
    let log = File::create(&messages).map_err(|error| Error::io("create", &messages, error))?;
    let mut monitor = Command::new(runtime.helper())
        .arg(ARGUMENT)
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| Error::io("execute the monitor", runtime.helper(), error))?;
    let mut text = String::new();
    if let Some(mut answer) = monitor.stdout.take() {
        answer
            .read_to_string(&mut text)
            .map_err(|error| Error::system("read the monitor's answer", error))?;
    }
    // It is waited for only in a caller that lives as long: the thread ends with the process.
    thread::spawn(move || monitor.wait());
    match serde_json::from_str(&text) {
        Ok(Answer::Started(started)) => Ok(started),
        Ok(Answer::Failed(failure)) => Err(failure.into()),
        Err(_) => {
            let message = std::fs::read_to_string(&messages).unwrap_or_default();
            Err(Error::Monitor { id: job.id, message: message.trim().to_owned() })
        }
    }
}

/// The monitor's `main`.
pub(crate) fn main(job: &Path, on_exit: impl FnOnce(&ExitInfo)) -> ! {
    // Errors have nowhere to go but the log that is the standard error.
    let code = match monitor(job) {
        Ok(Some(exit)) => {
            on_exit(&exit);
            0
        }
        Ok(None) => 125,
        Err(error) => {
            eprintln!("{error}");
            125
        }
    };
    std::process::exit(code)
}

/// `None` when the container did not start, of which the command was told.
fn monitor(path: &Path) -> Result<Option<ExitInfo>> {
    rustix::process::setsid().map_err(|error| Error::system("leave the session", error))?;
    std::env::set_current_dir("/").map_err(|error| Error::io("change to", "/", error))?;
    let job: Job =
        read_json(path)?.ok_or_else(|| Error::io("read", path, io::Error::from(io::ErrorKind::NotFound)))?;
    let runtime = Runtime::known(job.run_dir.clone(), job.runtime.clone(), job.helper.clone());
    let container = runtime.container(&job.id)?;
    let (launched, log) = match begin(&container, &job) {
        Ok(begun) => begun,
        Err(error) => {
            answer(&Answer::Failed(error.into()))?;
            return Ok(None);
        }
    };
    answer(&Answer::Started(launched.started))?;
    let started = launched.started;
    let status = follow(launched, &log)?;
    if let Err(error) = container.ended(started, &status) {
        eprintln!("{error}");
    }
    Ok(Some(ExitInfo { id: job.id, run_dir: job.run_dir, started, status, context: job.context }))
}

fn begin(container: &Container, job: &Job) -> Result<(Launched, Arc<LogWriter>)> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&job.log)
        .map_err(|error| Error::io("open the log", &job.log, error))?;
    let launched = container.launch(&job.spec, attach::empty_input()?, None, true)?;
    Ok((launched, Arc::new(LogWriter::new(file))))
}

/// Tells the command, which reads to the end, and closes the line to it.
fn answer(answer: &Answer) -> Result<()> {
    let failed = |error: io::Error| Error::system("answer the command", error);
    let bytes = serde_json::to_vec(answer).map_err(|error| failed(error.into()))?;
    // When the command was killed meanwhile, the container goes on all the same.
    let _ = io::stdout().write_all(&bytes).and_then(|()| io::stdout().flush());
    let null = OpenOptions::new().write(true).open("/dev/null").map_err(failed)?;
    rustix::stdio::dup2_stdout(null).map_err(|error| failed(error.into()))
}

fn follow(launched: Launched, log: &Arc<LogWriter>) -> Result<ExitStatus> {
    let started = launched.started;
    let mut inputs = Vec::new();
    let pipes = launched.pipes;
    match launched.terminal {
        Some(terminal) => inputs.push((File::from(terminal), Stream::Stdout)),
        None => inputs.push((File::from(OwnedFd::from(pipes.stdout)), Stream::Stdout)),
    }
    inputs.push((File::from(OwnedFd::from(pipes.stderr)), Stream::Stderr));
    let threads: Vec<_> = inputs
        .into_iter()
        .map(|(input, stream)| {
            let log = log.clone();
            thread::spawn(move || {
                if let Err(error) = log.copy(input, stream) {
                    eprintln!("the log: {error}");
                }
            })
        })
        .collect();
    let status = crate::launch::wait(started.pid);
    for thread in threads {
        let _ = thread.join();
    }
    status
}
