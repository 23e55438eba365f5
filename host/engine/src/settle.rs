//! What is recorded of containers' processes, and how it stays true.
//!
//! A start, an end and a removal are recorded under the container's lock. The lock does not outlive a killed
//! command, nor does the record of what it did: therefore whoever has the lock next [settles](Engine::settle)
//! the record with what the runtime knows. The end of a process is recorded of that process only, since its
//! monitor may be late and the container run again.

use std::path::PathBuf;

use jiff::Timestamp;
use nacre_runtime::{ExitInfo, Started, State};
use nacre_store::{Container, ContainerId, ContainerState};
use nacre_sys::proc::Identity;
use serde::{Deserialize, Serialize};

use crate::config::ContainerConfig;
use crate::mount::run_holder;
use crate::types::Config;
use crate::{Engine, Error};

/// The exit code of a process whose end nobody saw: as if it had been killed.
const LOST: i32 = 137;

/// What is recorded of a container that ends and goes.
const TO_BE_REMOVED: &str = "to be removed at its end";

/// What a monitor is told of the engine that started it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Context {
    root: String,
    /// By name, or by the component's absolute path.
    driver: Option<String>,
    storage_opts: Vec<String>,
}

impl Context {
    /// Monitors of earlier versions were told the root alone.
    fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self { root: text.to_owned(), ..Self::default() })
    }

    fn config(self) -> Config {
        Config {
            root: Some(PathBuf::from(self.root)),
            driver: self.driver,
            storage_opts: self.storage_opts,
            ..Config::default()
        }
    }
}

impl Engine {
    /// What a monitor does when its container has ended. To be handed to `nacre_runtime::helper_main`.
    pub fn container_ended(info: &ExitInfo) -> Result<(), Error> {
        let config = Context::parse(&info.context).config();
        if !config.root.as_ref().is_some_and(|root| root.exists()) {
            return Ok(());
        }
        let engine = Self::open(config)?;
        let id: ContainerId = info.id.parse()?;
        // Whoever started it has the lock until the start is recorded.
        let _lock = engine.store.lock_container(&id)?;
        let Some(container) = engine.store.read(|view| view.container(&id))? else { return Ok(()) };
        let process = identity(info.started)?;
        if container.process.as_ref() == Some(&process) {
            engine.note_exit(&container, Some(&process), info.status.code, None)
        } else {
            // Its start was never recorded, or its end was and the container runs again.
            engine.settle(&container)
        }
    }

    /// What a monitor needs to open this root as it is opened here, wherever it runs.
    pub(crate) fn monitor_context(&self) -> Result<String, Error> {
        let driver = match self.config.driver.as_deref() {
            Some(file) if file.contains('/') || file.ends_with(".wasm") => {
                let file = std::path::absolute(file).map_err(|e| Error::io("find", file, e))?;
                Some(file.display().to_string())
            }
            name => name.map(str::to_owned),
        };
        let context = Context {
            root: self.root().display().to_string(),
            driver,
            storage_opts: self.config.storage_opts.clone(),
        };
        Ok(serde_json::to_string(&context).map_err(nacre_store::Error::from)?)
    }

