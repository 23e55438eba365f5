//! containerd and its client ctr.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::{Daemon, wanted};
use crate::{Outcome, scratch, unmount_below};

/// A daemon with its overlayfs snapshotter.
#[derive(Debug)]
pub struct Containerd {
    client: PathBuf,
    daemon: Option<Daemon>,
    dir: TempDir,
}

impl Containerd {
    /// Starts one.
    pub fn start() -> Option<Self> {
        let (server, client) = (wanted("containerd")?, wanted("ctr")?);
        let dir = scratch();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{}\"\n",
            path("root"),
            path("state"),
            path("socket")
        );
        std::fs::write(path("config.toml"), config).expect("writing containerd's configuration");
        let mut command = Command::new(server);
        command.args(["--config", &path("config.toml")]);
        let mut containerd = Self { client, daemon: None, dir };
        let log = containerd.dir.path().join("log");
        containerd.daemon =
            Some(Daemon::start(&mut command, &log, || containerd.run(&["version"]).code == 0));
        Some(containerd)
    }

    /// Runs the client.
    pub fn run(&self, args: &[&str]) -> Outcome {
        let socket = self.dir.path().join("socket");
        Outcome::of(Command::new(&self.client).arg("--address").arg(socket).args(args))
    }

    /// Runs the client, which must succeed.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        self.run(args).succeeded()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.daemon = None;
        unmount_below(self.dir.path());
    }
}
