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
mod files;
mod harness;
mod hostile_archives;
mod interchange;
mod main_job;
mod migration;
mod policies;
mod processes;
mod refusals;
mod script;
mod script_examples;
mod script_hooks;
mod script_pages;
mod script_tools;
mod scripts;
mod served;
mod zfs;

use nacre_tests::craft::{Image, Packing};
use nacre_tests::{Nacre, Outcome, fixture, scratch};

/// nacre with a small real image, and that image's name.
fn with_busybox() -> (Nacre, &'static str) {
    let (nacre, image) = (Nacre::new(), fixture::busybox());
    nacre.load(&image.docker());
    (nacre, image.reference)
}

/// Loads an image that is made on the spot.
fn crafted(nacre: &Nacre, image: &Image, packing: Packing) -> Outcome {
    let dir = scratch();
    let archive = dir.path().join("archive.tar");
    std::fs::write(&archive, image.oci_layout(packing).tar()).unwrap();
    nacre.run(["load", "-i", archive.to_str().unwrap()])
}
