//! One container, from start to removal.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::signal::Signal;
use crate::spec::{ContainerSpec, ProcessSpec};
use crate::state::{ExitStatus, Started, State};

/// A container by its ID. Holds no resource: it can be made anew at any time with [`crate::Runtime::container`].
#[derive(Debug, Clone)]
pub struct Container {
    id: String,
}

/// What a detached container needs beside its specification.
#[derive(Debug, Clone)]
pub struct DetachedOptions {
    /// Where the output goes, in the form of Docker's json-file driver ([`crate::logs`]).
    pub log: PathBuf,
    /// Handed to the end's callback as it is: what the caller needs there to find its container again.
    pub context: String,
}

/// The end of a detached container, as its monitor tells it to the callback of [`helper_main`].
#[derive(Debug, Clone)]
pub struct ExitInfo {
    /// The container.
    pub id: String,
    /// Its run directory.
    pub run_dir: PathBuf,
    /// How its first process ended.
    pub status: ExitStatus,
    /// As given with [`DetachedOptions::context`].
    pub context: String,
}

impl Container {
    /// Its ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Runs it and waits for its end. The process has the caller's standard output and error, with
    /// `interactive` its standard input, with `terminal` a pseudoterminal that is relayed to the caller's.
    /// Signals that this process gets meanwhile are forwarded. `started` is called once, when the
    /// program runs.
    ///
    /// This process becomes a child subreaper (prctl(2)).
    ///
    /// # Errors
    /// As [`Error::exit_code`] tells apart. Nothing runs then, and nothing is left behind.
    pub fn run_foreground(&self, spec: &ContainerSpec, started: impl FnOnce(Started)) -> Result<ExitStatus> {
        let _ = (spec, started);
        Err(self.missing())
    }

    /// Starts it under a monitor that outlives this process, logs the output, and calls the callback of
    /// [`helper_main`] at the end. Returns when the program runs.
    ///
    /// # Errors
    /// As [`Container::run_foreground`]; the callback is not called then.
    pub fn start_detached(&self, spec: &ContainerSpec, options: &DetachedOptions) -> Result<Started> {
        let _ = (spec, options);
        Err(self.missing())
    }

    /// Runs one more process in it and waits for its end, with standard streams and signals as
    /// [`Container::run_foreground`].
    ///
    /// # Errors
    /// [`Error::NotRunning`], and as [`Error::exit_code`] tells apart.
    pub fn exec(&self, process: &ProcessSpec) -> Result<ExitStatus> {
        let _ = process;
        Err(self.missing())
    }

    /// Sends a signal to its first process.
    ///
    /// # Errors
    /// [`Error::NotRunning`].
    pub fn kill(&self, signal: Signal) -> Result<()> {
        let _ = signal;
        Err(self.missing())
    }

    /// Asks it to end with `signal`, waits up to `timeout`, kills it then, and waits for its end. Does
    /// nothing when it has ended already.
    ///
    /// # Errors
    /// [`Error::WouldNotDie`].
    pub fn stop(&self, signal: Signal, timeout: Duration) -> Result<()> {
        let _ = (signal, timeout);
        Err(self.missing())
    }

    /// Whether it runs, told from the kernel and not from a record.
    ///
    /// # Errors
    /// When its record can't be read.
    pub fn state(&self) -> Result<State> {
        Err(self.missing())
    }

    /// Waits until its first process has ended, or until `timeout`. Tells whether it has ended.
    ///
    /// # Errors
    /// When its record can't be read.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        let _ = timeout;
        Err(self.missing())
    }

    /// Removes what the room keeps of it. With `force` it is killed first when it runs. Removing what is
    /// not there is no error.
    ///
    /// # Errors
    /// [`Error::AlreadyRunning`] without `force`.
    pub fn delete(&self, force: bool) -> Result<()> {
        let _ = force;
        Err(self.missing())
    }

    fn missing(&self) -> Error {
        Error::NotRunning { id: self.id.clone() }
    }
}

/// To be called first in `main`, before a thread is started or arguments are parsed.
///
/// When this process was started as a helper of this room (hidden first argument `__init`, `__exec` or
/// `__monitor`), it does that work and exits; otherwise it returns at once. `on_exit` is called in a
/// monitor after the container has ended: to mark it as exited, unmount, and with `--rm` remove it. The
/// room's own record ([`Container::state`]) says `Exited` by then.
pub fn helper_main(on_exit: impl FnOnce(&ExitInfo)) {
    let _ = on_exit;
}
