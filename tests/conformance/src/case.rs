//! A case.

use crate::bench::Bench;
use crate::verdict::Done;

/// One thing that a driver must do right.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// `<topic>/<what>`, such as `whiteouts/file`. A name that was released keeps its meaning.
    pub name: &'static str,
    /// What holds where it passes, in one sentence.
    pub about: &'static str,
    pub(crate) run: fn(&Bench<'_>) -> Done,
}

impl Case {
    pub(crate) const fn new(name: &'static str, about: &'static str, run: fn(&Bench<'_>) -> Done) -> Self {
        Self { name, about, run }
    }
}
