//! `system`: the store as a whole.

use std::io::Write;

use clap::{Args, Subcommand};
use nacre_engine::{DfRow, Finding};

use super::{container, image, info, layer, prune};
use crate::args::{Explain, Format};
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out::listing::{Column, Listing};
use crate::out::{self, units};

/// Look at the store as a whole, check it, and free space
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre system df
  nacre system check
  nacre system prune --all --force")]
pub struct System {
    #[command(subcommand)]
    command: SystemCommand,
}

#[derive(Debug, Subcommand)]
enum SystemCommand {
    Df(Df),
    Check(Check),
    Info(info::Info),
    Prune(Prune),
}

impl System {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self.command {
            SystemCommand::Df(c) => c.run(cx),
            SystemCommand::Check(c) => c.run(cx),
            SystemCommand::Info(c) => c.run(cx),
            SystemCommand::Prune(c) => c.run(cx),
        }
    }
}

/// Show what takes space, and how much of it can be freed
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre system df
  nacre system df -v
  nacre system df --format '{{.Type}}: {{.Reclaimable}}'")]
struct Df {
    /// Show each image, container and layer
    #[arg(short, long, conflicts_with = "format")]
    verbose: bool,
    #[command(flatten)]
    format: Format,
}

const DF: Listing<'static, DfRow> = Listing {
    columns: &[
        Column { field: "Type", head: "TYPE", value: |r| r.kind.as_str().into() },
        Column { field: "TotalCount", head: "TOTAL", value: |r| r.total.to_string().into() },
        Column { field: "Active", head: "ACTIVE", value: |r| r.active.to_string().into() },
        Column { field: "Size", head: "SIZE", value: |r| units::size(r.size).into() },
        Column { field: "Reclaimable", head: "RECLAIMABLE", value: |r| reclaimable(r).into() },
        Column { field: "SizeBytes", head: "BYTES", value: |r| r.size.into() },
        Column { field: "ReclaimableBytes", head: "RECLAIMABLE BYTES", value: |r| r.reclaimable.into() },
    ],
    table: &["Type", "TotalCount", "Active", "Size", "Reclaimable"],
    quiet: "Type",
};

fn reclaimable(row: &DfRow) -> String {
    let size = units::size(row.reclaimable);
    match row.size {
        0 => size,
        whole => format!("{size} ({}%)", row.reclaimable.saturating_mul(100) / whole),
    }
}

/// `system df` as it is shown.
pub fn render_df(rows: &[DfRow], format: Option<&str>) -> Result<String, Failure> {
    DF.render(rows, format)
}

impl Df {
    fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine()?;
        let text = if self.verbose {
            let now = units::now();
            format!(
                "Images:\n\n{}\nContainers:\n\n{}\nLayers:\n\n{}",
                image::ls::render(engine.images()?, None, false, now)?,
                container::ls::render(engine.containers(true, true)?, None, true, false, now)?,
                layer::render(engine.layers()?, None, false, now)?
            )
        } else {
            render_df(&engine.df()?, self.format.format.as_deref())?
        };
        out::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
        Ok(Exit::OK)
    }
}

/// Compare what the store knows with what is on disk
///
/// Ends with code 9 when something was found and not mended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre system check
  nacre system check --repair
  nacre system check --format json")]
struct Check {
    /// Mend what can be mended
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    format: Format,
}

const FINDINGS: Listing<'static, Finding> = Listing {
    columns: &[
        Column { field: "Kind", head: "KIND", value: |f| f.kind.as_str().into() },
        Column {
            field: "Repaired",
            head: "REPAIRED",
            value: |f| if f.repaired { "yes" } else { "no" }.into(),
        },
        Column { field: "Message", head: "MESSAGE", value: |f| f.message.as_str().into() },
    ],
    table: &["Kind", "Repaired", "Message"],
    quiet: "Kind",
};

impl Check {
    fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let findings = cx.engine()?.check(self.repair)?;
        let format = self.format.format.as_deref();
        if findings.is_empty() && format.is_none() {
            out::line("Nothing is wrong.")?;
            return Ok(Exit::OK);
        }
        let text = FINDINGS.render(&findings, format)?;
        out::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
        let left = findings.iter().filter(|finding| !finding.repaired).count();
        if left == 0 {
            return Ok(Exit::OK);
        }
        let failure = Failure::new(exit::DAMAGED, format!("the check found {left} that were not mended"));
        Err(match self.repair {
            true => failure,
            false => failure.with_help("`nacre system check --repair` mends what can be mended"),
        })
    }
}

/// Remove containers that do not run, and images without a name
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre system prune
  nacre system prune --all --force
  nacre system prune --explain")]
struct Prune {
    /// Remove all images that no container uses, also those with a name
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    explain: Explain,
}

impl Prune {
    fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let images = if self.all { "all images that no container uses" } else { "all images without a name" };
        let what = format!("all containers that do not run, and {images}");
        prune(cx, self.force, self.explain, &what, "Deleted:", |engine| {
            let containers = engine.prune_containers()?;
            let images = engine.prune_images(self.all)?;
            let lines = [containers.deleted, images.untagged, images.deleted].concat();
            Ok((lines, containers.bytes + images.bytes))
        })
    }
}
