//! What the helpers for a new container and for a further process have in common.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_change, mount_remount};

use super::{FirstStage, Report, SecondStage};
use crate::error::{Error, Result};
use crate::{link, terminal};

/// Closes what this process inherited beyond its standard streams: none of it is the container's.
pub(super) fn close_inherited() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // The directory that was just read is closed already.
        let _ = nix::unistd::close(number);
    }
}

/// The first stage: receives its instructions, makes or enters namespaces with `enter`, and starts
/// the second stage.
pub(super) fn first(second_argument: &str, enter: impl FnOnce(&FirstStage) -> Result<()>) -> ! {
    close_inherited();
    let link = std::io::stdin();
    let outcome = match link::receive::<FirstStage>(&link) {
        Ok(Some((stage, _))) => start_second(&stage, second_argument, enter),
        // The command has gone.
        _ => std::process::exit(1),
    };
    let report = outcome.map_or_else(|error| Report::Failed(error.into()), Report::Pid);
    let told = link::send(&link, &report, &[]);
    std::process::exit(i32::from(told.is_err()))
}

fn start_second(
    stage: &FirstStage,
    argument: &str,
    enter: impl FnOnce(&FirstStage) -> Result<()>,
) -> Result<i32> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| Error::system("make a mount namespace", error))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| Error::io("make private", "/", error))?;
    let program = stage.bundle.join(format!("helper-{}", std::process::id()));
    guard_program(&program)?;
    enter(stage)?;
    let child = Command::new(&program)
        .arg(argument)
        .stdin(Stdio::inherit())
        .spawn()
        .map_err(|error| Error::io("execute", &program, error));
    // In this namespace it is a mount; what is removed is the file beneath, which others see.
    let _ = rustix::mount::unmount(&program, rustix::mount::UnmountFlags::DETACH);
    let _ = fs::remove_file(&program);
    Ok(child?.id() as i32)
}

/// Mounts this program at `at`, read-only and for this namespace alone. The second stage is executed from
/// there: what runs in the container can reach its helper through `/proc/<pid>/exe`, and must not
/// be able to overwrite the host's program that way (CVE-2019-5736).
fn guard_program(at: &Path) -> Result<()> {
    File::create(at).map_err(|error| Error::io("create", at, error))?;
    // By its path, since the open file belongs to the namespace that was just left.
    let program = std::env::current_exe().map_err(|error| Error::system("find this program", error))?;
    mount_bind(&program, at).map_err(|error| Error::io("mount this program", &program, error))?;
    mount_remount(at, MountFlags::BIND | MountFlags::RDONLY, "")
        .map_err(|error| Error::io("make read-only", at, error))
}

/// The streams of the process to be.
pub(super) struct Streams {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// The second stage's end of the link, no longer its standard input, with its instructions.
pub(super) fn second() -> Result<(OwnedFd, SecondStage, Streams)> {
    close_inherited();
    let failed = |error: std::io::Error| Error::system("receive the instructions", error);
    let link = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 3).map_err(|error| failed(error.into()))?;
    let message = link::receive::<()>(&link).map_err(failed)?;
    let fds = message.map(|((), fds)| fds).unwrap_or_default();
    let Ok([job, stdin, stdout, stderr]) = <[OwnedFd; 4]>::try_from(fds) else {
        return Err(failed(std::io::ErrorKind::InvalidData.into()));
    };
    let mut job = File::from(job);
    std::io::Seek::rewind(&mut job).map_err(failed)?;
    let job = serde_json::from_reader(std::io::BufReader::new(job)).map_err(|error| failed(error.into()))?;
    Ok((link, job, Streams { stdin, stdout, stderr }))
}

/// Makes the streams this process's own; with a terminal, makes that and sends its other side.
/// Returns the terminal.
pub(super) fn take_streams(
    link: impl AsFd,
    stage: &SecondStage,
    streams: Streams,
) -> Result<Option<OwnedFd>> {
    let failed = |error: rustix::io::Errno| Error::system("set the standard streams", error);
    rustix::process::setsid().map_err(failed)?;
    if !stage.process.terminal {
        let uid = rustix::fs::Uid::from_raw(stage.process.user.uid);
        for pipe in [&streams.stdout, &streams.stderr] {
            // So that the user can open /dev/stdout.
            rustix::fs::fchown(pipe, Some(uid), None).map_err(failed)?;
        }
        set_standard(&streams.stdin, &streams.stdout, &streams.stderr).map_err(failed)?;
        return Ok(None);
    }
    let (ours, theirs) =
        terminal::open(stage.process.size).map_err(|error| Error::io("open", "/dev/pts/ptmx", error))?;
    link::send(link, &Report::Terminal, &[ours.as_fd()])
        .map_err(|error| Error::system("send the terminal", error))?;
    rustix::fs::fchown(&theirs, Some(rustix::fs::Uid::from_raw(stage.process.user.uid)), None)
        .map_err(failed)?;
    rustix::process::ioctl_tiocsctty(&theirs).map_err(failed)?;
    set_standard(&theirs, &theirs, &theirs).map_err(failed)?;
    Ok(Some(theirs))
}

fn set_standard(stdin: impl AsFd, stdout: impl AsFd, stderr: impl AsFd) -> rustix::io::Result<()> {
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)
}

/// Tells why the second stage could not become the program.
pub(super) fn fail(link: impl AsFd, error: Error) -> ! {
    // When the command has gone there is nobody to tell.
    let _ = link::send(link, &Report::Failed(error.into()), &[]);
    std::process::exit(125)
}
