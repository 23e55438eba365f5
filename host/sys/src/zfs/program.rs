//! The `zfs` program: run without a shell, its complaints turned into cases.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Context, Error, Result};

/// Why ZFS refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A dataset or snapshot of this name exists.
    Exists,
    /// The dataset, its parent, or its pool does not exist.
    Missing,
    /// Something uses it, and went on using it for as long as was waited.
    Busy,
    /// It has snapshots that others were cloned from.
    HasClones,
    /// The pool is full, or a quota is used up.
    Full,
    /// Something else; see the message.
    Other,
}

/// How long something may be busy. zfs-fuse lets a dataset go only some moments after its last use.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(50);

/// Run `zfs <op> <args>` and return what it printed. What is busy is tried again for a while.
pub(super) fn zfs(op: &'static str, dataset: &str, args: &[&str]) -> Result<String> {
    let since = Instant::now();
    loop {
        match once(op, dataset, args) {
            Err(Error::Zfs { fault: Fault::Busy, .. }) if since.elapsed() < PATIENCE => {
                std::thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn once(op: &'static str, dataset: &str, args: &[&str]) -> Result<String> {
    let mut command = Command::new("zfs");
    // Its messages are read.
    command.arg(op).args(args).env("LC_ALL", "C").stdin(Stdio::null());
    crate::proc::end_with_this_thread(&mut command);
    let out = command.output().on("run", "zfs")?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    let said = complaint(&said);
    Err(Error::Zfs { op, dataset: dataset.to_owned(), fault: Fault::of(said), said: said.to_owned() })
}

/// The complaint itself: `dataset is busy` of `cannot destroy 'tank/a': dataset is busy`. What follows in
/// further lines is advice.
fn complaint(said: &str) -> &str {
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed and did not say why");
    line.split_once("': ").map_or(line, |(_, complaint)| complaint).trim()
}

impl Fault {
    /// The words of OpenZFS's and zfs-fuse's libzfs (`libzfs_util.c`, `libzfs_error_description`).
    fn of(complaint: &str) -> Self {
        let says = |words: &str| complaint.contains(words);
        if says("already exists") {
            Self::Exists
        } else if says("does not exist") || says("no such pool") || says("could not find any snapshots") {
            Self::Missing
        } else if says("dependent clones") {
            Self::HasClones
        } else if says("busy") {
            Self::Busy
        } else if says("out of space") || says("No space left") || says("quota exceeded") {
            Self::Full
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_zfs_says_becomes_a_case() {
        for (said, fault) in [
            ("cannot create 'tank/a': dataset already exists\n", Fault::Exists),
            ("cannot create snapshot 'tank/a@s': dataset already exists\n", Fault::Exists),
            ("cannot create 'tank/b/c': parent does not exist\n", Fault::Missing),
            ("cannot create 'foo/b': no such pool 'foo'\n", Fault::Missing),
            ("cannot open 'tank/nope': dataset does not exist\n", Fault::Missing),
            ("could not find any snapshots to destroy; check snapshot names.\n", Fault::Missing),
            ("cannot destroy 'tank/c': dataset is busy\n", Fault::Busy),
            ("cannot destroy 'tank/c': pool or dataset is busy\n", Fault::Busy),
            (
                "cannot destroy 'tank/a': filesystem has dependent clones\nuse '-R' to destroy the following\n",
                Fault::HasClones,
            ),
            ("cannot create 'tank/a': out of space\n", Fault::Full),
            ("cannot set property for 'tank/c': bad numeric value 'foo'\n", Fault::Other),
            ("", Fault::Other),
        ] {
            assert_eq!(Fault::of(complaint(said)), fault, "{said}");
        }
    }

    #[test]
    fn a_complaint_is_told_without_the_name_that_the_error_has_already() {
        assert_eq!(complaint("cannot destroy 'tank/c': dataset is busy\n"), "dataset is busy");
        assert_eq!(complaint("\npermission denied\n"), "permission denied");
    }
}
