//! One suite that any storage driver can be put to: those that ship with nacre, and anyone's.
//!
//! A driver is judged by what its containers see, not by its plans: each case makes images and containers on
//! a throw-away root through the engine's public door, does to their trees what programs do, and compares.
//! What the cases check follows Docker's `daemon/graphdriver/graphtest` and containerd's
//! `core/snapshots/testsuite`, and goes on where those stop: crashes at every step of every plan, and random
//! operations against a plain directory.
//!
//! ```no_run
//! use nacre_conformance::{Event, Subject, Wanted};
//!
//! # fn main() -> Result<(), nacre_conformance::Error> {
//! let subject = Subject::new("overlay2", "/mnt/xfs");
//! let report = nacre_conformance::run(&subject, &Wanted::default(), &mut |event| {
//!     if let Event::Ended(outcome) = event {
//!         println!("{} {}", outcome.case, outcome.verdict.word());
//!     }
//! })?;
//! assert!(report.passed());
//! # Ok(())
//! # }
//! ```
//!
//! # Contract
//!
//! - A case is independent: it makes what it needs and removes it. What it leaves behind is its failure, and
//!   the next case gets a new root.
//! - A case passes, fails with what was expected and what was found, or is skipped with a reason. A feature
//!   that a driver need not have, such as quotas, is skipped only where its absence is told clearly.
//! - Nothing is left below the directory that the suite stands on, whatever fails; all mounts are ended.

mod bench;
mod case;
mod cases;
mod files;
mod layer;
mod random;
mod report;
mod root;
mod tree;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::Instant;

pub use case::Case;
pub use report::{Outcome, Report};
pub use verdict::Verdict;

use root::Root;

/// Why the suite could not be run at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory to stand on cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Place {
        /// A verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The driver could not be loaded, or says that it cannot work there.
    #[error("the driver {driver} cannot be tested on {}", on.display())]
    Driver {
        /// As it was named.
        driver: String,
        /// The directory to stand on.
        on: PathBuf,
        /// Why not.
        #[source]
        source: Box<nacre_engine::Error>,
    },
    /// No case has such a name.
    #[error("no case has `{0}` in its name")]
    NoSuchCase(String),
}

/// What is put to the suite.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The driver, by name or by its component's file.
    pub driver: String,
    /// `<driver>.<option>=<value>` settings.
    pub storage_opts: Vec<String>,
    /// A directory on the file system that the driver is to work on. Roots are made in it and removed.
    pub on: PathBuf,
    /// The `nacre` command, which the crash cases kill; none skips them.
    pub nacre: Option<PathBuf>,
}

impl Subject {
    /// A driver with its default options.
    pub fn new(driver: impl Into<String>, on: impl Into<PathBuf>) -> Self {
        Self { driver: driver.into(), storage_opts: Vec::new(), on: on.into(), nacre: None }
    }

    /// With this `nacre` command, for the crash cases.
    #[must_use]
    pub fn with_command(mut self, nacre: impl Into<PathBuf>) -> Self {
        self.nacre = Some(nacre.into());
        self
    }

    fn refused(&self, source: nacre_engine::Error) -> Error {
        Error::Driver { driver: self.driver.clone(), on: self.on.clone(), source: Box::new(source) }
    }
}

/// Which cases are run, and how hard the random ones try.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Only cases whose names have one of these in them; empty for all.
    pub filters: Vec<String>,
    /// Where the random cases start. The same seed gives the same sequences.
    pub seed: u64,
    /// How many sequences a random case tries.
    pub rounds: u32,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { filters: Vec::new(), seed: 1, rounds: 24 }
    }
}

impl Wanted {
    /// The cases whose names have this in them.
    pub fn only(filter: impl Into<String>) -> Self {
        Self { filters: vec![filter.into()], ..Self::default() }
    }

    fn cases(&self) -> Result<Vec<&'static Case>, Error> {
        for filter in &self.filters {
            if !cases().iter().any(|case| case.name.contains(filter)) {
                return Err(Error::NoSuchCase(filter.clone()));
            }
        }
        let is_wanted =
            |case: &&Case| self.filters.is_empty() || self.filters.iter().any(|f| case.name.contains(f));
        Ok(cases().iter().filter(is_wanted).collect())
    }
}

/// What happens during a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// A case begins.
    Began {
        /// The case.
        case: &'a Case,
        /// Counted from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// A case ended.
    Ended(&'a Outcome),
}

/// All cases, in the order in which they are run.
pub fn cases() -> &'static [Case] {
    cases::ALL
}

/// Put a driver to the suite.
///
/// # Errors
/// Only where nothing could be tried: what the driver does wrong is in the report.
pub fn run(subject: &Subject, wanted: &Wanted, watch: &mut dyn FnMut(Event<'_>)) -> Result<Report, Error> {
    let cases = wanted.cases()?;
    let mut root = Some(Root::new(subject)?);
    let mut report = Report::new(subject, wanted, root.as_ref().map(Root::driver));
    for (number, case) in (1..).zip(&cases) {
        watch(Event::Began { case, number, of: cases.len() });
        let began = Instant::now();
        let here = root.take().map_or_else(|| Root::new(subject), Ok)?;
        let (verdict, left) = bench::run(case, subject, wanted, here);
        root = left;
        let outcome = Outcome::new(case, verdict, began.elapsed());
        watch(Event::Ended(&outcome));
        report.outcomes.push(outcome);
    }
    Ok(report)
}

/// The nearest directory that exists, at a path or above it.
pub fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"))
}
