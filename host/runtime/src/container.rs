//! One container, from start to removal.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::attach;
use crate::builtin::{self, Entry, FirstStage, Place, SecondStage, Surroundings};
use crate::bundle::{Bundle, Record};
use crate::error::{Error, Result};
use crate::launch::{self, Launched};
use crate::monitor;
use crate::process::Process;
use crate::runtime::Runtime;
use crate::signal::{self, Signal};
use crate::spec::{ContainerSpec, Mount, ProcessSpec};
use crate::state::{ExitStatus, Started, State, is_alive};
use crate::terminal::Size;

/// How long a killed process may take to end, and a monitor to do its work after that.
const PATIENCE: Duration = Duration::from_secs(10);

/// A container by its ID. Holds no resource: it can be made anew at any time with [`Runtime::container`].
#[derive(Debug, Clone)]
pub struct Container {
    id: String,
    runtime: Runtime,
    bundle: Bundle,
}

/// What a detached container needs beside its specification.
#[derive(Debug, Clone)]
pub struct DetachedOptions {
    /// Where the output goes, in the form of Docker's json-file driver ([`crate::logs`]). Appended to.
    pub log: PathBuf,
    /// Handed to the end's callback as it is: what the caller needs there to find its container again.
    pub context: String,
}

impl Container {
    pub(crate) fn new(id: &str, runtime: Runtime) -> Self {
        let bundle = Bundle::new(runtime.run_dir(), id);
        Self { id: id.to_owned(), runtime, bundle }
    }

    /// Its ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Runs it and waits for its end. The process's output is copied to the caller's; with `interactive`
    /// it has the caller's standard input, with `terminal` a pseudoterminal that is relayed to the
    /// caller's. Signals that this process gets meanwhile are forwarded. `started` is called once, when
    /// the program runs.
    ///
    /// This process becomes a child subreaper (prctl(2)), and goes on to ignore the signals that were
    /// forwarded, so that they can't interrupt what follows the container's end.
    ///
    /// # Errors
    /// As [`Error::exit_code`] tells apart. Nothing runs then, and nothing is left behind.
    pub fn run_foreground(&self, spec: &ContainerSpec, started: impl FnOnce(Started)) -> Result<ExitStatus> {
        let stdin = attach::stdin(&spec.process)?;
        let signals = attach::catch_signals(spec.process.terminal)?;
        self.create()?;
        let launched = self.launch(spec, stdin, attach::caller_size(), false)?;
        let process = launched.started;
        started(process);
        let status = attach::foreground(launched, &spec.process, signals)?;
        self.ended(process, &status)?;
        Ok(status)
    }

    /// Starts it under a monitor that outlives this process, logs the output, and calls the callback of
    /// [`crate::helper_main`] at the end. Returns when the program runs.
    ///
    /// # Errors
    /// As [`Container::run_foreground`]; the callback is not called then.
    pub fn start_detached(&self, spec: &ContainerSpec, options: &DetachedOptions) -> Result<Started> {
        self.create()?;
        let started = monitor::start(self, spec, options);
        if started.is_err() {
            self.discard();
        }
        started
    }

    /// Runs one more process in it and waits for its end, with standard streams and signals as
    /// [`Container::run_foreground`].
    ///
    /// # Errors
    /// [`Error::NotRunning`], and as [`Error::exit_code`] tells apart.
    pub fn exec(&self, process: &ProcessSpec) -> Result<ExitStatus> {
        let record = self.running()?;
        let stdin = attach::stdin(process)?;
        let signals = attach::catch_signals(process.terminal)?;
        become_subreaper()?;
        let root = format!("/proc/{}/root", record.started.pid);
        let root = File::open(&root).map_err(|error| Error::io("open", root, error))?;
        let resolved = Process::resolve(process, &root, &record.hostname, attach::caller_size())?;
        if !is_alive(record.started) {
            return Err(self.not_running());
        }
        let launched = match self.runtime_of(&record).oci() {
            Some(oci) => oci.exec(&self.id, &self.bundle, &resolved, stdin)?,
            None => {
                let first =
                    FirstStage { bundle: self.bundle.dir().to_owned(), place: Place::Of(record.started) };
                let second = SecondStage { process: resolved, entry: Entry::Join(record.started) };
                builtin::launch(self.runtime.helper(), &first, &second, stdin, &|_| Ok(()))?
            }
        };
        attach::foreground(launched, process, signals)
    }

