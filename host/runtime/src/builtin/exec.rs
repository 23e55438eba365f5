//! The helper that starts a further process in a running container.

use std::fs::File;

use nix::sched::{CloneFlags, setns};

use super::{Entry, FirstStage, Place, execute, stage};
use crate::error::{Error, Result};
use crate::state::{Started, is_alive};

/// The hidden argument of the first stage.
pub(crate) const ARGUMENT: &str = "__exec";
/// The hidden argument of the second stage.
pub(crate) const SECOND: &str = "__exec-inside";

/// The first stage.
pub(crate) fn main() -> ! {
    stage::first(SECOND, |stage: &FirstStage| match stage.place {
        Place::Of(process) => enter(process, &[("pid", CloneFlags::CLONE_NEWPID)]),
        Place::New { .. } => Err(Error::BadSpec("no process to join".into())),
    })
}

/// The second stage, already in the process ID namespace.
pub(crate) fn inside() -> ! {
    let (link, stage, streams) = match stage::second() {
        Ok(parts) => parts,
        Err(error) => stage::fail(std::io::stdin(), error),
    };
    let entered = match stage.entry {
        Entry::Join(process) => enter(process, &INSIDE),
        Entry::Make(_) => Err(Error::BadSpec("no process to join".into())),
    };
    let error = match entered.and_then(|()| stage::take_streams(&link, &stage, streams)) {
        Ok(_) => execute::execute(&link, &stage.process),
        Err(error) => error,
    };
    stage::fail(link, error)
}

/// The mount namespace comes last: the others are opened through this one's `/proc`.
const INSIDE: [(&str, CloneFlags); 4] = [
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("net", CloneFlags::CLONE_NEWNET),
    ("mnt", CloneFlags::CLONE_NEWNS),
];

fn enter(process: Started, namespaces: &[(&'static str, CloneFlags)]) -> Result<()> {
    let open = |(name, kind): &(&'static str, CloneFlags)| {
        let path = format!("/proc/{}/ns/{name}", process.pid);
        File::open(&path)
            .map(|file| (file, *kind, path.clone()))
            .map_err(|error| Error::io("open", path, error))
    };
    let files = namespaces.iter().map(open).collect::<Result<Vec<_>>>()?;
    // Checked after opening: what was opened is that process's, and not that of a later one of its number.
    if !is_alive(process) {
        return Err(Error::NotRunning { id: format!("of process {}", process.pid) });
    }
    for (file, kind, path) in files {
        setns(&file, kind).map_err(|error| Error::io("enter", path, error))?;
    }
    Ok(())
}
