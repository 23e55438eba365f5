//! Running a file of tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nacre_engine::Config;

use crate::fixture::{Outcome, Suite};
use crate::{Fault, Grants, Host, Limits, Script, Source, Uncaught};

/// How a file of tests is run.
#[derive(Debug, Clone)]
pub struct Test {
    /// The file.
    pub source: Source,
    /// The directory on whose file system throw-away roots are made.
    pub on: PathBuf,
    /// The driver of new layers, and its options.
    pub config: Config,
    /// What the tests may do besides.
    pub grants: Grants,
    /// How much the file may use, all its tests together.
    pub limits: Limits,
}

/// Runs a file of tests, and tells each outcome as it comes. `ready` is given what interrupts the file, and `end` is
/// called from another thread where a test is stuck: it must end the process, after
/// [`fixture::remove_all`](crate::fixture::remove_all).
///
/// # Errors
/// The file ended by an error that is none of a test.
pub fn test(
    test: &Test,
    stuck_after: Duration,
    ready: impl FnOnce(Arc<AtomicBool>),
    end: impl FnOnce() + Send + 'static,
    heard: impl Fn(&Outcome) + 'static,
) -> Result<(), Box<Uncaught>> {
    let suite = Suite::new(test.on.clone(), heard);
    let host = Host::new(test.config.clone()).with_grants(test.grants.clone()).for_tests(suite);
    let script = Script::new(host, &test.limits).map_err(|fault: Fault| Box::new(Uncaught::from(fault)))?;
    script.watch(stuck_after, end);
    ready(script.interrupted());
    let ended = script.run(&test.source, &[]);
    script.host.clear();
    ended.map(drop)
}
