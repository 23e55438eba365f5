//! `script`: Lua that drives nacre.

mod check;
mod doc;
mod ls;
mod new;
mod run;
mod test;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, Subcommand};
use nacre_script::{Grants, Uncaught};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Run Lua scripts that drive nacre, write, check and test them, and tell what they can call
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre script ls
  nacre script run gc --older-than 30d
  nacre script run -e 'print(#nacre.image.list())'
  nacre script new tidy
  nacre script check tidy.lua
  nacre script test
  nacre script doc")]
pub struct Script {
    #[command(subcommand)]
    command: ScriptCommand,
}

#[derive(Debug, Subcommand)]
enum ScriptCommand {
    Run(run::Run),
    #[command(visible_alias = "list")]
    Ls(ls::Ls),
    New(new::New),
    Check(check::Check),
    Test(test::Test),
    Doc(doc::Doc),
}

impl Script {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self.command {
            ScriptCommand::Run(c) => c.run(cx),
            ScriptCommand::Ls(c) => c.run(cx),
            ScriptCommand::New(c) => c.run(cx),
            ScriptCommand::Test(c) => c.run(cx),
            ScriptCommand::Check(c) => c.run(cx),
            ScriptCommand::Doc(c) => c.run(cx),
        }
    }
}

/// What was allowed with `--allow`.
pub(crate) fn grants(lists: &[String]) -> Result<Grants, Failure> {
    let mut grants = Grants::default();
    lists.iter().try_for_each(|list| grants.allow(list)).map_err(failure)?;
    Ok(grants)
}

/// SIGINT and SIGTERM set these flags, the first time; the second one ends the process.
pub(crate) fn end_on_signals(flags: &[Arc<AtomicBool>]) {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        for flag in flags {
            let registered = signal_hook::flag::register_conditional_shutdown(
                signal,
                crate::exit::INTERRUPTED.into(),
                flag.clone(),
            )
            .and_then(|_| signal_hook::flag::register(signal, flag.clone()));
            if let Err(error) = registered {
                tracing::warn!(%error, "signals end the process at once");
            }
        }
    }
}

/// The message with the lines of the script that led to it.
pub(crate) fn told(uncaught: &Uncaught) -> Failure {
    let failure = Failure::new(uncaught.fault.exit_code(), uncaught.to_string());
    match &uncaught.fault.hint {
        Some(hint) => failure.with_help(hint),
        None => failure,
    }
}

/// A fault of a script that did not run.
pub(crate) fn failure(fault: nacre_script::Fault) -> Failure {
    let failure = Failure::new(fault.exit_code(), fault.message);
    match fault.hint {
        Some(hint) => failure.with_help(hint),
        None => failure,
    }
}