    /// Sends a signal to its first process.
    ///
    /// # Errors
    /// [`Error::NotRunning`].
    pub fn kill(&self, signal: Signal) -> Result<()> {
        let record = self.running()?;
        match signal::send(record.started, signal) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.not_running()),
            Err(error) => Err(error),
        }
    }

    /// Asks it to end with `signal`, waits up to `timeout`, kills it then, and waits for its end and for
    /// the callback's. Does nothing when it has ended already.
    ///
    /// # Errors
    /// [`Error::WouldNotDie`].
    pub fn stop(&self, signal: Signal, timeout: Duration) -> Result<()> {
        let Some(record) = self.bundle.record()? else { return Ok(()) };
        if signal::send(record.started, signal)? && !signal::wait_for_end(record.started, Some(timeout))? {
            self.kill_and_wait(&record)?;
        }
        wait_for_monitor(&record)
    }

    /// Whether it runs, told from the kernel and not from a record.
    ///
    /// # Errors
    /// When its record can't be read.
    pub fn state(&self) -> Result<State> {
        let Some(record) = self.bundle.record()? else { return Ok(State::Absent) };
        if is_alive(record.started) {
            return Ok(State::Running(record.started));
        }
        self.end_of(&record, Duration::from_secs(2)).map(State::Exited)
    }

    /// Waits until its first process has ended and the callback has returned, or until `timeout`. Tells
    /// whether the process has ended.
    ///
    /// # Errors
    /// When its record can't be read.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        let Some(record) = self.bundle.record()? else { return Ok(true) };
        let ended = signal::wait_for_end(record.started, timeout)?;
        if ended {
            wait_for_monitor(&record)?;
        }
        Ok(ended)
    }

    /// Removes what the room keeps of it. With `force` it is killed first when it runs. Removing what is
    /// not there is no error. The end's callback may come later: whoever deletes may hold what it waits for.
    ///
    /// # Errors
    /// [`Error::AlreadyRunning`] without `force`.
    pub fn delete(&self, force: bool) -> Result<()> {
        let record = self.bundle.record()?;
        if let Some(record) = &record {
            if is_alive(record.started) {
                if !force {
                    return Err(Error::AlreadyRunning { id: self.id.clone() });
                }
                self.kill_and_wait(record)?;
            }
            self.end_of(record, PATIENCE)?;
        }
        self.resume()?;
        let runtime = record.map_or_else(|| self.runtime.clone(), |record| self.runtime_of(&record));
        if let Some(oci) = runtime.oci() {
            oci.delete(&self.id)?;
        }
        self.bundle.remove()
    }

    pub(crate) fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn create(&self) -> Result<()> {
        if matches!(self.state()?, State::Running(_)) {
            return Err(Error::AlreadyRunning { id: self.id.clone() });
        }
        self.delete(false)?;
        self.bundle.create()
    }

    /// Starts the first process as a child of this process, and records it.
    pub(crate) fn launch(
        &self,
        spec: &ContainerSpec,
        stdin: OwnedFd,
        size: Option<Size>,
        detached: bool,
    ) -> Result<Launched> {
        let hostname = match spec.hostname.as_str() {
            "" => self.id.chars().take(12).collect(),
            given => given.to_owned(),
        };
        let monitor = launch::started(std::process::id() as i32).ok();
        let record = |started| {
            let (runtime, hostname) = (self.runtime.name().to_owned(), hostname.clone());
            self.bundle.set_record(&Record { runtime, hostname, started, monitor, detached })
        };
        let launched =
            become_subreaper().and_then(|()| self.launch_as(spec, &hostname, stdin, size, &record));
        if launched.is_err() {
            self.discard();
        }
        launched
    }

    fn launch_as(
        &self,
        spec: &ContainerSpec,
        hostname: &str,
        stdin: OwnedFd,
        size: Option<Size>,
        record: &dyn Fn(Started) -> Result<()>,
    ) -> Result<Launched> {
        let rootfs = spec.rootfs.canonicalize().map_err(|error| Error::io("find", &spec.rootfs, error))?;
        let root = File::open(&rootfs).map_err(|error| Error::io("open", &rootfs, error))?;
        let process = Process::resolve(&spec.process, root.as_fd(), hostname, size)?;
        let spec = ContainerSpec { rootfs, ..spec.clone() };
        spec.mounts.iter().try_for_each(Mount::check)?;
        self.bundle.write_etc(&spec, hostname)?;
        if let Some(oci) = self.runtime.oci() {
            // Until it is recorded, the runtime's own state tells of it.
            let launched = oci.run(&self.id, &self.bundle, &spec, hostname, &process, stdin)?;
            return record(launched.started).map(|()| launched);
        }
        let (first, second) = self.stages(spec, hostname, process);
        builtin::launch(self.runtime.helper(), &first, &second, stdin, record)
    }

    fn stages(&self, spec: ContainerSpec, hostname: &str, process: Process) -> (FirstStage, SecondStage) {
        let bundle = self.bundle.dir().to_owned();
        let first = FirstStage { bundle: bundle.clone(), place: Place::New { network: spec.network } };
        let surroundings = Surroundings {
            rootfs: spec.rootfs,
            bundle,
            hostname: hostname.to_owned(),
            network: spec.network,
            read_only: spec.read_only,
            mounts: spec.mounts,
        };
        (first, SecondStage { process, entry: Entry::Make(Box::new(surroundings)) })
    }

    /// Makes the runtime forget it, and records how it ended. In this order: from then on it may be started
    /// again. Does nothing when it was deleted meanwhile, by force.
    pub(crate) fn ended(&self, started: Started, status: &ExitStatus) -> Result<()> {
        if self.bundle.record()?.is_none_or(|record| record.started != started) {
            return Ok(());
        }
        let forgotten = self.runtime.oci().map_or(Ok(()), |oci| oci.delete(&self.id));
        self.bundle.set_exit_status(status)?;
        forgotten
    }

    /// How it ended, once whoever waited for it has written that, is gone, or took longer than `patience`.
    fn end_of(&self, record: &Record, patience: Duration) -> Result<Option<ExitStatus>> {
        let until = Instant::now() + patience;
        loop {
            let status = self.bundle.exit_status()?;
            let awaited = record.monitor.is_some_and(|monitor| !is_own(monitor) && is_alive(monitor));
            if status.is_some() {
                return Ok(status);
            }
            if !awaited || Instant::now() > until {
                // Read again: it may have been written before the monitor ended.
                return self.bundle.exit_status();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// After a failed start. What can't be removed now is removed by the next start or `delete`.
    fn discard(&self) {
        if let Err(error) = self.delete(true) {
            tracing::warn!(container = self.id, %error, "what is left of a failed start could not be removed");
        }
    }

    fn running(&self) -> Result<Record> {
        let record = self.bundle.record()?.filter(|record| is_alive(record.started));
        record.ok_or_else(|| self.not_running())
    }

    pub(crate) fn runtime_of(&self, record: &Record) -> Runtime {
        let (run_dir, helper) = (self.runtime.run_dir().to_owned(), self.runtime.helper().to_owned());
        Runtime::known(run_dir, record.runtime.clone(), helper)
    }

    fn kill_and_wait(&self, record: &Record) -> Result<()> {
        let lived = signal::send(record.started, Signal::KILL)?;
        // What is frozen does not even end.
        self.resume()?;
        if lived && !signal::wait_for_end(record.started, Some(PATIENCE))? {
            return Err(Error::WouldNotDie { id: self.id.clone(), seconds: PATIENCE.as_secs() });
        }
        Ok(())
    }

    fn not_running(&self) -> Error {
        Error::NotRunning { id: self.id.clone() }
    }
}

/// Waits until the monitor has done its work after the container's end. Not in the monitor itself, whose
/// callback may well get here.
fn wait_for_monitor(record: &Record) -> Result<()> {
    match record.monitor {
        Some(monitor) if record.detached && !is_own(monitor) => {
            signal::wait_for_end(monitor, Some(PATIENCE)).map(drop)
        }
        _ => Ok(()),
    }
}

fn is_own(process: Started) -> bool {
    process.pid == std::process::id() as i32
}

fn become_subreaper() -> Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| Error::system("become a child subreaper", error))
}
