//! Joins a container's process to the caller: streams, terminal, signals, the end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustix::io::Errno;
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::error::{Error, Result};
use crate::launch::{self, Launched};
use crate::signal::{self, Signal};
use crate::spec::ProcessSpec;
use crate::state::{ExitStatus, Started};
use crate::terminal::{RawMode, Size};

/// What may still be written after the process's end, by another that it left behind, is waited for that
/// long.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The standard input of a process that a caller waits for.
///
/// # Errors
/// [`Error::NotATerminal`].
pub(crate) fn stdin(process: &ProcessSpec) -> Result<OwnedFd> {
    let caller = io::stdin();
    if process.terminal && process.interactive && !rustix::termios::isatty(&caller) {
        return Err(Error::NotATerminal);
    }
    // A terminal's input is relayed.
    if process.interactive && !process.terminal {
        caller.as_fd().try_clone_to_owned().map_err(|error| Error::system("copy the standard input", error))
    } else {
        empty_input()
    }
}

/// An input without anything in it.
pub(crate) fn empty_input() -> Result<OwnedFd> {
    File::open("/dev/null").map(OwnedFd::from).map_err(|error| Error::io("open", "/dev/null", error))
}

/// The size of the caller's terminal.
pub(crate) fn caller_size() -> Option<Size> {
    Size::of(io::stdin()).or_else(|| Size::of(io::stdout()))
}

/// From here on signals wait to be forwarded.
pub(crate) fn catch_signals(terminal: bool) -> Result<Signals> {
    let mut caught = vec![SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM];
    if terminal {
        caught.push(SIGWINCH);
    }
    Signals::new(caught).map_err(|error| Error::system("catch signals", error))
}

/// Relays streams and signals until the process ends.
pub(crate) fn foreground(launched: Launched, process: &ProcessSpec, signals: Signals) -> Result<ExitStatus> {
    let Launched { started, terminal, pipes } = launched;
    let handle = signals.handle();
    let terminal = terminal.map(|terminal| Arc::new(File::from(terminal)));
    let forwarder = forward(signals, started, terminal.clone());
    let mut outputs = vec![copy(reader(pipes.stderr), copy_fd(io::stderr())?)];
    let relay = match &terminal {
        Some(terminal) => {
            outputs.push(copy(copy_fd(terminal.as_ref())?, copy_fd(io::stdout())?));
            process.interactive.then(|| Relay::start(terminal.clone())).transpose()?
        }
        None => {
            outputs.push(copy(reader(pipes.stdout), copy_fd(io::stdout())?));
            None
        }
    };
    let status = launch::wait(started.pid);
    for output in outputs {
        // Closed or late, the output is over either way.
        let _ = output.recv_timeout(LAST_WORDS);
    }
    drop(relay);
    handle.close();
    let _ = forwarder.join();
    status
}

fn forward(mut signals: Signals, process: Started, terminal: Option<Arc<File>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for number in signals.forever() {
            match (number, &terminal) {
                (SIGWINCH, Some(terminal)) => resize(terminal),
                (number, _) => {
                    // It may have ended just now.
                    let _ = Signal::try_from(number).and_then(|signal| signal::send(process, signal));
                }
            }
        }
    })
}

fn resize(terminal: &File) {
    if let Some(size) = caller_size() {
        let _ = size.set(terminal);
    }
}

/// This process's only end of a pipe: once it is closed, who writes to the other end learns it.
fn reader(pipe: io::PipeReader) -> File {
    File::from(OwnedFd::from(pipe))
}

/// Copies in a thread until the end of either side. The receiver gets a message then.
fn copy(from: File, to: File) -> Receiver<()> {
    let (done, finished) = channel();
    thread::spawn(move || {
        // A terminal ends with an error (EIO); a reader who went away is no failure of the container.
        let _ = copy_all(&from, &to);
        drop(from);
        let _ = done.send(());
    });
    finished
}

/// By reading and writing, and not as `io::copy` does with splice(2): that takes the position in the output
/// file before it waits for input, and so overwrites what the other stream wrote there meanwhile.
fn copy_all(mut from: &File, mut to: &File) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn copy_fd(fd: impl AsFd) -> Result<File> {
    let copied = fd.as_fd().try_clone_to_owned();
    copied.map(File::from).map_err(|error| Error::system("copy a file descriptor", error))
}

/// The caller's keyboard, in raw mode, on its way to the container's terminal. Ends when dropped.
struct Relay {
    stop: Arc<OwnedFd>,
    thread: Option<thread::JoinHandle<()>>,
    _raw: Option<RawMode>,
}

impl Relay {
    fn start(terminal: Arc<File>) -> Result<Self> {
        let failed = |error: Errno| Error::system("make an event", error);
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(failed)?);
        let raw = RawMode::enter(io::stdin());
        resize(&terminal);
        let keyboard = copy_fd(io::stdin())?;
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            // Either end may close; there is nothing more to relay then.
            let _ = relay(&keyboard, &terminal, &stopped);
        });
        Ok(Self { stop, thread: Some(thread), _raw: raw })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn relay(keyboard: &File, terminal: &File, stop: &OwnedFd) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let mut ends = [PollFd::new(keyboard, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match rustix::event::poll(&mut ends, None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        if !ends[1].revents().is_empty() {
            return Ok(());
        }
        match rustix::io::read(keyboard, &mut buffer)? {
            0 => return Ok(()),
            length => (&*terminal).write_all(&buffer[..length])?,
        }
    }
}
