//! `nacre.exec`: programs of this machine.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use mlua::Value;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::container::assignments;
use crate::registry::{Answer, Call, Kind, Param, takes};
use crate::{Code, Fault};

pub(super) const OPTIONS: &[Param] = &[
    takes("stdin", Kind::Other("string"), "what the program reads; nothing where it is not given"),
    takes("timeout", Kind::Number, "seconds after which it is killed; 600 where it is not said"),
    takes("env", Kind::Pairs, "environment variables, on top of nacre's own"),
    takes("workdir", Kind::Text, "the directory that it starts in"),
];

/// How much of an output is taken.
const LONGEST: u64 = 16 << 20;

const TIMEOUT: f64 = 600.0;

pub(super) fn run(c: &Call<'_>) -> Answer {
    c.host().grants().exec()?;
    let words = c.texts("command")?;
    let Some((program, args)) = words.split_first() else {
        return Err(Fault::usage("no program is named"));
    };
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    for assignment in assignments(c, "env")? {
        if let Some((name, value)) = assignment.split_once('=') {
            command.env(name, value);
        }
    }
    if let Some(dir) = c.text_or("workdir")? {
        command.current_dir(dir);
    }
    let input = match c.value("stdin") {
        Value::Nil => None,
        _ => Some(c.bytes("stdin")?),
    };
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let seconds = if c.value("timeout").is_nil() { TIMEOUT } else { c.number("timeout")? };
    let timeout = Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|span| !span.is_zero())
        .ok_or_else(|| Fault::usage(format!("no program can run for {seconds} seconds")))?;
    let ended = Running::start(&mut command, input)
        .and_then(|running| running.wait(timeout))
        .map_err(|error| fault(program, seconds, &error))?;
    let table = c.lua.create_table()?;
    table.raw_set("code", ended.code)?;
    table.raw_set("stdout", c.lua.create_string(ended.stdout)?)?;
    table.raw_set("stderr", c.lua.create_string(ended.stderr)?)?;
    Ok(Value::Table(table))
}

fn fault(program: &str, seconds: f64, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => Fault::new(Code::NOT_FOUND, format!("there is no program {program}")),
        io::ErrorKind::PermissionDenied => {
            Fault::new(Code::PERMISSION, format!("{program} cannot be run: {error}"))
        }
        io::ErrorKind::TimedOut => {
            Fault::new(Code::FAILED, format!("{program} was killed after {seconds} seconds"))
                .with_hint("`timeout` says how long it may take")
        }
        _ => Fault::new(Code::FAILED, format!("{program} failed: {error}")),
    }
}

struct Ended {
    /// 128+N where signal N ended it.
    code: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// A program that runs, with threads that read and write its streams.
struct Running {
    child: Child,
    stdout: Receiver<io::Result<Vec<u8>>>,
    stderr: Receiver<io::Result<Vec<u8>>>,
}

impl Running {
    fn start(command: &mut Command, input: Option<Vec<u8>>) -> io::Result<Self> {
        let mut child = command.spawn()?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            // One that does not read it all is no failure.
            std::thread::spawn(move || pipe.write_all(&input));
        }
        let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
        Ok(Self { child, stdout, stderr })
    }

    /// Waits for its end and that of its output, and kills it where that takes too long.
    fn wait(mut self, timeout: Duration) -> io::Result<Ended> {
        let ended = self.try_wait(Instant::now() + timeout);
        if ended.is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        ended
    }

    fn try_wait(&mut self, deadline: Instant) -> io::Result<Ended> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let stdout = self.stdout.recv_timeout(left()).map_err(late)??;
        let stderr = self.stderr.recv_timeout(left()).map_err(late)??;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the program has no number"))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let span = Timespec::try_from(left()).map_err(io::Error::other)?;
        if poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&span))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let status = self.child.wait()?;
        let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or_default();
        Ok(Ended { code: status.code().unwrap_or(128 + signal), stdout, stderr })
    }
}

/// Reads a stream to its end in another thread.
fn read(stream: Option<impl Read + Send + 'static>) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let done = stream.map_or(Ok(0), |stream| stream.take(LONGEST + 1).read_to_end(&mut text));
        let _ = sender.send(match done {
            Ok(_) if text.len() as u64 > LONGEST => {
                Err(io::Error::other(format!("it wrote more than {} MiB", LONGEST >> 20)))
            }
            done => done.map(|_| text),
        });
    });
    receiver
}
