//! Dying on purpose, for the crash tests: a debug build kills itself where `NACRE_CRASH` says.
//!
//! `NACRE_CRASH=<operation>:<boundary>`, where a boundary is `begin` (journaled), a number of steps that
//! were run, `record` (committed), or for loads `fill` and `sync`. A release build has no such code.

use crate::driver::Operation;

/// After `count` steps of a plan.
pub(crate) fn at_step(operation: Operation, count: usize) {
    if cfg!(debug_assertions) {
        at(operation, &count.to_string());
    }
}

/// At a named boundary.
pub(crate) fn at(operation: Operation, boundary: &str) {
    if cfg!(debug_assertions)
        && let Ok(wanted) = std::env::var("NACRE_CRASH")
        && wanted.split_once(':') == Some((operation.name(), boundary))
    {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
