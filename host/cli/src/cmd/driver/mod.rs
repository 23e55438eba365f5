//! `driver`: the storage drivers, which are components.

use std::io::Write;

use clap::{Args, Subcommand};
use nacre_engine::DriverSummary;

use super::inspect::{self, Kind};
use crate::args::Format;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::listing::{Column, Listing};
use crate::out::{self, units};

/// Look at storage drivers
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver ls
  nacre driver inspect overlay2")]
pub struct Driver {
    #[command(subcommand)]
    command: DriverCommand,
}

#[derive(Debug, Subcommand)]
enum DriverCommand {
    #[command(visible_alias = "list")]
    Ls(Ls),
    Inspect(InspectDriver),
}

impl Driver {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self.command {
            DriverCommand::Ls(c) => c.run(cx),
            DriverCommand::Inspect(c) => c.run(cx),
        }
    }
}

/// List storage drivers
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver ls
  nacre driver ls --format '{{.Name}} {{.Digest}}'")]
struct Ls {
    /// Print only names
    #[arg(short, long)]
    quiet: bool,
    /// Cut nothing off
    #[arg(long)]
    no_trunc: bool,
    #[command(flatten)]
    format: Format,
}

impl Ls {
    fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let drivers = cx.engine()?.drivers()?;
        let rows: Vec<Row> = drivers.into_iter().map(|driver| Row { driver, whole: self.no_trunc }).collect();
        let text = match (self.quiet, self.format.format.as_deref()) {
            (true, None) => LISTING.render_quiet(&rows),
            (_, format) => LISTING.render(&rows, format)?,
        };
        out::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
        Ok(Exit::OK)
    }
}

#[derive(Debug)]
struct Row {
    driver: DriverSummary,
    whole: bool,
}

const LISTING: Listing<'static, Row> = Listing {
    columns: &[
        Column { field: "Name", head: "NAME", value: |r| r.driver.name.as_str().into() },
        Column { field: "Version", head: "VERSION", value: |r| r.driver.version.as_str().into() },
        Column { field: "Digest", head: "DIGEST", value: |r| units::id(&r.driver.digest, r.whole).into() },
        Column { field: "Size", head: "SIZE", value: |r| units::size(r.driver.size).into() },
        Column {
            field: "Current",
            head: "CURRENT",
            value: |r| if r.driver.current { "*" } else { "" }.into(),
        },
        Column { field: "Grants", head: "GRANTS", value: |r| r.driver.grants.join(" ").into() },
        Column { field: "Summary", head: "SUMMARY", value: |r| r.driver.summary.as_str().into() },
        Column { field: "SizeBytes", head: "BYTES", value: |r| r.driver.size.into() },
    ],
    table: &["Name", "Current", "Version", "Digest", "Size", "Summary"],
    quiet: "Name",
};

/// Show everything about storage drivers: roles, grants, options with their defaults
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver inspect overlay2
  nacre driver inspect -f '{{json .Description.grants}}' overlay2")]
struct InspectDriver {
    /// `json` or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// The drivers
    #[arg(required = true, value_name = "DRIVER")]
    drivers: Vec<String>,
}

impl InspectDriver {
    fn run(self, cx: &Context) -> Result<Exit, Failure> {
        inspect::show(cx, &self.drivers, &[Kind::Driver], self.format.as_deref())
    }
}
