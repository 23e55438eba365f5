//! Containers' processes: started, entered, stopped, and cleaned up after.

use std::path::PathBuf;
use std::time::Duration;

use nacre_runtime::{
    Container as Handle, ContainerSpec, DetachedOptions, Network, ProcessSpec, Runtime, Signal,
};
use nacre_store::locks::Lock;
use nacre_store::{Container, ContainerId};
use serde_json::json;

use crate::config::ContainerConfig;
use crate::mount::run_holder;
use crate::{Engine, Error, crash, event};

/// How long a process may take to end by itself when it is asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A container whose processes stand still until this is dropped. Whoever has the container's lock may hold them.
#[derive(Debug)]
pub(crate) struct Still {
    held: Option<Handle>,
    _lock: Lock,
}

impl Drop for Still {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.held.take().map(|handle| handle.resume()) {
            tracing::warn!(%error, "the container still stands still; the next command tries again to let it go on");
        }
    }
}

/// A further process in a running container.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `NAME=value`, or `NAME` to take the caller's, on top of the container's.
    pub env: Vec<String>,
    /// The working directory; none takes the container's.
    pub workdir: Option<String>,
    /// `user[:group]`; none takes the container's.
    pub user: Option<String>,
    /// A terminal is allocated.
    pub tty: bool,
    /// Standard input is passed on.
    pub interactive: bool,
}

impl Engine {
    /// Start a container on this process's standard streams, and wait for its end: the process's exit code.
    pub fn start_foreground(&self, container: &str) -> Result<i32, Error> {
        let mut fields = serde_json::Value::Null;
        self.announce(&event::CONTAINER_START, || {
            fields = self.told_of(container);
            fields.clone()
        })?;
        let code = self.start_foreground_unheard(container, &fields)?;
        let is_gone =
            fields.get("id").and_then(|id| id.as_str()).is_some_and(|id| self.find_container(id).is_err());
        self.tell(&event::CONTAINER_EXITED, || event::with(fields.clone(), json!({ "exit_code": code })));
        if is_gone {
            self.tell(&event::CONTAINER_REMOVED, || fields);
        }
        self.tell_low_space();
        Ok(code)
    }

    fn start_foreground_unheard(&self, container: &str, fields: &serde_json::Value) -> Result<i32, Error> {
        let (container, lock) = self.startable(container)?;
        if self.config.explain {
            return self.explain_mount(&container).map(|()| 0);
        }
        let (handle, spec) = self.prepare_start(&container)?;
        let (mut lock, mut recorded) = (Some(lock), None);
        let outcome = handle.run_foreground(&spec, |started| {
            crash::in_start("launched");
            let noted = self.note_started(&container, started);
            if noted.is_ok() {
                crash::in_start("recorded");
                lock = None;
                self.tell(&event::CONTAINER_STARTED, || fields.clone());
            } else if let Err(error) = handle.kill(Signal::KILL) {
                tracing::warn!(container = container.name, %error, "it cannot be killed");
            }
            recorded = Some(noted);
        });
        // While the process ran, others could stop or remove the container.
        let _lock = match lock {
            Some(lock) => lock,
            None => self.store.lock_container(&container.id)?,
        };
        match (outcome, recorded) {
            (_, Some(Err(error))) => Err(self.start_failed(&container, error)),
            (Err(error), None) => Err(self.start_failed(&container, error.into())),
            (Err(error), Some(Ok(_))) => {
                self.settle_now(&container)?;
                Err(error.into())
            }
            (Ok(status), process) => {
                let process = process.transpose()?;
                self.note_exit(&container, process.as_ref(), status.code, None)?;
                Ok(status.code)
            }
        }
    }

    /// Start a container in the background. Its output goes to [`Engine::log_file`].
    pub fn start_detached(&self, container: &str) -> Result<(), Error> {
        self.observed(
            [&event::CONTAINER_START, &event::CONTAINER_STARTED],
            || self.told_of(container),
            || self.start_detached_unheard(container),
            event::nothing_more,
        )
    }

