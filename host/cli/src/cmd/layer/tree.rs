//! `layer tree`: layers as they stand on one another.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use nacre_engine::LayerSummary;

use super::{images, stands_below};
use crate::args::Format;
use crate::context::Context;
use crate::exit::{self, Exit};
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
        let mut layers = cx.engine()?.layers()?;
        if let Some(image) = &self.image {
            layers.retain(|layer| stands_below(layer, image));
            if layers.is_empty() {
                return Err(Failure::new(exit::NOT_FOUND, format!("no layer of an image named {image}"))
                    .with_help("`nacre images` lists the images"));
            }
        }
        let text = render(layers, self.format.format.as_deref(), self.no_trunc)?;
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

/// The tree as it is shown.
pub fn render(layers: Vec<LayerSummary>, format: Option<&str>, whole: bool) -> Result<String, Failure> {
    LISTING.render(&rows(layers, whole), format)
}

fn shared(images: usize) -> String {
    match images {
        0 => "no image".to_owned(),
        1 => "1 image".to_owned(),
        n => format!("{n} images"),
    }
}

/// The layers from base to top, each with the lines that lead to it.
fn rows(layers: Vec<LayerSummary>, whole: bool) -> Vec<Row> {
    let places: BTreeMap<&str, usize> =
        layers.iter().enumerate().map(|(i, layer)| (layer.chain_id.as_str(), i)).collect();
    let parent = |layer: &LayerSummary| layer.parent.as_deref().and_then(|id| places.get(id).copied());
    let mut children = vec![Vec::new(); layers.len()];
    let mut todo = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        match parent(layer) {
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
        let above =
            |name: &&String| !children[step.place].iter().any(|child| layers[*child].images.contains(name));
        let tops = layer.images.iter().filter(above).cloned().collect();
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
