//! `rmi` and `image prune`.

use clap::Args;
use nacre_engine::Removed;

use crate::args::Explain;
use crate::cmd::container::lifecycle::removed_text;
use crate::cmd::{confirm, each};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out;

/// Remove images, or one of their names
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre rmi debian:12
  nacre rmi -f 3f2a91bc7d10
  nacre rmi --explain debian:12")]
pub struct Rm {
    /// Remove it though it has several names or a container that does not run uses it
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
        let mut plans = Vec::new();
        let result = each(cx, &self.images, |image| {
            let removed = engine.remove_image(image, self.force, self.no_prune)?;
            if self.explain.form.is_some() {
                plans.extend(engine.explained());
                return Ok(());
            }
            lines("Untagged", "Deleted", &removed).into_iter().try_for_each(out::line)
        });
        if self.explain.form.is_some() {
            out::explain::print(self.explain, &plans)?;
        }
        result
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
        let engine = cx.engine_for(self.explain)?;
        if self.explain.form.is_some() {
            engine.prune_images(self.all)?;
            out::explain::print(self.explain, &engine.explained())?;
            return Ok(Exit::OK);
        }
        let what = if self.all { "all images that no container uses" } else { "all images without a name" };
        if confirm(self.force, what)? {
            let removed = engine.prune_images(self.all)?;
            let lines = lines("untagged", "deleted", &removed);
            out::line(removed_text("Deleted Images:", &lines, removed.bytes))?;
        }
        Ok(Exit::OK)
    }
}
