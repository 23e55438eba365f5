//! `driver inspect`.

use clap::Args;

use crate::cmd::inspect::{self, Kind};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Show everything about components: options with types, defaults and help, grants, worked examples
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver inspect overlay2
  nacre driver inspect ./my-driver.wasm
  nacre driver inspect -f '{{json .Grants}}' overlay2
  nacre driver inspect -f '{{range .Options}}{{println .Name .Type .Default .Help}}{{end}}' overlay2")]
pub struct Inspect {
    /// `json` or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// The components, by name or by file
    #[arg(required = true, value_name = "NAME|FILE")]
    drivers: Vec<String>,
}

impl Inspect {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        inspect::show(cx, &self.drivers, &[Kind::Driver], self.format.as_deref())
    }
}
