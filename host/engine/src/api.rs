//! Signatures that are not filled in yet; each moves to the file of its use case.
#![allow(missing_docs, unused_variables, clippy::todo)]
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::*;

type R<T> = Result<T, Error>;

#[derive(Debug)]
pub struct Engine {}

#[derive(Debug, Clone)]
pub enum SaveTarget {
    File(PathBuf),
    Stdout,
}

#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    pub command: Vec<String>,
    pub env: Vec<String>,
    pub workdir: Option<String>,
    pub user: Option<String>,
    pub tty: bool,
    pub interactive: bool,
    pub detach: bool,
}

impl Engine {
    pub fn open(config: Config) -> R<Self> { todo!() }
    /// The plans of the last operation, with `Config::explain`.
    pub fn explained(&self) -> Vec<Explained> { todo!() }
    pub fn load(&self, source: LoadSource, options: &LoadOptions, progress: &dyn Progress) -> R<Vec<LoadedImage>> { todo!() }
    pub fn save(&self, images: &[String], format: SaveFormat, target: SaveTarget, progress: &dyn Progress) -> R<()> { todo!() }
    /// Returns the image's ID.
    pub fn import(&self, source: LoadSource, options: &CommitOptions, progress: &dyn Progress) -> R<String> { todo!() }
    pub fn tag(&self, image: &str, reference: &str) -> R<()> { todo!() }
    pub fn images(&self) -> R<Vec<ImageSummary>> { todo!() }
    pub fn history(&self, image: &str) -> R<Vec<HistoryEntry>> { todo!() }
    pub fn inspect_image(&self, image: &str) -> R<serde_json::Value> { todo!() }
    pub fn inspect_container(&self, container: &str) -> R<serde_json::Value> { todo!() }
    pub fn inspect_layer(&self, layer: &str) -> R<serde_json::Value> { todo!() }
    pub fn inspect_driver(&self, driver: &str) -> R<serde_json::Value> { todo!() }
    pub fn remove_image(&self, image: &str, force: bool, no_prune: bool) -> R<Removed> { todo!() }
    /// `all`: also images that have a name and no container.
    pub fn prune_images(&self, all: bool) -> R<Removed> { todo!() }
    pub fn prune_containers(&self) -> R<Removed> { todo!() }
    pub fn create(&self, options: &CreateOptions) -> R<Created> { todo!() }
    pub fn containers(&self, all: bool, sizes: bool) -> R<Vec<ContainerSummary>> { todo!() }
    /// Starts a created or exited container on this process's standard streams; the process's exit code.
    pub fn start_foreground(&self, container: &str) -> R<i32> { todo!() }
    pub fn start_detached(&self, container: &str) -> R<()> { todo!() }
    pub fn exec(&self, container: &str, options: &ExecOptions) -> R<i32> { todo!() }
    /// Signal, then after `timeout` seconds (10) SIGKILL.
    pub fn stop(&self, container: &str, timeout: Option<u64>) -> R<()> { todo!() }
    pub fn kill(&self, container: &str, signal: &str) -> R<()> { todo!() }
    pub fn remove_container(&self, container: &str, force: bool) -> R<()> { todo!() }
    /// What the hidden `__monitor` command runs: waits for the process of a detached container.
    pub fn monitor_main(spec: &Path) -> i32 { todo!() }
    pub fn mount(&self, container: &str) -> R<PathBuf> { todo!() }
    pub fn unmount(&self, container: &str) -> R<()> { todo!() }
    pub fn diff(&self, container: &str) -> R<Vec<Change>> { todo!() }
    /// Returns the image's ID.
    pub fn commit(&self, container: &str, options: &CommitOptions) -> R<String> { todo!() }
    /// `docker cp CONTAINER:PATH -`: a tar of the file or tree at `path`.
    pub fn copy_out(&self, container: &str, path: &str, follow: bool, out: &mut (dyn Write + Send)) -> R<()> { todo!() }
    /// `docker cp - CONTAINER:PATH`: a tar into the directory `path`.
    pub fn copy_in(&self, container: &str, path: &str, archive: bool, tar: &mut (dyn Read + Send)) -> R<()> { todo!() }
    /// `docker cp CONTAINER:SRC DEST` with docker's rules for names.
    pub fn copy_to_host(&self, container: &str, path: &str, dest: &Path, archive: bool, follow: bool) -> R<()> { todo!() }
    /// `docker cp SRC CONTAINER:DEST` with docker's rules for names.
    pub fn copy_from_host(&self, src: &Path, container: &str, path: &str, archive: bool, follow: bool) -> R<()> { todo!() }
    pub fn export(&self, container: &str, out: &mut (dyn Write + Send)) -> R<()> { todo!() }
    /// The log file of a container that ran detached (Docker's json-file format).
    pub fn log_file(&self, container: &str) -> R<PathBuf> { todo!() }
    pub fn is_running(&self, container: &str) -> R<bool> { todo!() }
    pub fn layers(&self) -> R<Vec<LayerSummary>> { todo!() }
    pub fn df(&self) -> R<Vec<DfRow>> { todo!() }
    /// `object` is a container or an image.
    pub fn why(&self, object: &str, path: &str) -> R<Why> { todo!() }
    /// Serialises as an object; fields are documented where it lands.
    pub fn info(&self) -> R<serde_json::Value> { todo!() }
    pub fn drivers(&self) -> R<Vec<DriverSummary>> { todo!() }
    pub fn check(&self, repair: bool) -> R<Vec<Finding>> { todo!() }
}
