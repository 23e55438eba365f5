//! `driver install`.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use nacre_engine::Installation;

use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out::{self, escape, units};

/// Install a component, pinned to its digest, with the grants that you give it
///
/// A storage driver can then be named with --driver, and is ranked by the selection policy. A selection policy is
/// asked from then on. What a component asks for is shown, and on a terminal you are asked; elsewhere --grant or
/// --yes must say what it gets. A step that it was not granted is refused when it asks for it.
///
/// Another component of the same name is replaced with --replace only. What is mounted stays mounted: a component
/// that would unmount it in another way is refused until it is unmounted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver install ./my-driver.wasm
  nacre driver install --grant tree --grant mount-overlay ./my-driver.wasm
  nacre driver install --yes --replace ./my-driver.wasm")]
pub struct Install {
    /// Grant this and nothing that is not named so (can be repeated)
    #[arg(long = "grant", value_name = "GRANT", conflicts_with = "yes", value_delimiter = ',')]
    grants: Vec<String>,
    /// Grant all that it asks for, without a question
    #[arg(short, long)]
    yes: bool,
    /// Take the place of another component of this name
    #[arg(long)]
    replace: bool,
    /// Print only the name
    #[arg(short, long)]
    quiet: bool,
    /// The component
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Install {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine()?;
        let new = engine.consider(&self.file)?;
        if !self.quiet || self.asks(&new) {
            tell(&new);
        }
        let Some(grants) = self.granted(&new)? else {
            return Err(Failure::new(exit::FAILED, format!("{} was not installed", new.summary.name)));
        };
        let installed = engine.install(&new, &grants, self.replace)?;
        match self.quiet {
            true => out::line(&installed.name)?,
            false => out::line(format!("Installed {} {}", installed.name, installed.digest))?,
        }
        Ok(Exit::OK)
    }

    /// Whether the user is asked.
    fn asks(&self, new: &Installation) -> bool {
        self.grants.is_empty() && !self.yes && !new.asks.is_empty()
    }

    /// What the user grants; none where the answer is no.
    fn granted(&self, new: &Installation) -> Result<Option<Vec<String>>, Failure> {
        let all: Vec<String> = new.asks.iter().map(|(name, _)| name.clone()).collect();
        if !self.grants.is_empty() {
            return Ok(Some(self.grants.clone()));
        }
        if !self.asks(new) {
            return Ok(Some(all));
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage("nobody can be asked what it may do: standard input is no terminal")
                .with_help("grant what it asks for with --yes, or some of it with --grant"));
        }
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "Grant this? [y/N] ");
        let _ = stderr.flush();
        let mut answer = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|e| Failure::usage("cannot read the answer").caused_by(e))?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes").then_some(all))
    }
}

/// What it is and asks for, on standard error: it is no result.
fn tell(new: &Installation) {
    let it = &new.summary;
    let mut text = format!(
        "{} {} ({}, {})\n  {}\n  {}\n",
        it.name,
        it.version,
        it.roles.join(", "),
        units::size(it.size),
        it.summary,
        it.digest
    );
    match new.asks.as_slice() {
        [] => text.push_str("It asks for nothing.\n"),
        asks => {
            text.push_str("It asks to:\n");
            for (name, meaning) in asks {
                text.push_str(&format!("  {name:<15} {meaning}\n"));
            }
        }
    }
    if let Some(old) = new.replaces.as_ref().filter(|old| old.digest != it.digest) {
        text.push_str(&format!(
            "It replaces {} {}, {} ({})\n",
            old.name, old.version, old.origin, old.digest
        ));
    }
    let _ = std::io::stderr().lock().write_all(escape::lines(&text).as_bytes());
}
