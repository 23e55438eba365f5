//! The last steps inside: the user, the working directory, the program.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::sys::signal::SigSet;
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Report;
use super::credentials::become_user;
use crate::error::{Error, Result};
use crate::link;
use crate::process::Process;

/// Becomes the program. Returns only when that fails.
pub(super) fn execute(link: &OwnedFd, process: &Process) -> Error {
    match try_execute(link, process) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn try_execute(link: &OwnedFd, process: &Process) -> Result<Infallible> {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let name = process.args.first().map(String::as_str).unwrap_or_default();
    enter_working_directory(&process.cwd, name)?;
    become_user(&process.user)?;
    let program = find_program(name, process.variable("PATH").unwrap_or_default())?;
    reset_signals()?;
    let (program, args, env) = (c_string(&program)?, c_strings(&process.args)?, c_strings(&process.env)?);
    wait_for_release(link)?;
    // Closes the link, which tells the command that it went well. Not `Command::exec`, which would give
    // what is no program to a shell.
    nix::unistd::execve(&program, &args, &env).map_err(|error| exec_error(name, error.into()))
}

/// When the command has gone, the program is not to run: nobody knows of it.
fn wait_for_release(link: &OwnedFd) -> Result<()> {
    let failed = |error| Error::system("wait for the command", error);
    link::send(link, &Report::Ready, &[]).map_err(failed)?;
    match link::receive::<()>(link).map_err(failed)? {
        Some(_) => Ok(()),
        None => Err(failed(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// Rust programs ignore SIGPIPE, and what is ignored stays so in the program. What is handled does not.
fn reset_signals() -> Result<()> {
    signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::default())
        .map_err(|error| Error::system("reset SIGPIPE", error))?;
    SigSet::empty().thread_set_mask().map_err(|error| Error::system("unblock the signals", error))
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>> {
    texts.iter().map(|text| c_string(text)).collect()
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::BadSpec(format!("a NUL byte in {text:?}")))
}

/// As Docker, which makes an image's working directory when it is missing.
pub(super) fn make_working_directory(cwd: &str) -> Result<()> {
    std::fs::create_dir_all(cwd).map_err(|error| Error::io("create the working directory", cwd, error))
}

fn enter_working_directory(cwd: &str, program: &str) -> Result<()> {
    let failed = |error: io::Error| Error::io("change to the working directory", cwd, error);
    std::env::set_current_dir(cwd).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::no_working_directory(program),
        _ => failed(error),
    })?;
    // A path through /proc/self/fd could lead out of the container (CVE-2024-21626).
    match std::env::current_dir() {
        Ok(path) if path.is_absolute() => Ok(()),
        Ok(_) => Err(failed(io::Error::other("it is outside of the container"))),
        Err(error) => Err(failed(error)),
    }
}

/// The path of the program, searched for as a shell does.
fn find_program(name: &str, path: &str) -> Result<String> {
    if name.contains('/') {
        return check_program(name, name).map(|()| name.to_owned());
    }
    let mut refused = None;
    for directory in path.split(':') {
        let candidate = format!("{}/{name}", if directory.is_empty() { "." } else { directory });
        match check_program(name, &candidate) {
            Ok(()) => return Ok(candidate),
            Err(Error::NotFound { .. }) => {}
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| Error::NotFound { program: name.to_owned() }))
}

fn check_program(name: &str, path: &str) -> Result<()> {
    // No magic link: /proc/self/exe is the helper, a program of the host.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let stat = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
        .and_then(rustix::fs::fstat);
    let kind = match stat {
        Ok(stat) => FileType::from_raw_mode(stat.st_mode),
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(Error::NotFound { program: name.to_owned() }),
        Err(error) => return Err(not_executable(name, error.into())),
    };
    if kind == FileType::Directory {
        return Err(not_executable(name, Errno::ISDIR.into()));
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|error| not_executable(name, error.into()))
}

fn exec_error(name: &str, error: io::Error) -> Error {
    match error.kind() {
        // The program is there: what is missing is the interpreter that it names.
        io::ErrorKind::NotFound => Error::NotFound { program: name.to_owned() },
        _ => not_executable(name, error),
    }
}

fn not_executable(name: &str, error: io::Error) -> Error {
    let reason = match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "is a directory".into(),
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => "exec format error".into(),
        _ => error.to_string(),
    };
    Error::NotExecutable { program: name.to_owned(), reason }
}
