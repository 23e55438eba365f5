//! Images: `nacre image …` and the short forms of the same commands.

pub mod history;
pub mod load;
pub mod ls;
pub mod remove;
pub mod save;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Work with images
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre image ls
  nacre image inspect debian:latest
  nacre image prune --all --force")]
pub struct Image {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    #[command(visible_alias = "list")]
    Ls(ls::Ls),
    Load(load::Load),
    Save(save::Save),
    Import(load::Import),
    Tag(save::Tag),
    History(history::History),
    Inspect(ls::InspectImage),
    #[command(visible_alias = "remove")]
    Rm(remove::Rm),
    Prune(remove::Prune),
}

impl Image {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self.command {
            ImageCommand::Ls(c) => c.run(cx),
            ImageCommand::Load(c) => c.run(cx),
            ImageCommand::Save(c) => c.run(cx),
            ImageCommand::Import(c) => c.run(cx),
            ImageCommand::Tag(c) => c.run(cx),
            ImageCommand::History(c) => c.run(cx),
            ImageCommand::Inspect(c) => c.run(cx),
            ImageCommand::Rm(c) => c.run(cx),
            ImageCommand::Prune(c) => c.run(cx),
        }
    }
}
