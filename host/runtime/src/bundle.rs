//! The directory of one container under the run directory.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::spec::{ContainerSpec, Network};
use crate::state::{ExitStatus, Started};

/// Paths in a container's directory. Nothing of it need exist.
#[derive(Debug, Clone)]
pub(crate) struct Bundle {
    dir: PathBuf,
}

/// What is known of a started container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The runtime that runs it: `builtin` or the path of an OCI runtime.
    pub runtime: String,
    pub hostname: String,
    pub started: Started,
    /// Who waits for it: its monitor, or the command that runs it in the foreground.
    pub monitor: Option<Started>,
    pub detached: bool,
}

impl Bundle {
    pub(crate) fn new(run_dir: &Path, id: &str) -> Self {
        Self { dir: run_dir.join("containers").join(id) }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes the directory, empty of what an earlier run left.
    pub(crate) fn create(&self) -> Result<()> {
        self.remove()?;
        create_private_dir(&self.dir)
    }

    pub(crate) fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &self.dir, error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn record(&self) -> Result<Option<Record>> {
        read_json(&self.file("state.json"))
    }

    pub(crate) fn set_record(&self, record: &Record) -> Result<()> {
        write_json(&self.file("state.json"), record)
    }

    pub(crate) fn exit_status(&self) -> Result<Option<ExitStatus>> {
        read_json(&self.file("exit.json"))
    }

    pub(crate) fn set_exit_status(&self, status: &ExitStatus) -> Result<()> {
        write_json(&self.file("exit.json"), status)
    }

    /// Writes the files that are mounted over the container's own.
    pub(crate) fn write_etc(&self, spec: &ContainerSpec, hostname: &str) -> Result<()> {
        let host = spec.network == Network::Host;
        let hosts = match host.then(|| fs::read("/etc/hosts")) {
            Some(Ok(hosts)) => hosts,
            _ => {
                let address = if host { "127.0.1.1" } else { "127.0.0.1" };
                format!(
                    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{address}\t{hostname}\n"
                )
                .into_bytes()
            }
        };
        let resolv = if host { fs::read("/etc/resolv.conf").unwrap_or_default() } else { Vec::new() };
        for (name, content) in
            [("hosts", hosts), ("resolv.conf", resolv), ("hostname", format!("{hostname}\n").into_bytes())]
        {
            let path = self.file(name);
            write_file(&path, &content, 0o644).map_err(|error| Error::io("write", &path, error))?;
        }
        Ok(())
    }
}

/// What is mounted over the container's own files: the name in the bundle and the path inside.
pub(crate) const ETC: [(&str, &str); 3] =
    [("hosts", "/etc/hosts"), ("hostname", "/etc/hostname"), ("resolv.conf", "/etc/resolv.conf")];

pub(crate) fn create_private_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Error::io("create", path, error))
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| Error::Damaged { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// Replaces the file in one step: a reader sees the old one or the new one.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let bytes =
        serde_json::to_vec(value).map_err(|error| Error::io("write", path, io::Error::other(error)))?;
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    write_file(&temporary, &bytes, 0o600)
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|error| Error::io("write", path, error))
}

fn write_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    // The mode is exact: these files are seen inside, whatever the caller's umask is.
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    file.write_all(content)
}
