//! `script`: Lua that drives nacre.

mod check;
mod doc;
mod run;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Run Lua scripts that drive nacre, check them, and tell what they can call
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre script run scripts/gc.lua --older-than 30d
  nacre script run -e 'print(#nacre.image.list())'
  nacre script check my.lua
  nacre script doc")]
pub struct Script {
    #[command(subcommand)]
    command: ScriptCommand,
}

#[derive(Debug, Subcommand)]
enum ScriptCommand {
    Run(run::Run),
    Check(check::Check),
    Doc(doc::Doc),
}

impl Script {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self.command {
            ScriptCommand::Run(c) => c.run(cx),
            ScriptCommand::Check(c) => c.run(cx),
            ScriptCommand::Doc(c) => c.run(cx),
        }
    }
}

/// A fault of a script that did not run.
fn failure(fault: nacre_script::Fault) -> Failure {
    let failure = Failure::new(fault.exit_code(), fault.message);
    match fault.hint {
        Some(hint) => failure.with_help(hint),
        None => failure,
    }
}
