//! crun and runc, and what takes the same arguments.
//!
//! They are always called detached: they exit when the process runs, and it becomes this process's
//! child. Terminals come over a socket (`--console-socket`).

mod config;
mod probe;

use std::fs::{self, File};
use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::bundle::{Bundle, write_json};
use crate::error::{Error, Result};
use crate::launch::{Launched, Outputs, Pipes, reap};
use crate::link;
use crate::process::Process;
use crate::spec::ContainerSpec;

pub(crate) use probe::probe;

/// The runtime's warnings, in the bundle.
const LOG: &str = "runtime.log";

/// An OCI runtime and where it keeps its state.
#[derive(Debug, Clone)]
pub(crate) struct Oci {
    program: PathBuf,
    root: PathBuf,
}

impl Oci {
    pub(crate) fn new(program: &Path, run_dir: &Path) -> Self {
        let name = program.file_name().unwrap_or(program.as_os_str());
        Self { program: program.to_owned(), root: run_dir.join("oci").join(name) }
    }

    fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root);
        command
    }

    /// Its warnings go to a file: its standard error is the container's.
    fn quiet_command(&self, bundle: &Bundle) -> Command {
        let mut command = self.command();
        command.arg("--log").arg(bundle.file(LOG));
        command
    }

    /// Starts the first process.
    pub(crate) fn run(
        &self,
        id: &str,
        bundle: &Bundle,
        spec: &ContainerSpec,
        hostname: &str,
        process: &Process,
        stdin: OwnedFd,
    ) -> Result<Launched> {
        write_json(&bundle.file("config.json"), &config::config(spec, process, hostname, bundle))?;
        let mut command = self.quiet_command(bundle);
        if self.name() != "crun" {
            command.arg("run").arg("--detach").arg("--bundle").arg(bundle.dir());
            return self.start(command, "run", id, bundle, process, stdin);
        }
        // crun's `run` waits itself for a process that ends at once, and its exit code is lost. After `create` it is
        // this process's child before its program is executed. But whoever is killed in between leaves a container
        // that was not started, so it is not the way of all.
        command.arg("create").arg("--bundle").arg(bundle.dir());
        let launched = self.start(command, "create", id, bundle, process, stdin)?;
        let mut command = self.quiet_command(bundle);
        command.args(["start", id]).stdin(Stdio::null());
        let output = command.output().map_err(|error| Error::io("execute", &self.program, error))?;
        if output.status.success() {
            return Ok(launched);
        }
        let failure = self.failure("start", process, output.stderr, bundle);
        // Made and never started: it waits for that, and is to be killed.
        self.delete(id)?;
        reap(launched.started.pid);
        Err(failure)
    }

    /// Starts a further process.
    pub(crate) fn exec(
        &self,
        id: &str,
        bundle: &Bundle,
        process: &Process,
        stdin: OwnedFd,
    ) -> Result<Launched> {
        let file = bundle.file(&format!("process-{}.json", unique()));
        write_json(&file, &config::process(process))?;
        let mut command = self.quiet_command(bundle);
        command.args(["exec", "--detach", "--process"]).arg(&file);
        let launched = self.start(command, "exec", id, bundle, process, stdin);
        let _ = fs::remove_file(&file);
        launched
    }

    fn start(
        &self,
        mut command: Command,
        verb: &'static str,
        id: &str,
        bundle: &Bundle,
        process: &Process,
        stdin: OwnedFd,
    ) -> Result<Launched> {
        let pid_file = bundle.file(&format!("pid-{}", unique()));
        let console = if process.terminal { Some(Console::new(bundle)?) } else { None };
        command.arg("--pid-file").arg(&pid_file);
        if let Some(console) = &console {
            // Relative, since the path of a socket is short. And the terminal's signals are not for it.
            command.arg("--console-socket").arg(&console.name);
        }
        command.arg(id).current_dir(bundle.dir()).process_group(0);
        let (pipes, outputs) = Pipes::new()?;
        if !self.call(command, stdin, outputs)? {
            return Err(self.failure(verb, process, drain(&pipes.stderr), bundle));
        }
        let pid = read_pid(&pid_file)?;
        let _ = fs::remove_file(&pid_file);
        let terminal = console.map(Console::receive).transpose()?;
        Launched::new(pid, terminal, pipes)
    }

    /// Runs the runtime to its own end. The process has its streams from then on.
    fn call(&self, mut command: Command, stdin: OwnedFd, outputs: Outputs) -> Result<bool> {
        command.stdin(stdin).stdout(OwnedFd::from(outputs.stdout)).stderr(OwnedFd::from(outputs.stderr));
        let status = command.status().map_err(|error| Error::io("execute", &self.program, error))?;
        Ok(status.success())
    }

    fn failure(&self, verb: &'static str, process: &Process, messages: Vec<u8>, bundle: &Bundle) -> Error {
        let mut message = clean(&messages);
        if message.is_empty() {
            message = clean(&fs::read(bundle.file(LOG)).unwrap_or_default());
        }
        let program = process.args.first().cloned().unwrap_or_default();
        classify(&message, program).unwrap_or_else(|| Error::Runtime {
            runtime: self.name(),
            command: verb,
            message,
        })
    }

    /// Forgets the container, and kills what is left of it.
    pub(crate) fn delete(&self, id: &str) -> Result<()> {
        if !self.root.join(id).exists() {
            return Ok(());
        }
        self.simple("delete", &["delete", "--force", id])
    }

    /// Freezes its processes.
    pub(crate) fn pause(&self, id: &str) -> Result<()> {
        self.simple("pause", &["pause", id])
    }

    /// Thaws its processes, if they are frozen.
    pub(crate) fn resume(&self, id: &str) -> Result<()> {
        let refused = match self.simple("resume", &["resume", id]) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // It may be that nothing was frozen.
        let state = self.command().args(["state", id]).stdin(Stdio::null()).output();
        let state: serde_json::Value =
            state.ok().and_then(|output| serde_json::from_slice(&output.stdout).ok()).unwrap_or_default();
        if state["status"] == "paused" { Err(refused) } else { Ok(()) }
    }

    fn simple(&self, verb: &'static str, arguments: &[&str]) -> Result<()> {
        let output = self
            .command()
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Error::io("execute", &self.program, error))?;
        if output.status.success() {
            return Ok(());
        }
        let message = clean(&output.stderr);
        Err(Error::Runtime { runtime: self.name(), command: verb, message })
    }
}

