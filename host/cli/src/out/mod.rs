//! What the user sees: tables, templates, JSON, plans, progress; sizes and times as Docker writes them.

pub mod explain;
pub mod filter;
pub mod listing;
pub mod progress;
pub mod sink;
pub mod table;
pub mod template;
pub mod units;

use std::io::{self, BufWriter, StdoutLock, Write};

use crate::failure::Failure;

/// Writes to standard output through a buffer, so that a listing is a few large writes. A reader that went
/// away ends the command quietly (see [`Failure`]'s conversion from [`io::Error`]).
pub fn to_stdout(
    write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    write(&mut out)?;
    out.flush()?;
    Ok(())
}

/// Writes one line to standard output.
pub fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}
