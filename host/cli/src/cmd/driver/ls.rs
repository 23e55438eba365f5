//! `driver ls`.

use std::io::Write;

use clap::Args;
use nacre_engine::DriverSummary;

use crate::args::Format;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::listing::{Column, Listing};
use crate::out::{self, units};

/// List storage drivers and selection policies: those that are built in, those that were installed, and those
/// that hold something and are not here
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver ls
  nacre driver ls --format '{{.Name}} {{.Origin}} {{.Digest}}'
  nacre driver ls --format 'table {{.Name}}\t{{.Layers}}\t{{.Containers}}'")]
pub struct Ls {
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
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
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
        Column { field: "Roles", head: "ROLES", value: |r| r.driver.roles.join(" ").into() },
        Column { field: "Origin", head: "ORIGIN", value: |r| r.driver.origin.as_str().into() },
        Column { field: "Digest", head: "DIGEST", value: |r| units::id(&r.driver.digest, r.whole).into() },
        Column { field: "Size", head: "SIZE", value: |r| units::size(r.driver.size).into() },
        Column {
            field: "Current",
            head: "CURRENT",
            value: |r| if r.driver.current { "*" } else { "" }.into(),
        },
        Column { field: "Grants", head: "GRANTS", value: |r| r.driver.grants.join(" ").into() },
        Column { field: "Layers", head: "LAYERS", value: |r| r.driver.layers.into() },
        Column { field: "Containers", head: "CONTAINERS", value: |r| r.driver.containers.into() },
        Column {
            field: "Fault",
            head: "FAULT",
            value: |r| r.driver.fault.clone().unwrap_or_default().into(),
        },
        Column { field: "Summary", head: "SUMMARY", value: summary },
        Column { field: "SizeBytes", head: "BYTES", value: |r| r.driver.size.into() },
    ],
    table: &["Name", "Current", "Origin", "Version", "Digest", "Size", "Summary"],
    quiet: "Name",
};

/// What it says of itself, or why it cannot be used.
fn summary(row: &Row) -> serde_json::Value {
    row.driver.fault.as_deref().unwrap_or(&row.driver.summary).into()
}
