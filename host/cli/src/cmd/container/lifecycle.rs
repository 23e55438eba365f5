//! `start`, `stop`, `kill`, `rename`, `rm`, `container prune`.

use clap::Args;
use nacre_engine::{Engine, Error};

use super::run::need_terminal;
use crate::args::Explain;
use crate::cmd::{each, each_explained, exit_of, prune};
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out;

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
        if self.explain.form.is_some() || !(self.attach || self.interactive) {
            return each_explained(cx, &engine, self.explain, &self.containers, |container| {
                engine.start_detached(container)?;
                Ok(vec![container.to_owned()])
            });
        }
        let [container] = self.containers.as_slice() else {
            return Err(Failure::usage("only one container can be attached to")
                .with_help("start them without -a and -i, and see their output with `nacre logs`"));
        };
        need_terminal(false, self.interactive)?;
        let ended = engine.start_foreground(container).map_err(|e| Failure::from(e).in_run())?;
        Ok(exit_of(ended))
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
        each_explained(cx, &engine, self.explain, &self.containers, |container| {
            engine.stop(container, self.time)?;
            Ok(vec![container.to_owned()])
        })
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

/// Give a container another name
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre rename web web-old
  nacre rename 3f2a91bc7d10 job")]
pub struct Rename {
    /// The container, by name, ID or the beginning of an ID
    container: String,
    /// Its new name
    name: String,
}

impl Rename {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        cx.engine()?.rename_container(&self.container, &self.name)?;
        Ok(Exit::OK)
    }
}

/// Remove containers and their writable layers
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre rm job
  nacre rm -f web worker
  nacre rm --explain=json job")]
pub struct Rm {
    /// Remove running and mounted containers too; their processes get SIGKILL
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
        each_explained(cx, &engine, self.explain, &self.containers, |container| {
            let removed = engine.remove_container(container, self.force);
            removed.map_err(|error| in_the_way(&engine, container, error))?;
            Ok(vec![container.to_owned()])
        })
    }
}

/// Why a container cannot be removed, by its name.
fn in_the_way(engine: &Engine, container: &str, error: Error) -> Failure {
    let Error::Store(nacre_store::Error::Mounted { holders, .. }) = &error else { return error.into() };
    let name = engine.inspect_container(container).ok();
    let name = name
        .as_ref()
        .and_then(|all| all.get("Name")?.as_str())
        .map_or(container, |name| name.trim_start_matches('/'));
    let (held, help) = if holders.iter().any(|holder| holder == "user") {
        ("is mounted by `nacre mount`", format!("`nacre umount {name}` unmounts it"))
    } else if holders.iter().any(|holder| holder.starts_with("run:")) {
        ("is mounted for its process", format!("`nacre stop {name}` ends it"))
    } else {
        ("is in use by another nacre command", "wait for it to end".to_owned())
    };
    Failure::new(exit::of(&error), format!("container {name} {held}"))
        .with_help(format!("{help}; `nacre rm -f {name}` removes it all the same"))
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
        let what = "all containers that are not running";
        prune(cx, self.force, self.explain, what, "Deleted Containers:", |engine| {
            let removed = engine.prune_containers()?;
            Ok((removed.deleted, removed.bytes))
        })
    }
}
