//! `script run`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use nacre_engine::Config;
use nacre_script::sandbox::watch::STUCK_AFTER;
use nacre_script::{Host, Limits, Script, Source, Uncaught};

use super::failure;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out::units;

/// Run a Lua script
///
/// The script finds what nacre can do in the table `nacre` (`nacre script doc` tells what that is) and its arguments
/// in `arg`. Of Lua's own library it has what reaches nothing outside: no `os`, no `io`, no `debug`; `require` takes
/// what lies beside the script. It ends with the exit code that it returns, or with that of the error that it did not
/// catch.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre script run scripts/report.lua
  nacre script run scripts/gc.lua --older-than 30d --yes
  nacre script run --allow fs=/srv/backup backup.lua /srv/backup
  nacre script run -e 'for _, c in ipairs(nacre.container.list()) do print(c.name) end'")]
pub struct Run {
    /// Run this text and no file
    #[arg(short, long, value_name = "CODE")]
    execute: Option<String>,
    /// What the script may do besides: fs=DIR lets nacre read and write files below a directory for it (can be
    /// repeated)
    #[arg(long, value_name = "GRANT", value_parser = grant)]
    allow: Vec<PathBuf>,
    /// How much memory its values may take
    #[arg(long, value_name = "BYTES", default_value = "256M", value_parser = units::parse_size)]
    memory: u64,
    /// How many of Lua's instructions it may run
    #[arg(long, value_name = "N", default_value_t = Limits::default().instructions)]
    instructions: u64,
    /// How many seconds its own code may take; what nacre works for it is not counted
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().time.as_secs())]
    time: u64,
    /// The script, and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FILE")]
    #[arg(required_unless_present = "execute")]
    words: Vec<String>,
}

impl Run {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let (source, args) = match &self.execute {
            Some(code) => (Source::text("(command line)", code), self.words.as_slice()),
            None => {
                let (file, args) =
                    self.words.split_first().ok_or_else(|| Failure::usage("no script is named"))?;
                (Source::file(Path::new(file)).map_err(failure)?, args)
            }
        };
        let mut host = Host::new(Config {
            root: Some(cx.global.root.clone()),
            driver: cx.global.driver.clone(),
            storage_opts: cx.global.storage_opts.clone(),
            explain: false,
        });
        for dir in &self.allow {
            host = host.grant_files(dir).map_err(|error| Failure::io("find", dir, error))?;
        }
        let limits = Limits {
            memory: usize::try_from(self.memory).unwrap_or(usize::MAX),
            instructions: self.instructions,
            time: Duration::from_secs(self.time),
        };
        let script = Script::new(host, &limits).map_err(failure)?;
        let (name, colour) = (source.name().to_owned(), cx.colour_on_stderr());
        script.watch(STUCK_AFTER, move || {
            let stuck = Failure::new(exit::FAILED, format!("{name} was stuck in one call of Lua's library"))
                .with_help("a pattern that can match in too many ways does that; the script was ended");
            std::process::exit(stuck.report(colour).into());
        });
        match script.run(&source, args) {
            Ok(code) => Ok(Exit(code)),
            Err(uncaught) if uncaught.is_closed_output() => Err(Failure::silent(exit::OK)),
            Err(uncaught) => Err(told(&uncaught)),
        }
    }
}

/// The message with the lines of the script that led to it.
fn told(uncaught: &Uncaught) -> Failure {
    let failure = Failure::new(uncaught.fault.exit_code(), uncaught.to_string());
    match &uncaught.fault.hint {
        Some(hint) => failure.with_help(hint),
        None => failure,
    }
}

/// `fs=DIR`.
fn grant(text: &str) -> Result<PathBuf, &'static str> {
    match text.split_once('=') {
        Some(("fs", dir)) if !dir.is_empty() => Ok(dir.into()),
        _ => Err("what can be allowed is fs=DIR"),
    }
}
