//! Other engines, each on a root of its own, on sockets of its own, and ended by its process ID.
//!
//! `start` returns none and says so in one line where the engine is not installed.

mod containerd;
mod docker;
mod podman;
mod tools;

pub use containerd::Containerd;
pub use docker::Docker;
pub use podman::Podman;
pub use tools::{buildah, skopeo, umoci_unpack};

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program;

/// The program, or a line that says that a test is not run without it.
fn wanted(name: &str) -> Option<std::path::PathBuf> {
    let found = program(name);
    if found.is_none() {
        crate::skip(&format!("{name} is not installed"));
    }
    found
}

/// A daemon that is ended when it is dropped.
#[derive(Debug)]
struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts one, its output in `log`, and waits until `ready`.
    fn start(command: &mut Command, log: &Path, mut ready: impl FnMut() -> bool) -> Self {
        let out = std::fs::File::create(log).expect("creating a log file");
        let err = out.try_clone().expect("a second handle of a log file");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().expect("starting a daemon");
        let mut daemon = Self { child };
        let since = Instant::now();
        while !ready() {
            let ended = daemon.child.try_wait().expect("looking at a daemon");
            if ended.is_some() || since.elapsed() > Duration::from_secs(30) {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                panic!("{command:?} did not start:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(15) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
