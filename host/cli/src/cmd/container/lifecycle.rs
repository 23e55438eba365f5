//! `start`, `stop`, `kill`, `rm`, `container prune`.

use clap::Args;

use super::run::need_terminal;
use crate::args::Explain;
use crate::cmd::{confirm, each, exit_of};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{self, units};

/// Start containers that were created or have exited
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre start web
  nacre start -a job
  nacre start --explain job")]
pub struct Start {
    /// Stay until the process ends, and end with its exit code
    #[arg(short, long)]
    attach: bool,
    /// Attach standard input too
    #[arg(short, long)]
    interactive: bool,
    #[command(flatten)]
    explain: Explain,
    /// The containers, by name, ID or the beginning of an ID
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Start {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine_for(self.explain)?;
        if self.explain.form.is_some() {
            let planned = each(cx, &self.containers, |container| Ok(engine.start_detached(container)?));
            out::explain::print(self.explain, &engine.explained())?;
            return planned;
        }
        if !(self.attach || self.interactive) {
            return each(cx, &self.containers, |container| {
                engine.start_detached(container)?;
                out::line(container)
            });
        }
        let [container] = self.containers.as_slice() else {
            return Err(Failure::usage("only one container can be attached to")
                .with_help("start them without -a and -i, and see their output with `nacre logs`"));
        };
        need_terminal(false, self.interactive)?;
        Ok(exit_of(engine.start_foreground(container)?))
    }
}

/// Stop running containers: SIGTERM, then SIGKILL after a while
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre stop web
  nacre stop -t 2 web worker
  nacre stop --explain web")]
pub struct Stop {
    /// Seconds until SIGKILL [default: 10]
    #[arg(short, long, visible_alias = "timeout", value_name = "SECONDS")]
    time: Option<u64>,
    #[command(flatten)]
    explain: Explain,
    /// The containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Stop {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine_for(self.explain)?;
        let stopped = each(cx, &self.containers, |container| {
            engine.stop(container, self.time)?;
            if self.explain.form.is_some() { Ok(()) } else { out::line(container) }
        });
        if self.explain.form.is_some() {
            out::explain::print(self.explain, &engine.explained())?;
        }
        stopped
    }
}

/// Send a signal to the processes of running containers
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre kill web
  nacre kill -s HUP web")]
pub struct Kill {
    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL")]
    signal: String,
    /// The containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Kill {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine()?;
        each(cx, &self.containers, |container| {
            engine.kill(container, &self.signal)?;
            out::line(container)
        })
    }
}

/// Remove containers and their writable layers
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre rm job
  nacre rm -f web worker
  nacre rm --explain=json job")]
pub struct Rm {
    /// Remove running containers too, with SIGKILL
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    explain: Explain,
    /// The containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Rm {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine_for(self.explain)?;
        let mut plans = Vec::new();
        let result = each(cx, &self.containers, |container| {
            engine.remove_container(container, self.force)?;
            if self.explain.form.is_some() {
                plans.extend(engine.explained());
                return Ok(());
            }
            out::line(container)
        });
        if self.explain.form.is_some() {
            out::explain::print(self.explain, &plans)?;
        }
        result
    }
}

/// Remove all containers that are not running
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre container prune
  nacre container prune --force
  nacre container prune --explain")]
pub struct Prune {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    explain: Explain,
}

impl Prune {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine_for(self.explain)?;
        if self.explain.form.is_some() {
            engine.prune_containers()?;
            out::explain::print(self.explain, &engine.explained())?;
            return Ok(Exit::OK);
        }
        if confirm(self.force, "all containers that are not running")? {
            let removed = engine.prune_containers()?;
            out::line(removed_text("Deleted Containers:", &removed.deleted, removed.bytes))?;
        }
        Ok(Exit::OK)
    }
}

/// What a prune says at its end, as Docker says it.
pub(crate) fn removed_text(head: &str, lines: &[String], bytes: u64) -> String {
    let total = format!("Total reclaimed space: {}", units::size(bytes));
    match lines.is_empty() {
        true => total,
        false => format!("{head}\n{}\n\n{total}", lines.join("\n")),
    }
}
