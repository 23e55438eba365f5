//! The suites. One binary, so that it is linked once; a topic is a module.
#![allow(missing_docs, reason = "the names of tests say what they show")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
mod concurrency;
mod conformance;
mod crash;
mod devicemapper;
mod disk;
mod docs;
mod driver_commands;
mod drivers;
mod explain;
mod fidelity;
mod harness;
mod hostile_archives;
mod interchange;
mod main_job;
mod processes;
mod zfs;
