//! `script doc`.

use clap::Args;
use nacre_script::doc;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out;

/// Print what scripts can call, as Markdown
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre script doc
  nacre script doc --meta > ~/lua/nacre.lua")]
pub struct Doc {
    /// As annotations for editors (lua-language-server) in place of Markdown
    #[arg(long)]
    meta: bool,
}

impl Doc {
    /// Runs it.
    pub fn run(self, _: &Context) -> Result<Exit, Failure> {
        let text = if self.meta { doc::meta() } else { doc::markdown() };
        out::line(text.trim_end())?;
        Ok(Exit::OK)
    }
}
