//! The helper that makes a container.

use nix::sched::{CloneFlags, unshare};

use super::{Entry, FirstStage, Place, SecondStage, Surroundings, execute, loopback, rootfs, stage};
use crate::error::{Error, Result};
use crate::spec::Network;

/// The hidden argument of the first stage.
pub(crate) const ARGUMENT: &str = "__init";
/// The hidden argument of the second stage.
pub(crate) const SECOND: &str = "__init-inside";

/// The first stage.
pub(crate) fn main() -> ! {
    stage::first(SECOND, make_namespaces)
}

fn make_namespaces(stage: &FirstStage) -> Result<()> {
    let mut flags = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if matches!(stage.place, Place::New { network: Network::None }) {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags).map_err(|error| Error::system("make namespaces", error))
}

/// The second stage: process 1 of the new namespaces.
pub(crate) fn inside() -> ! {
    let (link, stage, streams) = match stage::second() {
        Ok(parts) => parts,
        Err(error) => stage::fail(std::io::stdin(), error),
    };
    let prepared = match &stage.entry {
        Entry::Make(surroundings) => prepare(&link, &stage, surroundings, streams),
        Entry::Join(_) => Err(Error::BadSpec("a container can't be joined before it is made".into())),
    };
    let error = match prepared {
        Ok(()) => execute::execute(&link, &stage.process),
        Err(error) => error,
    };
    stage::fail(link, error)
}

fn prepare(
    link: &std::os::fd::OwnedFd,
    stage: &SecondStage,
    surroundings: &Surroundings,
    streams: stage::Streams,
) -> Result<()> {
    nix::unistd::sethostname(&surroundings.hostname)
        .map_err(|error| Error::system("set the host name", error))?;
    if surroundings.network == Network::None {
        loopback::up().map_err(|error| Error::system("set the loopback device up", error))?;
    }
    let mut root = rootfs::Root::enter(surroundings)?;
    let terminal = stage::take_streams(link, stage, streams)?;
    if let Some(terminal) = &terminal {
        root.mount_console(terminal)?;
    }
    execute::make_working_directory(&stage.process.cwd)?;
    root.seal(surroundings.read_only)
}
