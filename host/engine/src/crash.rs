//! Dying on purpose, for the crash tests: a debug build kills itself where `NACRE_CRASH` says.
//!
//! `NACRE_CRASH=<operation>:<boundary>`, where a boundary is `begin` (journaled), a number of steps that
//! were run, `record` (committed), or for loads `fill` and `sync`. A container's start has `start:mounted`,
//! `start:launched` and `start:recorded`, a commit `pause:held`. A release build has no such code.

use crate::driver::Operation;

/// After `count` steps of a plan.
pub(crate) fn at_step(operation: Operation, count: usize) {
    if cfg!(debug_assertions) {
        at(operation, &count.to_string());
    }
}

/// At a named boundary.
pub(crate) fn at(operation: Operation, boundary: &str) {
    at_named(operation.name(), boundary);
}

/// In the start of a container's process.
pub(crate) fn in_start(boundary: &str) {
    at_named("start", boundary);
}

/// While a container's processes are held still.
pub(crate) fn in_pause(boundary: &str) {
    at_named("pause", boundary);
}

fn at_named(operation: &str, boundary: &str) {
    if cfg!(debug_assertions)
        && let Ok(wanted) = std::env::var("NACRE_CRASH")
        && wanted.split_once(':') == Some((operation, boundary))
    {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
