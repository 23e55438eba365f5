//! Dying on purpose, for the crash tests: a debug build kills itself where `NACRE_CRASH` says, and stands still
//! (SIGSTOP) where `NACRE_STOP` says, so that a test can do something meanwhile.
//!
//! `NACRE_CRASH=<operation>:<boundary>`, where a boundary is `begin` (journaled), a number of steps that
//! were run, `record` (committed), or for loads `fill` and `sync`. A container's start has `start:mounted`,
//! `start:launched` and `start:recorded`, a commit `pause:held`. A release build has no such code.

use rustix::process::{Signal, getpid, kill_process};

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
    if !cfg!(debug_assertions) {
        return;
    }
    for (variable, signal) in [("NACRE_CRASH", Signal::KILL), ("NACRE_STOP", Signal::STOP)] {
        if std::env::var(variable).is_ok_and(|at| at.split_once(':') == Some((operation, boundary))) {
            let _ = kill_process(getpid(), signal);
        }
    }
}
