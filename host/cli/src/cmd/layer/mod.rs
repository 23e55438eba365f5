//! `layer`: the layers that images are made of.

mod tree;

pub use tree::render as render_tree;

use std::io::Write;

use clap::{Args, Subcommand};
use nacre_engine::LayerSummary;

use super::inspect::{self, Kind};
use crate::args::Format;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::filter::Filters;
use crate::out::listing::{Column, Listing};
use crate::out::{self, units};

/// Look at layers: what is shared by which images
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre layer ls
  nacre layer tree
  nacre layer inspect 3f2a91bc7d10")]
pub struct Layer {
    #[command(subcommand)]
    command: LayerCommand,
}

#[derive(Debug, Subcommand)]
enum LayerCommand {
    #[command(visible_alias = "list")]
    Ls(Ls),
    Tree(tree::Tree),
    Inspect(InspectLayer),
}

impl Layer {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self.command {
            LayerCommand::Ls(c) => c.run(cx),
            LayerCommand::Tree(c) => c.run(cx),
            LayerCommand::Inspect(c) => c.run(cx),
        }
    }
}

/// List layers
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre layer ls
  nacre layer ls --filter image=debian:latest
  nacre layer ls --no-trunc --format '{{.ID}} {{.Parent}} {{.SizeBytes}}'")]
struct Ls {
    /// Print only chain IDs
    #[arg(short, long)]
    quiet: bool,
    /// Cut nothing off
    #[arg(long)]
    no_trunc: bool,
    /// Show only some: image, driver
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    #[command(flatten)]
    format: Format,
}

impl Ls {
    fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let filters = Filters::parse(&self.filter, &["image", "driver"])?;
        let engine = cx.engine()?;
        let mut layers = engine.layers()?;
        layers.retain(|layer| filters.allow("driver", |driver| layer.driver == driver));
        if let images @ [_, ..] = filters.values("image") {
            let chains =
                images.iter().map(|image| engine.image_chain(image)).collect::<Result<Vec<_>, _>>()?;
            layers.retain(|layer| chains.iter().flatten().any(|id| *id == layer.chain_id));
        }
        let format = self.format.format.as_deref();
        let text = match (self.quiet, format) {
            (true, None) => LISTING.render_quiet(&rows(layers, self.no_trunc, units::now())),
            _ => render(layers, format, self.no_trunc, units::now())?,
        };
        out::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
        Ok(Exit::OK)
    }
}

#[derive(Debug)]
struct Row {
    layer: LayerSummary,
    whole: bool,
    now: i64,
}

const LISTING: Listing<'static, Row> = Listing {
    columns: &[
        Column { field: "ID", head: "CHAIN ID", value: |r| units::id(&r.layer.chain_id, r.whole).into() },
        Column { field: "DiffID", head: "DIFF ID", value: |r| units::id(&r.layer.diff_id, r.whole).into() },
        Column {
            field: "Parent",
            head: "PARENT",
            value: |r| r.layer.parent.as_deref().map_or("", |id| units::id(id, r.whole)).into(),
        },
        Column { field: "Size", head: "SIZE", value: |r| units::size(r.layer.size).into() },
        Column {
            field: "CreatedSince",
            head: "CREATED",
            value: |r| units::ago(r.layer.created, r.now).into(),
        },
        Column { field: "CreatedAt", head: "CREATED AT", value: |r| units::date(r.layer.created).into() },
        Column { field: "Containers", head: "CONTAINERS", value: |r| r.layer.containers.to_string().into() },
        Column { field: "Images", head: "IMAGES", value: |r| images(&r.layer.images, r.whole).into() },
        Column { field: "Driver", head: "DRIVER", value: |r| r.layer.driver.as_str().into() },
        Column { field: "Dir", head: "DIRECTORY", value: |r| r.layer.dir.as_str().into() },
        Column { field: "SizeBytes", head: "BYTES", value: |r| r.layer.size.into() },
    ],
    table: &["ID", "DiffID", "Parent", "Size", "CreatedSince", "Containers", "Images"],
    quiet: "ID",
};

fn rows(layers: Vec<LayerSummary>, whole: bool, now: i64) -> Vec<Row> {
    layers.into_iter().map(|layer| Row { layer, whole, now }).collect()
}

/// Layers as `layer ls` shows them at the time `now`.
pub fn render(
    layers: Vec<LayerSummary>,
    format: Option<&str>,
    whole: bool,
    now: i64,
) -> Result<String, Failure> {
    LISTING.render(&rows(layers, whole, now), format)
}

/// Names of images; when there are more than three, the rest is a number.
fn images(names: &[String], whole: bool) -> String {
    const SHOWN: usize = 3;
    if whole || names.len() <= SHOWN {
        return names.join(", ");
    }
    format!("{} and {} more", names[..SHOWN].join(", "), names.len() - SHOWN)
}

/// Show everything about layers, as JSON
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre layer inspect 3f2a91bc7d10
  nacre layer inspect -f json 3f2a91bc7d10")]
struct InspectLayer {
    /// `json` or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// The layers, by chain ID, its beginning, or diff ID
    #[arg(required = true, value_name = "LAYER")]
    layers: Vec<String>,
}

impl InspectLayer {
    fn run(self, cx: &Context) -> Result<Exit, Failure> {
        inspect::show(cx, &self.layers, &[Kind::Layer], self.format.as_deref())
    }
}
