//! What the user sees: tables, templates, JSON, plans, progress; sizes and times as Docker writes them.

pub mod escape;
pub mod explain;
pub mod filter;
pub mod listing;
pub mod progress;
pub mod sink;
pub mod table;
pub mod template;
pub mod units;

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use crate::failure::Failure;
use escape::Shown;

/// Standard output as [`to_stdout`] gives it.
pub type Stdout = Shown<BufWriter<StdoutLock<'static>>>;

/// Writes to standard output through a buffer, so that a listing is a few large writes. A reader that went
/// away ends the command quietly (see [`Failure`]'s conversion from [`io::Error`]). A terminal gets no control
/// characters ([`escape`]).
pub fn to_stdout(write: impl FnOnce(&mut Stdout) -> Result<(), Failure>) -> Result<(), Failure> {
    let stdout = io::stdout().lock();
    let terminal = stdout.is_terminal();
    let mut out = Shown::new(BufWriter::with_capacity(64 << 10, stdout), terminal);
    write(&mut out)?;
    out.flush()?;
    Ok(())
}

/// Writes one line to standard output, on a terminal without control characters.
pub fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    to_stdout(|out| Ok(out.write_all(format!("{text}\n").as_bytes())?))
}
