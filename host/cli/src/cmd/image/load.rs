//! `load` and `import`.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use nacre_engine::{CommitOptions, LoadOptions, LoadSource, LoadedImage};

use crate::args::Explain;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::progress::{self, Doing};
use crate::out::{self, units};

/// Load images from an archive
///
/// Takes what docker save, podman save, skopeo, buildah and umoci write: docker-archives, and OCI layouts in a
/// tar or in a directory, with plain, gzip or zstd layers. Layers that are there already are shared.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre load -i debian.tar
  docker save debian | nacre load
  nacre load -q -i ./oci-layout
  nacre load --explain -i debian.tar")]
pub struct Load {
    /// The archive: a file, an OCI layout's directory, or - [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Refuse a layer that unpacks to more than this, such as 20G
    #[arg(long, value_name = "BYTES", value_parser = units::parse_size)]
    max_layer_size: Option<u64>,
    /// Refuse a layer with more entries than this
    #[arg(long, value_name = "N")]
    max_layer_entries: Option<u64>,
    #[command(flatten)]
    explain: Explain,
}

impl Load {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let source = source(self.input.filter(|path| path.as_os_str() != "-"))?;
        let options =
            LoadOptions { max_layer_bytes: self.max_layer_size, max_layer_entries: self.max_layer_entries };
        let explaining = self.explain.form.is_some();
        let engine = cx.engine_for(self.explain)?;
        let progress = progress::follower(Doing::Loading, self.quiet || explaining);
        let images = engine.load(source, &options, progress.as_ref())?;
        if explaining {
            out::explain::print(self.explain, &engine.explained())?;
            return Ok(Exit::OK);
        }
        for text in images.iter().flat_map(loaded) {
            out::line(text)?;
        }
        Ok(Exit::OK)
    }
}

fn loaded(image: &LoadedImage) -> Vec<String> {
    match image.references.as_slice() {
        [] => vec![format!("Loaded image ID: {}", image.id)],
        names => names.iter().map(|name| format!("Loaded image: {name}")).collect(),
    }
}

fn source(file: Option<PathBuf>) -> Result<LoadSource, Failure> {
    match file {
        Some(file) => Ok(LoadSource::File(file)),
        None if std::io::stdin().is_terminal() => {
            Err(Failure::usage("no archive to read: standard input is a terminal")
                .with_help("name a file with -i, or redirect standard input"))
        }
        None => Ok(LoadSource::Stdin),
    }
}

/// Make an image with one layer of a tar of a root file system
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre import base.tar debian:base
  tar -c -C rootfs . | nacre import - mine:latest
  nacre import -c 'CMD [\"/bin/sh\"]' -m 'first try' base.tar mine:1")]
pub struct Import {
    /// Set something in the image's configuration with a Dockerfile instruction
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Why
    #[arg(short, long)]
    message: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    explain: Explain,
    /// The tar, or - for standard input
    file: PathBuf,
    /// The image's name [default: none]
    #[arg(value_name = "NAME[:TAG]")]
    reference: Option<String>,
}

impl Import {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let source = source(Some(self.file).filter(|path| path.as_os_str() != "-"))?;
        let options = CommitOptions {
            message: self.message,
            changes: self.change,
            reference: self.reference,
            ..CommitOptions::default()
        };
        let explaining = self.explain.form.is_some();
        let engine = cx.engine_for(self.explain)?;
        let progress = progress::follower(Doing::Loading, self.quiet || explaining);
        let id = engine.import(source, &options, progress.as_ref())?;
        match self.explain.form {
            Some(_) => out::explain::print(self.explain, &engine.explained())?,
            None => out::line(id)?,
        }
        Ok(Exit::OK)
    }
}
