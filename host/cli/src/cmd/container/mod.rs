//! Containers: `nacre container …` and the short forms of the same commands.

pub mod cp;
pub mod exec;
pub mod files;
pub mod lifecycle;
pub mod logs;
pub mod ls;
pub mod mount;
pub mod run;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Work with containers
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre container ls --all
  nacre container inspect web
  nacre container prune --force")]
pub struct Container {
    #[command(subcommand)]
    command: ContainerCommand,
}

#[derive(Debug, Subcommand)]
enum ContainerCommand {
    #[command(visible_aliases = ["list", "ps"])]
    Ls(ls::Ls),
    Create(run::Create),
    Run(run::Run),
    Start(lifecycle::Start),
    Stop(lifecycle::Stop),
    Kill(lifecycle::Kill),
    Exec(exec::Exec),
    Logs(logs::Logs),
    Rename(lifecycle::Rename),
    #[command(visible_alias = "remove")]
    Rm(lifecycle::Rm),
    Inspect(ls::InspectContainer),
    Mount(mount::Mount),
    Umount(mount::Umount),
    Diff(files::Diff),
    Commit(files::Commit),
    Cp(cp::Cp),
    Export(files::Export),
    Prune(lifecycle::Prune),
}

impl Container {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self.command {
            ContainerCommand::Ls(c) => c.run(cx),
            ContainerCommand::Create(c) => c.run(cx),
            ContainerCommand::Run(c) => c.run(cx),
            ContainerCommand::Start(c) => c.run(cx),
            ContainerCommand::Stop(c) => c.run(cx),
            ContainerCommand::Kill(c) => c.run(cx),
            ContainerCommand::Exec(c) => c.run(cx),
            ContainerCommand::Logs(c) => c.run(cx),
            ContainerCommand::Rename(c) => c.run(cx),
            ContainerCommand::Rm(c) => c.run(cx),
            ContainerCommand::Inspect(c) => c.run(cx),
            ContainerCommand::Mount(c) => c.run(cx),
            ContainerCommand::Umount(c) => c.run(cx),
            ContainerCommand::Diff(c) => c.run(cx),
            ContainerCommand::Commit(c) => c.run(cx),
            ContainerCommand::Cp(c) => c.run(cx),
            ContainerCommand::Export(c) => c.run(cx),
            ContainerCommand::Prune(c) => c.run(cx),
        }
    }
}
