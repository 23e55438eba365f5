//! A real ZFS pool, served by zfs-fuse to this test alone.
//!
//! The rooms whose tests need a pool include this file as a module, so it stands on no other.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The name of every pool: each is alone with its zfs-fuse.
pub const POOL: &str = "pearl";

/// A pool in a sparse file, mounted in a mount namespace of its own.
#[derive(Debug)]
pub struct ZfsPool {
    dir: TempDir,
    daemon: Child,
}

impl ZfsPool {
    /// Runs a test in a mount namespace that has a pool of `megabytes`. Processes that it starts are in that
    /// namespace, and threads are not. The error says what is missing for it.
    pub fn within<T: Send>(megabytes: u64, work: impl FnOnce(&Self) -> T + Send) -> Result<T, String> {
        for program in ["zfs-fuse", "zfs", "zpool"] {
            let sbin = std::env::var_os("PATH").unwrap_or_default();
            if !std::env::split_paths(&sbin).any(|dir| dir.join(program).is_file()) {
                return Err(format!("{program} is not installed (Debian: zfs-fuse)"));
            }
        }
        fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .map_err(|e| format!("/dev/fuse: {e}"))?;
        let name = std::thread::current().name().unwrap_or("zfs").to_owned();
        // The namespace is the thread's, and ends with it and with the processes in it.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name(name);
            let thread = thread.spawn_scoped(scope, || {
                let pool = Self::start(megabytes)?;
                Ok(work(&pool))
            });
            thread.expect("starting a thread").join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn start(megabytes: u64) -> Result<Self, String> {
        let none = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).map_err(|e| format!("no mount namespace of its own: {e}"))?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("making mounts private");
        for at in ["/run", "/var/lib/zfs"] {
            fs::create_dir_all(at).expect("a directory of zfs-fuse");
            mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), none).expect("mounting a tmpfs");
        }
        for at in ["/run/lock/zfs", "/run/zfs"] {
            fs::create_dir_all(at).expect("a directory of zfs-fuse");
        }
        let dir = tempfile::Builder::new().prefix("nacre-zfs-").tempdir_in("/var/tmp").expect("a directory");
        let log = fs::File::create(dir.path().join("log")).expect("a log file");
        let daemon = Command::new("sh")
            .args(["-c", "ulimit -c 0; exec zfs-fuse -n --no-kstat-mount -x"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("starting zfs-fuse");
        let pool = Self { dir, daemon };
        pool.wait_for_daemon()?;
        let file = pool.dir.path().join("file");
        fs::File::create(&file).and_then(|file| file.set_len(megabytes << 20)).expect("the pool's file");
        fs::create_dir(pool.path()).expect("the pool's mount point");
        let (file, path) = (file.display().to_string(), pool.path().display().to_string());
        pool.ok("zpool", &["create", "-o", "cachefile=none", "-m", &path, POOL, &file]);
        Ok(pool)
    }

    fn wait_for_daemon(&self) -> Result<(), String> {
        let since = Instant::now();
        while !output("zpool", &["list"]).status.success() {
            if since.elapsed() > Duration::from_secs(20) {
                let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                return Err(format!("zfs-fuse does not answer: {log}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Where the pool's own dataset is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    /// A directory that is not on the pool.
    pub fn elsewhere(&self) -> &Path {
        self.dir.path()
    }

    /// Runs `zfs` or `zpool`, which must succeed, and returns what it printed.
    #[track_caller]
    pub fn ok(&self, program: &str, args: &[&str]) -> String {
        let out = output(program, args);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{program} {args:?}: {} {said}", out.status.into_raw());
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// The names of all datasets and snapshots below the pool's own.
    pub fn datasets(&self) -> Vec<String> {
        let list = self.ok("zfs", &["list", "-H", "-o", "name", "-t", "filesystem,snapshot", "-r", POOL]);
        let below = format!("{POOL}/");
        list.lines().filter_map(|name| name.strip_prefix(&below)).map(str::to_owned).collect()
    }

    fn mounts(&self) -> Vec<PathBuf> {
        let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
        let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        points.filter(|at| at.starts_with(self.dir.path())).collect()
    }
}

impl Drop for ZfsPool {
    fn drop(&mut self) {
        for at in self.mounts().iter().rev() {
            let _ = umount2(at, MntFlags::MNT_DETACH);
        }
        let pid = Pid::from_raw(self.daemon.id().cast_signed());
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let _ = kill(pid, signal);
            let since = Instant::now();
            while since.elapsed() < Duration::from_secs(5) {
                if !matches!(self.daemon.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn output(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).stdin(Stdio::null()).output().expect("running a program of ZFS")
}
