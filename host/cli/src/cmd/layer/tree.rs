//! `layer tree`: layers as they stand on one another.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use nacre_engine::LayerSummary;

use super::images;
use crate::args::Format;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::listing::{Column, Listing};
use crate::out::{self, units};

/// Show how layers stand on one another, and which images share them
///
/// A layer stands one step to the right of the one below it; those at the left edge are bases. IMAGES are those
/// that have the layer, and share it if they are several; TOP OF are those whose newest layer it is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre layer tree
  nacre layer tree debian:latest
  nacre layer tree --format json")]
pub(super) struct Tree {
    /// Cut nothing off
    #[arg(long)]
    no_trunc: bool,
    #[command(flatten)]
    format: Format,
    /// Only the layers of this image
    image: Option<String>,
}

impl Tree {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine()?;
        let only = self.image.as_ref().map(|image| engine.image_chain(image)).transpose()?;
        let text = render(&engine.layers()?, only.as_deref(), self.format.format.as_deref(), self.no_trunc)?;
        out::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
        Ok(Exit::OK)
    }
}

/// A line of the tree.
#[derive(Debug)]
struct Row {
    layer: LayerSummary,
    lines: String,
    depth: usize,
    tops: Vec<String>,
    whole: bool,
}

const LISTING: Listing<'static, Row> = Listing {
    columns: &[
        Column {
            field: "Tree",
            head: "LAYER",
            value: |r| format!("{}{}", r.lines, units::id(&r.layer.chain_id, r.whole)).into(),
        },
        Column { field: "ID", head: "CHAIN ID", value: |r| units::id(&r.layer.chain_id, r.whole).into() },
        Column {
            field: "Parent",
            head: "PARENT",
            value: |r| r.layer.parent.as_deref().map_or("", |id| units::id(id, r.whole)).into(),
        },
        Column { field: "Depth", head: "DEPTH", value: |r| r.depth.into() },
        Column { field: "Size", head: "SIZE", value: |r| units::size(r.layer.size).into() },
        Column { field: "SharedBy", head: "SHARED BY", value: |r| shared(r.layer.images.len()).into() },
        Column { field: "Images", head: "IMAGES", value: |r| images(&r.layer.images, r.whole).into() },
        Column { field: "Top", head: "TOP OF", value: |r| images(&r.tops, r.whole).into() },
        Column { field: "SizeBytes", head: "BYTES", value: |r| r.layer.size.into() },
    ],
    table: &["Tree", "Size", "Images", "Top"],
    quiet: "ID",
};

/// The tree as it is shown; with `only`, the layers with those chain IDs.
pub fn render(
    layers: &[LayerSummary],
    only: Option<&[String]>,
    format: Option<&str>,
    whole: bool,
) -> Result<String, Failure> {
    LISTING.render(&rows(layers, only, whole), format)
}

fn shared(images: usize) -> String {
    match images {
        0 => "no image".to_owned(),
        1 => "1 image".to_owned(),
        n => format!("{n} images"),
    }
}

/// The layers from base to top, each with the lines that lead to it.
fn rows(layers: &[LayerSummary], only: Option<&[String]>, whole: bool) -> Vec<Row> {
    // Each driver has chains of its own.
    let places: BTreeMap<(&str, &str), usize> = layers
        .iter()
        .enumerate()
        .map(|(i, layer)| ((layer.driver.as_str(), layer.chain_id.as_str()), i))
        .collect();
    let shown = |layer: &LayerSummary| only.is_none_or(|only| only.contains(&layer.chain_id));
    let mut above = vec![Vec::new(); layers.len()];
    let mut children = vec![Vec::new(); layers.len()];
    let mut todo = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        let parent = layer.parent.as_deref().and_then(|id| places.get(&(layer.driver.as_str(), id)).copied());
        if let Some(parent) = parent {
            above[parent].push(i);
        }
        if !shown(layer) {
            continue;
        }
        match parent.filter(|parent| shown(&layers[*parent])) {
            Some(parent) => children[parent].push(i),
            None => todo.push(Step { place: i, lines: String::new(), below: String::new(), depth: 0 }),
        }
    }
    todo.reverse();
    let mut order = Vec::new();
    while let Some(step) = todo.pop() {
        todo.extend(step.children(&children[step.place]).rev());
        order.push(step);
    }
    let rows = order.into_iter().map(|step| {
        let layer = layers[step.place].clone();
        let is_top =
            |name: &&String| !above[step.place].iter().any(|child| layers[*child].images.contains(name));
        let tops = layer.images.iter().filter(is_top).cloned().collect();
        Row { layer, lines: step.lines, depth: step.depth, tops, whole }
    });
    rows.collect()
}

/// A layer that is to be shown: the lines before it, and those before what stands on it.
struct Step {
    place: usize,
    lines: String,
    below: String,
    depth: usize,
}

impl Step {
    fn children(&self, places: &[usize]) -> impl DoubleEndedIterator<Item = Self> {
        let last = places.last();
        places.iter().map(move |place| {
            let (to, past) = if Some(place) == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            Self {
                place: *place,
                lines: format!("{}{to}", self.below),
                below: format!("{}{past}", self.below),
                depth: self.depth + 1,
            }
        })
    }
}
