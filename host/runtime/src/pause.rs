//! A container's processes, held still for a moment.
//!
//! An OCI runtime freezes the container's cgroup. Where it cannot, and in the built-in runner, which makes no
//! cgroup, every process of the container's PID namespace gets SIGSTOP, and SIGCONT later: those that were
//! stopped before stay so. Processes in PID namespaces of the container's own making are not reached that way.
//!
//! What is held is written down before it is: `<run dir>/paused/<id>`. So whoever comes after a caller that was
//! killed finds it, and lets it go.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::bundle::{create_private_dir, read_json, write_json};
use crate::container::Container;
use crate::error::{Error, Result};
use crate::runtime::Runtime;
use crate::signal::{self, Signal};
use crate::state::{Started, is_alive, is_stopped, is_waiting, process_start_time};

/// How long the processes may take until all of them stand still.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so many looks, a millisecond apart, at the same processes that only wait, all go on for a moment.
const STUCK: u32 = 100;

/// What is held still, and how.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    /// Its first process.
    started: Started,
    how: How,
}

#[derive(Debug, Serialize, Deserialize)]
enum How {
    /// By the OCI runtime.
    Runtime,
    /// By signals to all but these, which were stopped before.
    Signals { stopped_before: Vec<Started> },
}

impl Runtime {
    /// The IDs of containers that are held still, or that a caller who died meant to hold.
    ///
    /// # Errors
    /// When the run directory can't be read.
    pub fn paused(run_dir: &Path) -> Result<Vec<String>> {
        let dir = run_dir.join("paused");
        let names = fs::read_dir(&dir).and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<Vec<_>>>()
        });
        match names {
            // A file that is being written has an ending.
            Ok(names) => Ok(names.into_iter().filter(|name| !name.ends_with(".new")).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io("list", dir, error)),
        }
    }
}

impl Container {
    /// Holds all its processes still until [`Container::resume`]. Tells whether there was something to hold.
    /// The caller sees to it that nobody else does at the same time.
    ///
    /// # Errors
    /// [`Error::NotStill`]; then everything goes on.
    pub fn pause(&self) -> Result<bool> {
        let Some(record) = self.bundle().record()?.filter(|record| is_alive(record.started)) else {
            return Ok(false);
        };
        self.resume()?;
        let started = record.started;
        if let Some(oci) = self.runtime_of(&record).oci() {
            self.set_held(&Held { started, how: How::Runtime })?;
            match oci.pause(self.id()) {
                Ok(()) => return Ok(true),
                Err(error) => {
                    tracing::debug!(container = self.id(), %error, "its processes are stopped by signals");
                }
            }
            self.resume()?;
        }
        let stopped_before: Vec<Started> =
            members(started).into_iter().filter(|process| is_stopped(*process)).collect();
        let how = How::Signals { stopped_before: stopped_before.clone() };
        self.set_held(&Held { started, how })?;
        let stopped = self.stop_all(started, &stopped_before);
        if stopped.is_err() {
            self.resume()?;
        }
        stopped.map(|()| true)
    }

    /// Lets go what [`Container::pause`] held. Where nothing is held it does nothing.
    ///
    /// # Errors
    /// When the runtime, or the kernel, refuses: it can be tried again.
    pub fn resume(&self) -> Result<()> {
        let Some(held) = read_json::<Held>(&self.held_file())? else { return Ok(()) };
        if is_alive(held.started) {
            match held.how {
                How::Runtime => {
                    let record = self.bundle().record()?;
                    if let Some(oci) = record.and_then(|record| self.runtime_of(&record).oci()) {
                        oci.resume(self.id())?;
                    }
                }
                How::Signals { stopped_before } => {
                    let_go_on(held.started, &stopped_before)?;
                }
            }
        }
        let path = self.held_file();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
            _ => Ok(()),
        }
    }

    /// Again and again, since a process that was not stopped yet may have started another one.
    fn stop_all(&self, first: Started, stopped_before: &[Started]) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        let (mut waiting, mut looks) = (Vec::new(), 0);
        loop {
            let moving: Vec<Started> =
                members(first).into_iter().filter(|process| !is_stopped(*process)).collect();
            if moving.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Error::NotStill { id: self.id().to_owned(), seconds: PATIENCE.as_secs() });
            }
            let stuck = moving == waiting && moving.iter().all(|process| is_waiting(*process));
            looks = if stuck { looks + 1 } else { 0 };
            if looks == STUCK {
                // Who called vfork(2) stops only once its child, which was stopped, has gone its way.
                let_go_on(first, stopped_before)?;
                looks = 0;
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            for process in &moving {
                signal::send(*process, Signal::STOP)?;
            }
            waiting = moving;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn held_file(&self) -> PathBuf {
        self.runtime().run_dir().join("paused").join(self.id())
    }

    fn set_held(&self, held: &Held) -> Result<()> {
        create_private_dir(&self.runtime().run_dir().join("paused"))?;
        write_json(&self.held_file(), held)
    }
}

fn let_go_on(first: Started, stopped_before: &[Started]) -> Result<()> {
    for process in members(first).into_iter().filter(|process| !stopped_before.contains(process)) {
        signal::send(process, Signal::CONT)?;
    }
    Ok(())
}

/// The living processes in the PID namespace of `first`; none when it has ended.
fn members(first: Started) -> Vec<Started> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(wanted) = namespace(&first.pid.to_string()) else { return Vec::new() };
    // Its number may have been given to another process before the link was read, even to one of this machine.
    if !is_alive(first) || Some(&wanted) == namespace("self").as_ref() {
        return Vec::new();
    }
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    let names = all.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let pids =
        names.filter(|name| namespace(name).as_ref() == Some(&wanted)).filter_map(|name| name.parse().ok());
    let alive = |pid| process_start_time(pid).map(|start_time| Started { pid, start_time });
    pids.filter_map(alive).collect()
}