    /// Say which boot this is. What ran before it has ended, and is removed where it was to be at its end.
    pub(crate) fn note_boot(&self) -> Result<(), Error> {
        self.store.note_boot(&nacre_sys::proc::boot_id()?, |tx| {
            for container in tx.containers(true)? {
                let config: ContainerConfig = serde_json::from_str(&container.config)?;
                if config.auto_remove && container.state == ContainerState::Exited {
                    tx.container_dead(&container.id, TO_BE_REMOVED)?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Note the end of processes that nobody waited for: their monitors were killed. Remove containers that
    /// were to be removed at their end.
    pub(crate) fn recover_containers(&self) -> Result<(), Error> {
        self.recover_still()?;
        for container in self.store.read(|view| view.unsettled_containers())? {
            if container.process.as_ref().is_some_and(|process| process.is_alive().unwrap_or(true)) {
                continue;
            }
            if let Err(error) = self.recover_container(&container) {
                tracing::warn!(
                    container = container.name, %error,
                    "its end could not be dealt with; the next command tries again"
                );
            }
        }
        Ok(())
    }

    /// Have the record of a container say what is, unless somebody is at work on it.
    pub(crate) fn recover_container(&self, container: &Container) -> Result<(), Error> {
        match self.store.try_lock_container(&container.id)? {
            Some(_lock) => self.settle_now(container),
            None => Ok(()),
        }
    }

    /// [`Engine::settle`] with what is recorded now, if the container is still there.
    pub(crate) fn settle_now(&self, container: &Container) -> Result<(), Error> {
        match self.store.read(|view| view.container(&container.id))? {
            Some(container) => self.settle(&container),
            None => Ok(()),
        }
    }

    /// Have a container's record say what the runtime knows of its process: one whose start or end nobody
    /// recorded, since whoever was to do it was killed. The caller has the container's lock.
    pub(crate) fn settle(&self, container: &Container) -> Result<(), Error> {
        if container.state == ContainerState::Dead {
            self.drop_all_holders(container)?;
            return self.remove_found(container);
        }
        let recorded = container.process.as_ref();
        if recorded.is_none() && !self.is_held_to_run(container)? {
            return Ok(());
        }
        let (code, why) = match (self.process_state(container)?, recorded) {
            (State::Running(_), Some(_)) => return Ok(()),
            (State::Running(started), None) => return self.note_started(container, started).map(drop),
            (State::Absent, None) => return self.release_mount(container, &run_holder(container)),
            (State::Exited(Some(status)), _) => (status.code, None),
            (State::Exited(None) | State::Absent, _) => (LOST, Some("nobody saw the end of its process")),
        };
        if recorded.is_none() && container.exit_code == Some(code) && container.error.as_deref() == why {
            // It says so, and only its tree could not be let go.
            return self.release_mount(container, &run_holder(container));
        }
        self.note_exit(container, recorded, code, why)
    }

    fn is_held_to_run(&self, container: &Container) -> Result<bool, Error> {
        let holders = self.store.read(|view| view.holders(&container.dir))?;
        Ok(holders.contains(&run_holder(container)))
    }

    pub(crate) fn note_started(&self, container: &Container, started: Started) -> Result<Identity, Error> {
        let process = identity(started)?;
        self.store.write(|tx| tx.container_started(&container.id, &process, Timestamp::now()))?;
        Ok(process)
    }

    /// Record that a container could not be started, and let its tree go.
    pub(crate) fn start_failed(&self, container: &Container, error: Error) -> Error {
        let code = match &error {
            // It needs its tree. The next command records it.
            Error::Runtime(nacre_runtime::Error::AlreadyRunning { .. }) => return error,
            Error::Runtime(error) => error.exit_code(),
            _ => 125,
        };
        if let Err(other) = self.note_exit(container, None, code, Some(&error.to_string())) {
            tracing::warn!(container = container.name, error = %other, "its failed start could not be recorded");
        }
        error
    }

    /// Record the end of that process, or of a start without one, let its tree go, and remove the container
    /// if it was to be. Whoever records the end first does the rest. The caller has the container's lock.
    pub(crate) fn note_exit(
        &self,
        container: &Container,
        process: Option<&Identity>,
        code: i32,
        why: Option<&str>,
    ) -> Result<(), Error> {
        let to_remove = ContainerConfig::of(container)?.auto_remove;
        let first = self.store.write(|tx| {
            let first = tx.container_exited(&container.id, process, code, why, Timestamp::now())?;
            if first && to_remove {
                tx.container_dead(&container.id, TO_BE_REMOVED)?;
            }
            Ok(first)
        })?;
        if !first {
            return Ok(());
        }
        self.release_mount(container, &run_holder(container))?;
        if to_remove { self.remove_found(container) } else { Ok(()) }
    }
}

fn identity(started: Started) -> Result<Identity, Error> {
    Ok(Identity { pid: started.pid, start: started.start_time, boot: nacre_sys::proc::boot_id()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_opens_the_root_as_it_was_opened_from_wherever_it_runs() {
        let root = tempfile::tempdir().unwrap();
        let config = Config {
            root: Some(root.path().to_owned()),
            driver: Some("./my.wasm".to_owned()),
            storage_opts: vec!["mine.size=1".to_owned()],
            ..Config::default()
        };
        let opened = Engine::open(config).unwrap();
        let told = Context::parse(&opened.monitor_context().unwrap()).config();
        assert_eq!(told.root.unwrap(), opened.root());
        let file = std::env::current_dir().unwrap().join("my.wasm");
        assert_eq!(told.driver.unwrap(), file.display().to_string());
        assert_eq!(told.storage_opts, ["mine.size=1"]);
        assert_eq!(Context::parse("/var/lib/nacre").config().root.unwrap(), PathBuf::from("/var/lib/nacre"));
    }
}
