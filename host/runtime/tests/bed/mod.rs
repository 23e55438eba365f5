//! A busybox root file system in a temporary directory, and the example that runs containers of it. When
//! it is dropped it checks that nothing is left.

#![allow(dead_code, unused_macros, reason = "not every binary uses all of it")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nacre_runtime::Started;

/// Makes a test of each function for each runtime. Where runc is missing its tests say so.
macro_rules! on_each_runtime {
    ($($name:ident)*) => {
        mod builtin { $(#[test] fn $name() { super::$name(&super::bed::Bed::new("builtin").unwrap()) })* }
        mod runc {
            $(#[test] fn $name() {
                match super::bed::Bed::new("runc") {
                    Some(bed) => super::$name(&bed),
                    None => nacre_skip::skip("there is no runc on this machine"),
                }
            })*
        }
    };
}

/// Long enough for any machine; no test takes it that goes well.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Bed {
    dir: tempfile::TempDir,
    runtime: String,
}

pub struct Outcome {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Bed {
    /// `None` when the runtime is not on this machine.
    pub fn new(runtime: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap();
        if runtime != "builtin" && !std::env::split_paths(&path).any(|dir| dir.join(runtime).exists()) {
            return None;
        }
        let dir = tempfile::Builder::new().prefix("nacre-runtime-").tempdir_in("/var/tmp").unwrap();
        let bed = Self { dir, runtime: runtime.to_owned() };
        bed.fill();
        Some(bed)
    }

    fn fill(&self) {
        let root = self.rootfs();
        for dir in ["bin", "etc", "proc", "tmp"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        let applets = Command::new("/bin/busybox").arg("--list").output().unwrap();
        for applet in String::from_utf8(applets.stdout).unwrap().lines().filter(|applet| *applet != "busybox")
        {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
        write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\n");
        write("etc/group", "root:x:0:\nadm:x:4:www-data\nwww-data:x:33:\n");
        write("garbage", "\x01\x02\x03");
        fs::set_permissions(root.join("garbage"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }

    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    /// No other bed's: runc names cgroups by it.
    pub fn id(&self) -> String {
        self.dir().file_name().unwrap().to_str().unwrap().to_owned()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn rootfs(&self) -> PathBuf {
        self.dir().join("rootfs")
    }

    pub fn run_dir(&self) -> &'static Path {
        // Leaked: a few bytes for each test.
        Box::leak(self.dir().join("run").into_boxed_path())
    }

    pub fn log(&self) -> PathBuf {
        self.dir().join("log")
    }

    /// What the callback of the monitor wrote, with `box` for the ID.
    pub fn exit_file(&self) -> Option<String> {
        let text = fs::read_to_string(self.dir().join("log.exit")).ok()?;
        (!text.is_empty()).then(|| text.replace(&self.id(), "box"))
    }

    pub fn verb_command(&self, verb: &str, options: &[&str], args: &[&str]) -> Command {
        // .../deps/containers-<hash> and .../examples/run
        let own = std::env::current_exe().unwrap();
        let mut command = Command::new(own.parent().unwrap().parent().unwrap().join("examples/run"));
        command.arg("--run-dir").arg(self.run_dir()).args([
            "--runtime",
            &self.runtime,
            "--id",
            &self.id(),
            "--hostname",
            "box",
        ]);
        command.args(["--verb", verb, "--env", &self.marker()]).args(options).args(args);
        command
    }

    pub fn command(&self, options: &[&str], args: &[&str]) -> Command {
        let mut command = self.verb_command("run", options, &[]);
        command.arg(self.rootfs()).args(args);
        command
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        self.run_with(&[], args)
    }

    pub fn run_with(&self, options: &[&str], args: &[&str]) -> Outcome {
        self.feed(&mut self.command(options, args), b"")
    }

    pub fn run_input(&self, options: &[&str], args: &[&str], input: &[u8]) -> Outcome {
        self.feed(&mut self.command(options, args), input)
    }

    pub fn verb(&self, verb: &str, options: &[&str], args: &[&str]) -> Outcome {
        self.feed(&mut self.verb_command(verb, options, args), b"")
    }

    pub fn feed(&self, command: &mut Command, input: &[u8]) -> Outcome {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        // A process that takes no input may have ended.
        let _ = child.stdin.take().unwrap().write_all(input);
        self.finish(child)
    }

    pub fn spawn(&self, options: &[&str], args: &[&str]) -> Child {
        let mut command = self.command(options, args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn finish(&self, child: Child) -> Outcome {
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Outcome {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Starts a detached container, once the program runs.
    pub fn detach(&self, options: &[&str], args: &[&str]) -> Started {
        let _ = fs::remove_file(self.dir().join("log.exit"));
        let log = self.log();
        let options = [&["--detach", log.to_str().unwrap()], options].concat();
        let outcome = self.run_with(&options, args);
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        let started = self.started();
        assert_eq!(outcome.out.trim(), started.pid.to_string());
        started
    }

    /// What was recorded of the container, as soon as it is.
    pub fn started(&self) -> Started {
        serde_json::from_value(self.record()["started"].clone()).unwrap()
    }

    pub fn monitor(&self) -> i32 {
        self.record()["monitor"]["pid"].as_i64().unwrap() as i32
    }

    fn record(&self) -> serde_json::Value {
        let path = self.run_dir().join("containers").join(self.id()).join("state.json");
        self.until(|| path.exists());
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    pub fn kill(&self, pid: i32, signal: &str) {
        assert!(Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap().success());
    }

    pub fn until(&self, mut condition: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !condition() {
            assert!(begin.elapsed() < PATIENCE, "waited in vain");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// In the environment of every process of this bed's containers.
    fn marker(&self) -> String {
        format!("NACRE_TEST_BED={}", self.dir().display())
    }

    /// The processes in containers, and the monitors.
    fn processes(&self) -> Vec<String> {
        let (marker, run_dir) = (self.marker(), self.run_dir().to_str().unwrap());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let holds =
                |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            let arguments = read("cmdline");
            if holds(&read("environ"), &marker) || holds(&arguments, run_dir) {
                found.push(String::from_utf8_lossy(&arguments).replace('\0', " "));
            }
        }
        found
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.verb("rm", &[], &[]);
        if std::thread::panicking() {
            return;
        }
        self.until(|| self.processes().is_empty());
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let dir = self.dir().to_str().unwrap();
        assert!(!mounts.contains(dir), "mounts are left: {mounts}");
        let left = fs::read_dir(self.run_dir().join("containers")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "bundles are left");
    }
}

/// What a terminal shows.
pub struct Screen {
    pub terminal: File,
    pub text: String,
}

impl Screen {
    pub fn new(terminal: OwnedFd) -> Self {
        Self { terminal: terminal.into(), text: String::new() }
    }

    pub fn wait_for(&mut self, text: &str) {
        let mut buffer = [0; 1024];
        while !self.text.contains(text) {
            let length = self.terminal.read(&mut buffer).unwrap_or(0);
            assert!(length > 0, "{text} did not appear: {}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    }
}
