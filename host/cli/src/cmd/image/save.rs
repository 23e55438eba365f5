//! `save` and `tag`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use nacre_engine::{SaveFormat, SaveTarget};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::progress::{self, Doing};
use crate::out::sink;

/// The forms of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ArchiveFormat {
    /// What docker load, podman load and skopeo take; an OCI layout as well.
    DockerArchive,
    /// An OCI layout in a tar.
    OciArchive,
    /// An OCI layout in a directory.
    OciDir,
}

/// Write images to an archive
///
/// Each layer is written as it was loaded, byte by byte: the archive loads elsewhere with the same image ID.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre save -o debian.tar debian:latest
  nacre save debian:latest debian:12 | zstd > debian.tar.zst
  nacre save --format oci-dir -o ./layout debian:latest")]
pub struct Save {
    /// Write here [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The form of the archive
    #[arg(long, value_enum, default_value_t = ArchiveFormat::DockerArchive)]
    format: ArchiveFormat,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl Save {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let output = self.output.filter(|path| path.as_os_str() != "-");
        let (format, target) = match (self.format, output) {
            (ArchiveFormat::OciDir, None) => {
                return Err(Failure::usage("a directory cannot be written to standard output")
                    .with_help("name the directory with -o"));
            }
            (format, Some(path)) => (format, SaveTarget::File(path)),
            (format, None) => {
                sink::refuse_terminal()?;
                (format, SaveTarget::Stdout)
            }
        };
        let format = match format {
            ArchiveFormat::DockerArchive => SaveFormat::DockerArchive,
            ArchiveFormat::OciArchive => SaveFormat::OciArchive,
            ArchiveFormat::OciDir => SaveFormat::OciDir,
        };
        let progress = progress::follower(Doing::Saving, self.quiet);
        let to_stdout = matches!(target, SaveTarget::Stdout);
        let saved = cx.engine()?.save(&self.images, format, target, progress.as_ref()).map_err(Failure::from);
        saved.map_err(|failure| if to_stdout { failure.on_stdout() } else { failure })?;
        Ok(Exit::OK)
    }
}

/// Give an image another name
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre tag debian:latest debian:12
  nacre tag 3f2a91bc7d10 mine:latest")]
pub struct Tag {
    /// The image
    image: String,
    /// The name that it gets; an image that had it loses it
    #[arg(value_name = "NAME[:TAG]")]
    reference: String,
}

impl Tag {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        cx.engine()?.tag(&self.image, &self.reference)?;
        Ok(Exit::OK)
    }
}
