//! Runs a process in a mounted root: crun, runc or the built-in runner.
//!
//! The room's input is the path of a root file system and a description of a process; it knows nothing
//! of layers, images or the database. What it keeps lies in one run directory, which must not outlive a
//! reboot:
//!
//! ```text
//! <run>/runtimes.json              which binaries were tried here, and whether they work
//! <run>/oci/<runtime>/             the state of crun or runc
//! <run>/paused/<id>                what is held still, and how
//! <run>/containers/<id>/           the bundle
//!     config.json                  what crun or runc is given
//!     container.json               the same for the built-in runner and for `exec`
//!     hosts, hostname, resolv.conf what is mounted over the container's
//!     state.json                   pid and start time of the first process, and who runs it
//!     exit.json                    how it ended, when nacre saw it end
//!     runtime.log                  the warnings of crun or runc
//!     monitor.log                  what the monitor of a detached container had to say
//! ```
//!
//! # The life of a container
//!
//! [`Runtime::find`] chooses a runtime, [`Runtime::container`] names a container, and then either
//! [`Container::run_foreground`] runs it under this process, or [`Container::start_detached`] under a
//! monitor of its own that outlives the command. [`Container::exec`], [`Container::kill`],
//! [`Container::stop`], [`Container::pause`] and [`Container::state`] work on both. [`Container::delete`] removes what is left,
//! also after the monitor or this process was killed.
//!
//! The container's first process is always a child of the one who waits for it: that one is made a
//! *child subreaper*, and the runtime (or the built-in runner's helper) exits as soon as it has started
//! the process. So exit codes, terminals, signals and logs are handled in one way for every runtime.
//!
//! # The program must lend itself
//!
//! Helpers are this same program, started again with a hidden first argument. A program that uses this
//! room therefore calls [`helper_main`] first thing in `main`, before any thread is started.
//!
//! ```no_run
//! use nacre_runtime::{ContainerSpec, ProcessSpec, Runtime, helper_main};
//! # fn main() -> Result<(), nacre_runtime::Error> {
//! helper_main(|exit| eprintln!("{} ended: {}", exit.id, exit.status.code));
//! let runtime = Runtime::find("/run/nacre".as_ref(), None)?;
//! let container = runtime.container("example")?;
//! let process = ProcessSpec { args: vec!["/bin/date".into()], ..ProcessSpec::default() };
//! let status = container.run_foreground(&ContainerSpec::new("/srv/rootfs", process), |_| {})?;
//! container.delete(false)?;
//! std::process::exit(status.code);
//! # }
//! ```
//!
//! # What is promised
//!
//! - Capabilities, masked and read-only paths and mounts are Docker's defaults ([`defaults`]).
//!   There is no seccomp filter, and the built-in runner makes no cgroup.
//! - Names from the image (users, groups) are looked up without leaving the root file system.
//! - Exit codes are Docker's: the process's own, 128 + n for signal n, 125 when the container could not
//!   be made, 126 when the program can't be executed, 127 when there is none ([`Error::exit_code`]).

mod attach;
mod builtin;
mod bundle;
mod container;
pub mod defaults;
mod error;
mod helper;
mod launch;
mod link;
mod logs;
mod monitor;
mod oci;
mod pause;
mod process;
mod runtime;
mod signal;
mod spec;
mod state;
mod terminal;
mod user;

pub use container::{Container, DetachedOptions};
pub use error::{Error, Result};
pub use helper::helper_main;
pub use logs::{LogEntry, LogOptions, Logs, Stream, logs};
pub use monitor::ExitInfo;
pub use runtime::Runtime;
pub use signal::Signal;
pub use spec::{ContainerSpec, Mount, Network, ProcessSpec};
pub use state::{ExitStatus, Started, State, is_alive};
