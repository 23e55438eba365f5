//! Containers' processes: started, entered, stopped, and cleaned up after.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use nacre_runtime::{
    ContainerSpec, DetachedOptions, ExitInfo, ExitStatus, Network, ProcessSpec, Runtime, Signal, Started,
};
use nacre_store::locks::Lock;
use nacre_store::{Container, ContainerState};
use nacre_sys::proc::Identity;

use crate::container::ContainerConfig;
use crate::mount::run_holder;
use crate::types::Config;
use crate::{Engine, Error};

/// How long a process may take to end by itself when it is asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The exit code of a process whose end nobody saw: as if it had been killed.
const LOST: i32 = 137;

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
        let (container, lock) = self.startable(container)?;
        if self.config.explain {
            return self.explain_mount(&container).map(|()| 0);
        }
        let config = ContainerConfig::of(&container)?;
        let runtime = self.runtime()?;
        let handle = runtime.container(container.id.as_str())?;
        let rootfs = self.hold_mount(&container, &run_holder(&container))?;
        let spec = spec(&config, rootfs);
        let outcome = handle.run_foreground(&spec, |started| {
            self.note_started(&container, started);
            drop(lock);
        });
        let code = match &outcome {
            Ok(status) => status.code,
            Err(error) => error.exit_code(),
        };
        let why = outcome.as_ref().err().map(ToString::to_string);
        self.note_exit(&container, code, why.as_deref())?;
        Ok(outcome?.code)
    }

    /// Start a container in the background. Its output goes to [`Engine::log_file`].
    pub fn start_detached(&self, container: &str) -> Result<(), Error> {
        let (container, _lock) = self.startable(container)?;
        if self.config.explain {
            return self.explain_mount(&container);
        }
        let config = ContainerConfig::of(&container)?;
        let runtime = self.runtime()?;
        let handle = runtime.container(container.id.as_str())?;
        let rootfs = self.hold_mount(&container, &run_holder(&container))?;
        let options =
            DetachedOptions { log: self.log_path(&container)?, context: self.root().display().to_string() };
        match handle.start_detached(&spec(&config, rootfs), &options) {
            Ok(started) => {
                self.note_started(&container, started);
                Ok(())
            }
            Err(error) => {
                self.note_exit(&container, error.exit_code(), Some(&error.to_string()))?;
                Err(error.into())
            }
        }
    }

    /// Run one more process in a running container, and wait for its end: its exit code.
    pub fn exec(&self, container: &str, options: &ExecOptions) -> Result<i32, Error> {
        let container = self.running(container)?;
        let config = ContainerConfig::of(&container)?;
        let process = ProcessSpec {
            args: options.command.clone(),
            env: crate::container::environment(&config.env, &options.env),
            cwd: options.workdir.clone().unwrap_or(config.workdir),
            user: options.user.clone().unwrap_or(config.user),
            terminal: options.tty,
            interactive: options.interactive,
        };
        Ok(self.runtime()?.container(container.id.as_str())?.exec(&process)?.code)
    }

    /// Ask a container's process to end, and kill it after `timeout` seconds (10). One that ended is no
    /// error.
    pub fn stop(&self, container: &str, timeout: Option<u64>) -> Result<(), Error> {
        let container = self.find_container(container)?;
        if self.config.explain {
            // Its end lets its tree go.
            return self.release_mount(&container, &run_holder(&container));
        }
        let config = ContainerConfig::of(&container)?;
        let signal: Signal = config.stop_signal.as_deref().unwrap_or("TERM").parse()?;
        let handle = self.runtime()?.container(container.id.as_str())?;
        handle.stop(signal, timeout.map_or(STOP_TIMEOUT, Duration::from_secs))?;
        self.settle(&container)
    }

    /// Send a signal, by name or number, to a container's process.
    pub fn kill(&self, container: &str, signal: &str) -> Result<(), Error> {
        let container = self.running(container)?;
        self.runtime()?.container(container.id.as_str())?.kill(signal.parse()?)?;
        Ok(())
    }

    /// Whether a container's process is alive.
    pub fn is_running(&self, container: &str) -> Result<bool, Error> {
        let container = self.find_container(container)?;
        Ok(matches!(self.process_state(&container)?, nacre_runtime::State::Running(_)))
    }

    /// Where the output of a container that was started in the background is kept, in the form of Docker's
    /// json-file driver.
    pub fn log_file(&self, container: &str) -> Result<PathBuf, Error> {
        let container = self.find_container(container)?;
        self.log_path(&container)
    }

    /// What a monitor does when its container has ended. To be handed to `nacre_runtime::helper_main`.
    pub fn container_ended(info: &ExitInfo) -> Result<(), Error> {
        let engine = Self::open(Config { root: Some(PathBuf::from(&info.context)), ..Config::default() })?;
        let container = engine.find_container(&info.id)?;
        // Whoever started it has the lock until the start is recorded.
        let _lock = engine.store.lock_container(&container.id)?;
        engine.note_exit(&container, info.status.code, None)
    }

    /// Note the end of processes that nobody waited for: their monitors were killed. Remove containers that
    /// were to be removed at their end.
    pub(crate) fn recover_containers(&self) -> Result<(), Error> {
        for container in self.store.read(|view| view.unsettled_containers())? {
            if let Err(error) = self.recover_container(&container) {
                tracing::warn!(
                    container = container.name, %error,
                    "its end could not be dealt with; the next command tries again"
                );
            }
        }
        Ok(())
    }

    fn recover_container(&self, container: &Container) -> Result<(), Error> {
        if container.state == ContainerState::Dead {
            self.drop_all_holders(container)?;
            self.remove_found(container)
        } else if !container.process.as_ref().is_some_and(|p| p.is_alive().unwrap_or(true)) {
            self.settle(container)
        } else {
            Ok(())
        }
    }

    /// End a container's process, whatever it takes.
    pub(crate) fn end_process(&self, container: &Container) -> Result<(), Error> {
        if container.state == ContainerState::Running {
            self.runtime()?.container(container.id.as_str())?.delete(true)?;
            self.settle(container)?;
        }
        Ok(())
    }

    /// Remove what the runtime and the log keep of a container that is gone.
    pub(crate) fn forget_process(&self, container: &Container) -> Result<(), Error> {
        if container.started.is_some() {
            self.runtime()?.container(container.id.as_str())?.delete(true)?;
        }
        let folder = self.container_dir(container);
        match std::fs::remove_dir_all(&folder) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(Error::io("remove", folder, e)),
        }
    }

    /// Record the end of a process as the runtime knows it, if it has ended.
    fn settle(&self, container: &Container) -> Result<(), Error> {
        match self.process_state(container)? {
            nacre_runtime::State::Running(_) => Ok(()),
            nacre_runtime::State::Exited(Some(ExitStatus { code, .. })) => {
                self.note_exit(container, code, None)
            }
            nacre_runtime::State::Exited(None) | nacre_runtime::State::Absent => {
                self.note_exit(container, LOST, Some("nobody saw the end of its process"))
            }
        }
    }

    fn process_state(&self, container: &Container) -> Result<nacre_runtime::State, Error> {
        if container.state != ContainerState::Running {
            return Ok(nacre_runtime::State::Absent);
        }
        Ok(self.runtime()?.container(container.id.as_str())?.state()?)
    }

    fn note_started(&self, container: &Container, started: Started) {
        let recorded = nacre_sys::proc::boot_id().map_err(Error::from).and_then(|boot| {
            let process = Identity { pid: started.pid, start: started.start_time, boot };
            Ok(self.store.write(|tx| tx.container_started(&container.id, &process, Timestamp::now()))?)
        });
        if let Err(error) = recorded {
            tracing::warn!(container = container.name, %error, "its start could not be recorded");
        }
    }

    /// Record the end of a process, let its tree go, and remove the container if it was to be. Whoever
    /// records the end first does the rest.
    fn note_exit(&self, container: &Container, code: i32, why: Option<&str>) -> Result<(), Error> {
        let to_remove = ContainerConfig::of(container)?.auto_remove;
        let first = self.store.write(|tx| {
            let first = tx.container_exited(&container.id, code, why, Timestamp::now())?;
            if first && to_remove {
                tx.container_dead(&container.id, "to be removed at its end")?;
            }
            Ok(first)
        })?;
        self.release_mount(container, &run_holder(container))?;
        if first && to_remove {
            self.remove_found(container)?;
        }
        Ok(())
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
        Ok(Runtime::find(&self.store.paths().run.join("containers"), None)?)
    }

    fn container_dir(&self, container: &Container) -> PathBuf {
        self.root().join("containers").join(container.id.as_str())
    }

    fn log_path(&self, container: &Container) -> Result<PathBuf, Error> {
        let folder = self.container_dir(container);
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("make directory", &folder, e))?;
        Ok(folder.join(format!("{}-json.log", container.id.as_str())))
    }
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
