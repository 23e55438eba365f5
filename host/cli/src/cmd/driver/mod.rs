//! `driver`: the storage drivers and the policy that chooses among them, which are components.

mod check;
mod inspect;
mod install;
mod ls;
mod migrate;
mod release;
mod rm;
mod select;
mod test;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Look at storage drivers, install them, choose one, move what they hold
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver ls
  nacre driver inspect overlay2
  nacre driver check ./my-driver.wasm
  nacre driver install ./my-driver.wasm
  nacre driver select --explain
  nacre driver migrate debian:latest --to my-driver
  nacre driver test ./my-driver.wasm --on /mnt/xfs")]
pub struct Driver {
    #[command(subcommand)]
    command: DriverCommand,
}

#[derive(Debug, Subcommand)]
enum DriverCommand {
    #[command(visible_alias = "list")]
    Ls(ls::Ls),
    Inspect(inspect::Inspect),
    Check(check::Check),
    Install(install::Install),
    #[command(visible_alias = "remove")]
    Rm(rm::Rm),
    Select(select::Select),
    Migrate(migrate::Migrate),
    Release(release::Release),
    Test(test::Test),
}

impl Driver {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self.command {
            DriverCommand::Ls(c) => c.run(cx),
            DriverCommand::Inspect(c) => c.run(cx),
            DriverCommand::Check(c) => c.run(cx),
            DriverCommand::Install(c) => c.run(cx),
            DriverCommand::Rm(c) => c.run(cx),
            DriverCommand::Select(c) => c.run(cx),
            DriverCommand::Migrate(c) => c.run(cx),
            DriverCommand::Release(c) => c.run(cx),
            DriverCommand::Test(c) => c.run(cx),
        }
    }
}
