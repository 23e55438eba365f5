//! `script run`.

use std::time::Duration;

use clap::Args;
use nacre_script::sandbox::watch::STUCK_AFTER;
use nacre_script::{Host, Limits, Script, Source, shipped};

use super::{failure, grants, told};
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out::units;

/// Run a Lua script
///
/// The script finds what nacre can do in the table `nacre` (`nacre script doc` tells what that is) and its arguments
/// in `arg`. A FILE that is not there is looked for by its name among `nacre script ls`. Of Lua's own library it has what reaches nothing outside: no `os`, no `io`, no `debug`; `require` takes
/// what lies beside the script or comes with nacre. It ends with the exit code that it returns, or with that of the error that it did not
/// catch.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre script run report
  nacre script run gc --older-than 30d --yes
  nacre script run --allow fs=/srv/backup,exec backup.lua /srv/backup
  nacre -e 'print(#nacre.image.list())'
  nacre script run -e 'for _, c in ipairs(nacre.container.list()) do print(c.name) end'")]
pub struct Run {
    /// Run this text and no file
    #[arg(short, long, value_name = "CODE")]
    execute: Option<String>,
    /// What the script may do besides, with commas in between or repeated: fs=DIR lets it name files below a directory,
    /// exec lets it run programs of this machine
    #[arg(long, value_name = "GRANT,…")]
    allow: Vec<String>,
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
                (shipped::find(file, &cx.global.root).map_err(failure)?, args)
            }
        };
        let host = Host::new(cx.config(false)).with_grants(grants(&self.allow)?);
        cx.load_hooks()?;
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
