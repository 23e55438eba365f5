//! `history`.

use std::io::Write;

use clap::Args;
use nacre_engine::HistoryEntry;

use crate::args::Format;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::listing::{Column, Listing};
use crate::out::{self, units};

/// Show how an image was made, newest step first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre history debian:latest
  nacre history --no-trunc --format '{{.Size}}: {{.CreatedBy}}' debian:latest")]
pub struct History {
    /// Cut nothing off
    #[arg(long)]
    no_trunc: bool,
    /// Print only IDs
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    format: Format,
    /// The image
    image: String,
}

impl History {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let now = units::now();
        let entries = cx.engine()?.history(&self.image)?;
        let rows: Vec<Row> =
            entries.into_iter().map(|entry| Row { entry, whole: self.no_trunc, now }).collect();
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
    entry: HistoryEntry,
    whole: bool,
    now: i64,
}

const LISTING: Listing<'static, Row> = Listing {
    columns: &[
        Column {
            field: "ID",
            head: "IMAGE",
            value: |r| r.entry.id.as_deref().map_or("<missing>", |id| units::id(id, r.whole)).into(),
        },
        Column {
            field: "CreatedSince",
            head: "CREATED",
            value: |r| {
                r.entry.created.map_or_else(|| "N/A".to_owned(), |time| units::ago(time, r.now)).into()
            },
        },
        Column {
            field: "CreatedAt",
            head: "CREATED AT",
            value: |r| r.entry.created.map_or_else(|| "N/A".to_owned(), units::rfc3339).into(),
        },
        Column { field: "CreatedBy", head: "CREATED BY", value: |r| created_by(r).into() },
        Column { field: "Size", head: "SIZE", value: |r| units::size(r.entry.size).into() },
        Column { field: "Comment", head: "COMMENT", value: |r| r.entry.comment.as_str().into() },
        Column { field: "Layer", head: "LAYER", value: |r| layer(r).into() },
        Column { field: "SizeBytes", head: "BYTES", value: |r| r.entry.size.into() },
    ],
    table: &["ID", "CreatedSince", "CreatedBy", "Size", "Comment"],
    quiet: "ID",
};

fn created_by(row: &Row) -> String {
    let text = row.entry.created_by.replace(['\t', '\n'], " ");
    if row.whole { text } else { units::shorten(&text, 45) }
}

fn layer(row: &Row) -> &str {
    row.entry.layer.as_deref().map_or("", |layer| units::id(layer, row.whole))
}
