//! The `nacre` command: it parses arguments, calls one use case of [`nacre_engine`], and shows the outcome.
//!
//! What holds for every command:
//! - data goes to standard output, all else to standard error;
//! - the exit code says what kind of thing went wrong ([`exit`]), and an error says what to do about it;
//! - a listing is a table for people, and `--format` makes it JSON lines or what a Go template says, with
//!   Docker's field names ([`out::listing`]);
//! - nothing happens before a command is known but parsing: `nacre ps` must be quick.
//!
//! A command is a struct of arguments and a `run` method, in a file named after its noun under [`cmd`].
//!
//! ```
//! use clap::Parser;
//! let cli = nacre_cli::args::Cli::parse_from(["nacre", "ps", "--all", "--format", "{{.Names}}"]);
//! assert!(matches!(cli.command, nacre_cli::args::Command::Ps(_)));
//! ```

pub mod args;
pub mod cmd;
pub mod context;
mod docker;
pub mod exit;
pub mod failure;
pub mod log;
pub mod out;
pub mod topics;
mod wording;

use std::ffi::OsString;
use std::process::ExitCode;

use context::Context;

/// Runs the command line `argv` (its first word is the program's name) and says how the process ends.
pub fn main(argv: Vec<OsString>) -> ExitCode {
    let cli = match args::parse(argv) {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    let args::Cli { global, command } = cli;
    let cx = Context::new(global);
    let result = log::init(&cx.global).and_then(|()| command.run(&cx));
    match result {
        Ok(exit) => ExitCode::from(exit.0),
        Err(failure) => ExitCode::from(failure.report(cx.colour_on_stderr())),
    }
}
