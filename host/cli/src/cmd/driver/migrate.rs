//! `driver migrate`.

use clap::Args;
use nacre_engine::{MigrateOptions, Migrated};

use crate::args::Explain;
use crate::cmd::each_explained;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::progress::{self, Doing};

/// Move images and stopped containers to another storage driver
///
/// An image's layers are made again from their own tars, and every digest is verified. A container's changes are
/// packed and unpacked, and its whole tree is compared afterwards. The old copy is removed when the new one is
/// recorded; layers that other containers stand on stay until those have moved too. A container that moves takes a
/// copy of its image's layers along, and the image stays where it is. With --explain, the plans for what is made
/// are told, and for a container's old layer; an image's old layers are removed as far as nothing else needs them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver migrate debian:latest --to btrfs
  nacre driver migrate web db --to overlay2
  nacre driver migrate --all --to vfs
  nacre driver migrate --explain web --to vfs")]
pub struct Migrate {
    /// The driver that is to hold them
    #[arg(long, value_name = "DRIVER")]
    to: String,
    /// Move all images and all containers
    #[arg(short, long, conflicts_with = "objects", required_unless_present = "objects")]
    all: bool,
    /// Move a container without those of its own --storage-opt that the other driver does not know or cannot keep
    #[arg(long)]
    drop_options: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    explain: Explain,
    /// Images and containers, by name, ID or the beginning of an ID
    #[arg(value_name = "IMAGE|CONTAINER")]
    objects: Vec<String>,
}

impl Migrate {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine_for(self.explain)?;
        let options = MigrateOptions { to: self.to.clone(), drop_options: self.drop_options };
        let objects = if self.all { engine.migratable(&self.to)? } else { self.objects };
        let progress = progress::follower(Doing::Loading, self.quiet || self.explain.form.is_some());
        each_explained(cx, &engine, self.explain, &objects, |object| {
            let migrated = engine.migrate(object, &options, progress.as_ref())?;
            Ok(told(&migrated, &options.to))
        })
    }
}

fn told(migrated: &Migrated, to: &str) -> Vec<String> {
    let Migrated { kind, name, layers, .. } = migrated;
    let mut lines = vec![match (migrated.moved, *kind) {
        (false, _) => format!("Already in {to}: {kind} {name}"),
        (true, "image") => format!("Moved {kind} {name} to {to}: {layers} layers"),
        (true, _) => format!("Moved {kind} {name} to {to}"),
    }];
    lines.extend(migrated.kept.iter().map(|why| format!("Kept: {why}")));
    lines
}
