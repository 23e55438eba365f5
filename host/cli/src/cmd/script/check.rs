//! `script check`.

use std::path::PathBuf;

use clap::Args;
use nacre_script::{Source, check};

use super::failure;
use crate::cmd::each;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;

/// Find mistakes in Lua scripts without running them
///
/// What is no Lua, and functions of the table `nacre` that do not exist.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre script check my.lua
  nacre script check scripts/gc.lua scripts/report.lua")]
pub struct Check {
    /// The scripts
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

impl Check {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        each(cx, &self.files, |file| {
            let problems = Source::file(&PathBuf::from(file)).and_then(|source| check::check(&source));
            let problems = problems.map_err(failure)?;
            let told = problems.iter().map(|problem| match problem.line {
                Some(line) => format!("{file}:{line}: {}", problem.message),
                None => problem.message.clone(),
            });
            match problems.is_empty() {
                true => Ok(()),
                false => Err(Failure::new(exit::USAGE, told.collect::<Vec<_>>().join("\n"))),
            }
        })
    }
}