/// The socket that the runtime sends a terminal to.
struct Console {
    listener: UnixListener,
    name: String,
    path: PathBuf,
}

impl Console {
    fn new(bundle: &Bundle) -> Result<Self> {
        let name = format!("console-{}", unique());
        let path = bundle.file(&name);
        let failed = |error| Error::io("create", &path, error);
        let dir = File::open(bundle.dir()).map_err(failed)?;
        let short = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
        let listener = UnixListener::bind(short).map_err(failed)?;
        Ok(Self { listener, name, path })
    }

    fn receive(self) -> Result<OwnedFd> {
        let failed = |error| Error::io("receive the terminal from", &self.path, error);
        let (stream, _) = self.listener.accept().map_err(failed)?;
        let (_, fds) = link::receive_raw(stream.as_fd(), &mut [0; 4096]).map_err(failed)?;
        fds.into_iter().next().ok_or_else(|| failed(std::io::ErrorKind::InvalidData.into()))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Part of a file name that no other call uses.
fn unique() -> String {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed))
}

fn read_pid(path: &Path) -> Result<i32> {
    let text = fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
    text.trim()
        .parse()
        .map_err(|_| Error::io("read", path, std::io::Error::from(std::io::ErrorKind::InvalidData)))
}

/// What the runtime wrote before it ended. Never waits.
fn drain(messages: &PipeReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    if rustix::io::ioctl_fionbio(messages, true).is_ok() {
        // It ends with "would block" where somebody else still holds the pipe.
        let mut messages = messages;
        let _ = messages.by_ref().take(64 << 10).read_to_end(&mut bytes);
    }
    bytes
}

/// The messages themselves, out of runc's `time=… level=error msg="…"` and crun's plain lines.
fn clean(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let message = match line.split_once(" msg=") {
            Some((_, quoted)) => serde_json::from_str(quoted).unwrap_or_else(|_| quoted.to_owned()),
            None => line.to_owned(),
        };
        if !lines.contains(&message) {
            lines.push(message);
        }
    }
    lines.join("; ")
}

/// What Docker tells apart by the runtime's words, since the runtimes have no codes for it.
fn classify(message: &str, program: String) -> Option<Error> {
    let lower = message.to_lowercase();
    // Other things can be missing or forbidden as well: a mount's source for example.
    if !lower.contains("exec") {
        return None;
    }
    let is = |needle: &str| lower.contains(needle);
    if is("chdir to cwd") && is("no such file or directory") {
        return Some(Error::no_working_directory(&program));
    }
    if is("executable file") && is("not found")
        || is("exec") && is("no such file or directory") && !is("mount")
    {
        return Some(Error::NotFound { program });
    }
    let reasons = ["permission denied", "exec format error", "is a directory"];
    // crun of a directory.
    let denied = is("open executable: operation not permitted").then_some("permission denied");
    let reason = denied.or_else(|| reasons.into_iter().find(|reason| is(reason) && !is("mount")))?;
    Some(Error::NotExecutable { program, reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtimes_words_become_dockers_codes() {
        let code = |message: &str| classify(message, "x".into()).map(|error| error.exit_code());
        let runc = "runc run failed: unable to start container process: exec: \"x\": ";
        assert_eq!(code(&format!("{runc}executable file not found in $PATH")), Some(127));
        assert_eq!(code(&format!("{runc}stat /x: no such file or directory")), Some(127));
        assert_eq!(code(&format!("{runc}permission denied")), Some(126));
        assert_eq!(code("crun create failed: open executable: Operation not permitted"), Some(126));
        let folder =
            "exec failed: chdir to cwd (\"/nope\") set in config.json failed: no such file or directory";
        assert_eq!(code(folder), Some(126));
        assert_eq!(code("executable file `x` not found in $PATH: No such file or directory"), Some(127));
        assert_eq!(code("error mounting \"/gone\" to rootfs at \"/x\": no such file or directory"), None);
    }

    #[test]
    fn a_message_said_twice_is_shown_once() {
        let output =
            b"time=\"2026-01-01T00:00:00Z\" level=error msg=\"exec: \\\"x\\\": gone\"\nexec: \"x\": gone\n";
        assert_eq!(clean(output), "exec: \"x\": gone");
    }
}
