//! `mount` and `umount`.

use std::path::PathBuf;

use clap::Args;
use nacre_engine::UnionPolicies;

use crate::args::Explain;
use crate::cmd::each_explained;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out;

/// Mount a container's tree and print where
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre mount web
  nacre mount --union web
  nacre mount --union --search bloom --cache sieve web
  nacre mount --union --trace web.trace web
  nacre mount --explain web")]
pub struct Mount {
    /// By nacre's own union (a FUSE server) in place of the kernel's overlayfs, whatever the driver plans
    #[arg(long)]
    union: bool,
    /// The search policy of the union, by name or by the file of its component
    #[arg(long, value_name = "POLICY", requires = "union")]
    search: Option<String>,
    /// Its cache policy
    #[arg(long, value_name = "POLICY", requires = "union")]
    cache: Option<String>,
    /// Its copy-up policy
    #[arg(long, value_name = "POLICY", requires = "union")]
    copy_up: Option<String>,
    /// Record what the union is asked for in a new file, which `nacre trace` shows
    #[arg(long, value_name = "FILE", requires = "union")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    explain: Explain,
    /// The container
    container: String,
}

impl Mount {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine_for(self.explain)?;
        let path = match self.union {
            true => {
                let Self { search, cache, copy_up, trace, .. } = self;
                engine.mount_by_union(&self.container, &UnionPolicies { search, cache, copy_up, trace })?
            }
            false => engine.mount(&self.container)?,
        };
        match self.explain.form {
            Some(_) => out::explain::print(self.explain, &engine.explained())?,
            None => out::line(path.display())?,
        }
        Ok(Exit::OK)
    }
}

/// Unmount the trees of containers
#[derive(Debug, Args)]
#[command(visible_alias = "unmount")]
#[command(after_help = "Examples:
  nacre umount web
  nacre umount --explain web")]
pub struct Umount {
    #[command(flatten)]
    explain: Explain,
    /// The containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Umount {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine_for(self.explain)?;
        each_explained(cx, &engine, self.explain, &self.containers, |container| {
            engine.unmount(container)?;
            Ok(vec![container.to_owned()])
        })
    }
}
