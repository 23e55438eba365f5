//! nacre on a throw-away root.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{FsKind, LoopFs, Outcome, mounts_below, scratch, unmount_below};

/// nacre on a root of its own. When it is dropped, nothing may be left: no mount below the root, no
/// process that works there.
#[derive(Debug)]
pub struct Nacre {
    // Dropped in this order: the directory lies on the file system.
    root: PathBuf,
    driver: Option<&'static str>,
    _dir: Option<TempDir>,
    _fs: Option<LoopFs>,
}

impl Nacre {
    /// A root on the machine's own disk.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        let dir = scratch();
        Self { root: dir.path().join("root"), driver: None, _dir: Some(dir), _fs: None }
    }

    /// A root on a fresh file system of 4 GB (sparse); none where the tool for it is absent.
    pub fn on(kind: FsKind) -> Option<Self> {
        Some(Self::at(LoopFs::new(kind, 4096)?))
    }

    /// A root on a file system.
    pub fn at(fs: LoopFs) -> Self {
        Self { root: fs.path().join("root"), driver: None, _dir: None, _fs: Some(fs) }
    }

    /// A root in a directory of somebody else's.
    pub fn below(dir: &Path) -> Self {
        Self { root: dir.join("root"), driver: None, _dir: None, _fs: None }
    }

    /// The same with all commands naming a driver.
    pub fn with_driver(mut self, driver: &'static str) -> Self {
        self.driver = Some(driver);
        self
    }

    /// The storage root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The binary: `$NACRE_BIN`, else the one that was built with this test.
    pub fn binary() -> PathBuf {
        if let Some(path) = std::env::var_os("NACRE_BIN") {
            return path.into();
        }
        let test = std::env::current_exe().expect("the path of this test");
        let found = test.ancestors().skip(1).map(|dir| dir.join("nacre")).find(|file| file.is_file());
        found.expect("the nacre binary is not built: run `cargo build` first, or set NACRE_BIN")
    }

    /// A command on this root, with nothing of the caller's settings.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(Self::binary());
        for name in ["NACRE_DRIVER", "NACRE_LOG", "NACRE_CRASH", "NACRE_TIMING", "NO_COLOR"] {
            command.env_remove(name);
        }
        command.env("NACRE_ROOT", &self.root).args(args);
        command.envs(self.driver.map(|driver| ("NACRE_DRIVER", driver)));
        command
    }

    /// Runs a command.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Outcome {
        Outcome::of(&mut self.command(args))
    }

    /// Runs a command that must succeed, and returns its standard output.
    #[track_caller]
    pub fn ok<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> String {
        self.run(args).succeeded()
    }

    /// Runs a listing with `--format json` and returns its objects.
    #[track_caller]
    pub fn rows<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Vec<serde_json::Value> {
        let out = Outcome::of(self.command(args).args(["--format", "json"]));
        assert!(out.code == 0, "must succeed:\n{out}");
        out.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}:\n{out}")))
            .collect()
    }

    /// Loads an archive or a layout.
    #[track_caller]
    pub fn load(&self, archive: &Path) -> String {
        self.ok([OsStr::new("load"), OsStr::new("-i"), archive.as_os_str()])
    }

    /// What is in the root, database aside: names below it with directories' contents, for comparing
    /// before and after something that must leave nothing behind.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut todo = vec![self.root.clone()];
        while let Some(dir) = todo.pop() {
            let Ok(entries) = std::fs::read_dir(&dir) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                let name =
                    path.strip_prefix(&self.root).expect("below the root").to_string_lossy().into_owned();
                if !is_of_database(&name) {
                    names.push(name);
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    todo.push(path);
                }
            }
        }
        names.sort();
        names
    }

    /// Fails unless nacre finds the store in order.
    #[track_caller]
    pub fn assert_sound(&self) {
        let out = self.run(["system", "check"]);
        assert!(out.code == 0, "the store is not in order:\n{out}");
    }

    /// Processes that work below the root.
    fn processes(&self) -> Vec<(i32, String)> {
        let Ok(proc) = std::fs::read_dir("/proc") else { return Vec::new() };
        proc.flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| u32::try_from(*pid) != Ok(std::process::id()))
            .filter_map(|pid: i32| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                let below = |link: &str| {
                    std::fs::read_link(format!("/proc/{pid}/{link}"))
                        .is_ok_and(|path| path.starts_with(&self.root))
                };
                let ours = line.contains(&*self.root.to_string_lossy()) || below("cwd") || below("root");
                ours.then_some((pid, line))
            })
            .collect()
    }
}

// SQLite makes and removes these as it likes.
fn is_of_database(name: &str) -> bool {
    name.ends_with("-wal") || name.ends_with("-shm") || name.ends_with("-journal")
}

impl Drop for Nacre {
    fn drop(&mut self) {
        let (mounts, processes) = (mounts_below(&self.root), self.processes());
        for (pid, _) in &processes {
            if let Some(pid) = rustix::process::Pid::from_raw(*pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        unmount_below(&self.root);
        if !std::thread::panicking() {
            assert!(mounts.is_empty(), "left mounted: {mounts:?}");
            assert!(processes.is_empty(), "left running: {processes:?}");
        }
    }
}