    fn start_detached_unheard(&self, container: &str) -> Result<(), Error> {
        let (container, _lock) = self.startable(container)?;
        if self.config.explain {
            return self.explain_mount(&container);
        }
        let folder = self.container_dir(&container);
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("make directory", &folder, e))?;
        let options = DetachedOptions { log: self.log_path(&container), context: self.monitor_context()? };
        let (handle, spec) = self.prepare_start(&container)?;
        let started = match handle.start_detached(&spec, &options) {
            Ok(started) => started,
            Err(error) => return Err(self.start_failed(&container, error.into())),
        };
        crash::in_start("launched");
        if let Err(error) = self.note_started(&container, started) {
            handle.delete(true)?;
            return Err(self.start_failed(&container, error));
        }
        crash::in_start("recorded");
        Ok(())
    }

    /// Have a container's tree mounted for a new process, and nothing left of an earlier one.
    fn prepare_start(&self, container: &Container) -> Result<(Handle, ContainerSpec), Error> {
        let config = ContainerConfig::of(container)?;
        let handle = self.handle(container)?;
        handle.delete(false)?;
        let rootfs = self.hold_mount(container, &run_holder(container))?;
        crash::in_start("mounted");
        Ok((handle, spec(&config, rootfs)))
    }

    /// Run one more process in a running container, and wait for its end: its exit code.
    pub fn exec(&self, container: &str, options: &ExecOptions) -> Result<i32, Error> {
        self.refuse_to_explain("a further process")?;
        self.observed(
            [&event::CONTAINER_EXEC, &event::CONTAINER_EXECUTED],
            || event::with(self.told_of(container), json!({ "command": options.command })),
            || self.exec_unheard(container, options),
            |code| json!({ "exit_code": code }),
        )
    }

    fn exec_unheard(&self, container: &str, options: &ExecOptions) -> Result<i32, Error> {
        let container = self.running(container)?;
        let config = ContainerConfig::of(&container)?;
        let process = ProcessSpec {
            args: options.command.clone(),
            env: crate::config::environment(&config.env, &options.env),
            cwd: options.workdir.clone().unwrap_or(config.workdir),
            user: options.user.clone().unwrap_or(config.user),
            terminal: options.tty,
            interactive: options.interactive,
        };
        Ok(self.handle(&container)?.exec(&process)?.code)
    }

    /// Ask a container's process to end, and kill it after `timeout` seconds (10). Without a process it is no
    /// error, and does nothing.
    pub fn stop(&self, container: &str, timeout: Option<u64>) -> Result<(), Error> {
        self.observed(
            [&event::CONTAINER_STOP, &event::CONTAINER_STOPPED],
            || self.told_of(container),
            || self.stop_unheard(container, timeout),
            event::nothing_more,
        )
    }

    fn stop_unheard(&self, container: &str, timeout: Option<u64>) -> Result<(), Error> {
        self.make_room();
        let container = self.find_container(container)?;
        if self.config.explain {
            // Its end lets its tree go.
            return self.release_mount(&container, &run_holder(&container));
        }
        if let nacre_runtime::State::Running(_) = self.process_state(&container)? {
            let signal = stop_signal(&container)?;
            self.handle(&container)?.stop(signal, timeout.map_or(STOP_TIMEOUT, Duration::from_secs))?;
        }
        let _lock = self.store.lock_container(&container.id)?;
        self.settle_now(&container)
    }

    /// Send a signal, by name or number, to a container's process.
    pub fn kill(&self, container: &str, signal: &str) -> Result<(), Error> {
        self.refuse_to_explain("a signal")?;
        self.observed(
            [&event::CONTAINER_KILL, &event::CONTAINER_KILLED],
            || event::with(self.told_of(container), json!({ "signal": signal })),
            || {
                let container = self.running(container)?;
                Ok(self.handle(&container)?.kill(signal.parse()?)?)
            },
            event::nothing_more,
        )
    }

    /// Whether a container's process is alive.
    pub fn is_running(&self, container: &str) -> Result<bool, Error> {
        let container = self.find_container(container)?;
        Ok(matches!(self.process_state(&container)?, nacre_runtime::State::Running(_)))
    }

    /// Where the output of a container that was started in the background is kept, in the form of Docker's
    /// json-file driver. It is not there before the first such start.
    pub fn log_file(&self, container: &str) -> Result<PathBuf, Error> {
        Ok(self.log_path(&self.find_container(container)?))
    }

    /// End a container's process, whatever it takes, and wait until its monitor has done its work, for which
    /// that needs the container's lock.
    pub(crate) fn end_process(&self, container: &Container) -> Result<(), Error> {
        if self.has_run(container) {
            self.handle(container)?.stop(Signal::KILL, Duration::ZERO)?;
        }
        Ok(())
    }

    /// Remove what the runtime and the log keep of a container that is gone.
    pub(crate) fn forget_process(&self, container: &Container) -> Result<(), Error> {
        self.forget_process_of(&container.id)
    }

    fn forget_process_of(&self, id: &ContainerId) -> Result<(), Error> {
        if Runtime::knows(&self.runtime_dir(), id.as_str()) {
            self.runtime()?.container(id.as_str())?.delete(true)?;
        }
        let folder = self.containers_dir().join(id.as_str());
        match std::fs::remove_dir_all(&folder) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(Error::io("remove", folder, e)),
        }
    }

    /// The containers of which something is kept and that no record has: whoever removed them was killed before
    /// the end. With `remove` that goes too.
    pub(crate) fn forgotten_processes(&self, remove: bool) -> Result<Vec<ContainerId>, Error> {
        let dir = self.containers_dir();
        let mut names = Runtime::all_known(&self.runtime_dir())?;
        match std::fs::read_dir(&dir) {
            Ok(logs) => {
                names.extend(logs.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("list", dir, e)),
        }
        names.sort();
        names.dedup();
        let mut forgotten = Vec::new();
        for id in names.iter().filter_map(|name| name.parse::<ContainerId>().ok()) {
            // Who removes it right now has its lock.
            let Some(_lock) = self.store.try_lock_container(&id)? else { continue };
            if self.store.read(|view| view.container(&id))?.is_some() {
                continue;
            }
            if remove {
                self.forget_process_of(&id)?;
            }
            forgotten.push(id);
        }
        Ok(forgotten)
    }

    /// Hold a container's processes still, if it has any.
    pub(crate) fn hold_still(&self, container: &Container) -> Result<Still, Error> {
        let lock = self.store.lock_container(&container.id)?;
        let mut still = Still { held: None, _lock: lock };
        if self.has_run(container) {
            let handle = self.handle(container)?;
            if handle.pause()? {
                still.held = Some(handle);
                crash::in_pause("held");
            }
        }
        Ok(still)
    }

    /// Let go on what a command that was killed held still: nobody has its lock. Costs a look at a directory.
    pub(crate) fn recover_still(&self) -> Result<(), Error> {
        for name in Runtime::paused(&self.runtime_dir())? {
            if let Err(error) = self.let_go_on(&name) {
                tracing::warn!(container = name, %error, "it stands still; the next command tries again to let it go on");
            }
        }
        Ok(())
    }

    fn let_go_on(&self, name: &str) -> Result<(), Error> {
        if let Some(_lock) = self.store.try_lock_container(&name.parse()?)? {
            self.runtime()?.container(name)?.resume()?;
        }
        Ok(())
    }

    /// What the runtime knows of a container's process, whatever is recorded.
    pub(crate) fn process_state(&self, container: &Container) -> Result<nacre_runtime::State, Error> {
        if !self.has_run(container) {
            return Ok(nacre_runtime::State::Absent);
        }
        Ok(self.handle(container)?.state()?)
    }

    fn running(&self, name: &str) -> Result<Container, Error> {
        let container = self.find_container(name)?;
        match self.process_state(&container)? {
            nacre_runtime::State::Running(_) => Ok(container),
            _ => Err(Error::Conflict {
                what: format!("container {} is not running", container.name),
                help: format!("start it with `nacre start {}`", container.name),
            }),
        }
    }

    /// A container that does not run, and the lock that keeps others from starting it.
    fn startable(&self, name: &str) -> Result<(Container, Lock), Error> {
        let id = self.find_container(name)?.id;
        let lock = self.store.lock_container(&id)?;
        if !self.config.explain {
            self.settle_now(&self.find_container(id.as_str())?)?;
        }
        let container = self.find_container(id.as_str())?;
        if let nacre_runtime::State::Running(_) = self.process_state(&container)? {
            return Err(Error::Conflict {
                what: format!("container {} is running already", container.name),
                help: format!("run a further process in it with `nacre exec {} …`", container.name),
            });
        }
        Ok((container, lock))
    }

    /// What runs processes here, or why nothing does.
    pub(crate) fn runtime_name(&self) -> String {
        self.runtime().map_or_else(|error| format!("none: {error}"), |runtime| runtime.name().to_owned())
    }

    fn runtime(&self) -> Result<Runtime, Error> {
        Ok(Runtime::find(&self.runtime_dir(), None)?)
    }

    fn handle(&self, container: &Container) -> Result<Handle, Error> {
        Ok(self.runtime()?.container(container.id.as_str())?)
    }

    /// Whether the runtime can know anything of a container.
    fn has_run(&self, container: &Container) -> bool {
        Runtime::knows(&self.runtime_dir(), container.id.as_str())
    }

    fn runtime_dir(&self) -> PathBuf {
        self.store.paths().run.join("containers")
    }

    /// The folders of containers' logs.
    fn containers_dir(&self) -> PathBuf {
        self.root().join("containers")
    }

    fn container_dir(&self, container: &Container) -> PathBuf {
        self.containers_dir().join(container.id.as_str())
    }

    fn log_path(&self, container: &Container) -> PathBuf {
        self.container_dir(container).join(format!("{}-json.log", container.id.as_str()))
    }
}

/// The signal that an image wants its process stopped with. What it says may be nonsense.
fn stop_signal(container: &Container) -> Result<Signal, Error> {
    let Some(wanted) = ContainerConfig::of(container)?.stop_signal else { return Ok(Signal::TERM) };
    Ok(wanted.parse().unwrap_or_else(|error| {
        tracing::warn!(container = container.name, %error, "its image names no stop signal; SIGTERM is sent");
        Signal::TERM
    }))
}

fn spec(config: &ContainerConfig, rootfs: PathBuf) -> ContainerSpec {
    let process = ProcessSpec {
        args: config.args.clone(),
        env: config.env.clone(),
        cwd: config.workdir.clone(),
        user: config.user.clone(),
        terminal: config.tty,
        interactive: config.interactive,
    };
    ContainerSpec {
        read_only: config.read_only,
        hostname: config.hostname.clone(),
        network: if config.host_network { Network::Host } else { Network::None },
        ..ContainerSpec::new(rootfs, process)
    }
}
