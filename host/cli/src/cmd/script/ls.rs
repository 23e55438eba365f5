//! `script ls`.

use std::io::Write;

use clap::Args;
use nacre_script::shipped::{self, Known};

use super::failure;
use crate::args::Format;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out;
use crate::out::listing::{Column, Listing};

/// List the scripts that `script run` finds by their names: those that ship, and those of the storage root
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre script ls
  nacre script ls --format json")]
pub struct Ls {
    /// Print only names
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    format: Format,
}

const LISTING: Listing<'static, Known> = Listing {
    columns: &[
        Column { field: "Name", head: "NAME", value: |s| s.name.as_str().into() },
        Column { field: "Kind", head: "KIND", value: |s| s.kind.into() },
        Column { field: "Summary", head: "SUMMARY", value: |s| s.summary.as_str().into() },
        Column {
            field: "File",
            head: "FILE",
            value: |s| s.file.as_ref().map_or_else(String::new, |file| file.display().to_string()).into(),
        },
    ],
    table: &["Name", "Kind", "Summary"],
    quiet: "Name",
};

impl Ls {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let scripts = shipped::all(&cx.global.root).map_err(failure)?;
        let text = match (self.quiet, self.format.format.as_deref()) {
            (true, None) => LISTING.render_quiet(&scripts),
            (_, format) => LISTING.render(&scripts, format)?,
        };
        out::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
        Ok(Exit::OK)
    }
}
