//! Docker: a daemon and its client.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::{Daemon, wanted};
use crate::{Outcome, scratch, unmount_below};

/// A daemon with the overlay2 driver, without networks.
#[derive(Debug)]
pub struct Docker {
    client: PathBuf,
    daemon: Option<Daemon>,
    dir: TempDir,
}

impl Docker {
    /// Starts one.
    pub fn start() -> Option<Self> {
        let (server, client) = (wanted("dockerd")?, wanted("docker")?);
        let dir = scratch();
        let path = |name: &str| dir.path().join(name);
        let mut command = Command::new(server);
        command.arg("--data-root").arg(path("data")).arg("--exec-root").arg(path("exec"));
        command
            .arg("--pidfile")
            .arg(path("pid"))
            .arg("-H")
            .arg(format!("unix://{}", path("socket").display()));
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]);
        command.args(["--ip-masq=false", "--storage-driver", "overlay2"]);
        let mut docker = Self { client, daemon: None, dir };
        let log = docker.dir.path().join("log");
        docker.daemon = Some(Daemon::start(&mut command, &log, || docker.run(&["version"]).code == 0));
        Some(docker)
    }

    /// Runs the client.
    pub fn run(&self, args: &[&str]) -> Outcome {
        let host = format!("unix://{}", self.dir.path().join("socket").display());
        let config = self.dir.path().join("client");
        Outcome::of(
            Command::new(&self.client).env("DOCKER_HOST", host).env("DOCKER_CONFIG", config).args(args),
        )
    }

    /// Runs the client, which must succeed.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        self.run(args).succeeded()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.daemon = None;
        unmount_below(self.dir.path());
    }
}
