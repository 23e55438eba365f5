//! `serve`: what runs until it is told to end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, Subcommand};
use nacre_script::serve::{Service, hooks};

use super::script::{end_on_signals, failure, told};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Serve until a signal ends it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre serve scripts
  nacre serve scripts nightly.lua")]
pub struct Serve {
    #[command(subcommand)]
    command: ServeCommand,
}

#[derive(Debug, Subcommand)]
enum ServeCommand {
    Scripts(Scripts),
}

impl Serve {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self.command {
            ServeCommand::Scripts(c) => c.run(cx),
        }
    }
}

/// Run the timers of scripts: `nacre.every(SPAN, FUNCTION)`
///
/// The hooks of the storage root are loaded (ROOT/scripts/hooks/*.lua), and the files that are named. It stays in the
/// foreground, and ends with 0 at SIGTERM or SIGINT, when the call at hand came to its end.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre serve scripts
  nacre serve scripts nightly.lua")]
struct Scripts {
    /// Further scripts
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Scripts {
    fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let mut files = hooks(&cx.global.root).map_err(failure)?;
        files.extend(self.files);
        let service = Service::new(&files, &cx.config(false)).map_err(|uncaught| told(&uncaught))?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut flags = service.interrupted();
        flags.push(stop.clone());
        end_on_signals(&flags);
        tracing::info!("{} timers of {} scripts", service.timers(), files.len());
        service.run(&stop);
        Ok(Exit::OK)
    }
}
