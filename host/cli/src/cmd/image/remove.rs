//! `rmi` and `image prune`.

use clap::Args;
use nacre_engine::Removed;

use crate::args::Explain;
use crate::cmd::{each_explained, prune};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Remove images, or one of their names
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre rmi debian:12
  nacre rmi -f 3f2a91bc7d10
  nacre rmi --explain debian:12")]
pub struct Rm {
    /// Remove all its names, also where an ID stands for several or a container that is not running uses it
    #[arg(short, long)]
    force: bool,
    /// Keep layers that nothing stands on any more
    #[arg(long)]
    no_prune: bool,
    #[command(flatten)]
    explain: Explain,
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl Rm {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine_for(self.explain)?;
        each_explained(cx, &engine, self.explain, &self.images, |image| {
            Ok(lines("Untagged", "Deleted", &engine.remove_image(image, self.force, self.no_prune)?))
        })
    }
}

fn lines(untagged: &str, deleted: &str, removed: &Removed) -> Vec<String> {
    let untagged = removed.untagged.iter().map(|name| format!("{untagged}: {name}"));
    untagged.chain(removed.deleted.iter().map(|id| format!("{deleted}: {id}"))).collect()
}

/// Remove images that have no name, or all that no container uses
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre image prune
  nacre image prune --all --force
  nacre image prune --all --explain")]
pub struct Prune {
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
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let what = if self.all { "all images that no container uses" } else { "all images without a name" };
        prune(cx, self.force, self.explain, what, "Deleted Images:", |engine| {
            let removed = engine.prune_images(self.all)?;
            Ok((lines("untagged", "deleted", &removed), removed.bytes))
        })
    }
}
