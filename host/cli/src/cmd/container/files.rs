//! What a container changed: `diff`, `commit`, `export`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use nacre_engine::{Change, CommitOptions};

use crate::args::{Explain, Format};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::listing::{Column, Listing};
use crate::out::{self, sink};

/// Show what a container added (A), changed (C) and deleted (D)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre diff web
  nacre diff --format json web")]
pub struct Diff {
    #[command(flatten)]
    format: Format,
    /// The container
    container: String,
}

const CHANGES: Listing<'static, Change> = Listing {
    columns: &[
        Column { field: "Type", head: "TYPE", value: |c| c.kind.to_string().into() },
        Column { field: "Path", head: "PATH", value: |c| String::from_utf8_lossy(&c.path).into() },
    ],
    table: &["Type", "Path"],
    quiet: "Path",
};

impl Diff {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let changes = cx.engine()?.diff(&self.container)?;
        out::to_stdout(|out| {
            if let Some(format) = &self.format.format {
                return Ok(out.write_all(CHANGES.render(&changes, Some(format))?.as_bytes())?);
            }
            // Names need not be UTF-8, and are written as they are.
            for change in &changes {
                write!(out, "{} ", change.kind)?;
                out.write_all(&change.path)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
        Ok(Exit::OK)
    }
}

/// Make an image of a container's changes: a new layer on those of its image
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre commit web
  nacre commit -m 'add curl' -a 'A. Person' box debian:curl
  nacre commit -c 'CMD [\"bash\"]' -c 'ENV TZ=UTC' box debian:mine")]
pub struct Commit {
    /// Who made it
    #[arg(short, long)]
    author: Option<String>,
    /// Why
    #[arg(short, long)]
    message: Option<String>,
    /// Change the image's configuration with a Dockerfile instruction
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Hold a running container still meanwhile; --pause=false does not
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        action = clap::ArgAction::Set, default_value_t = true, default_missing_value = "true")]
    pause: bool,
    #[command(flatten)]
    explain: Explain,
    /// The container
    container: String,
    /// The image's name [default: none]
    #[arg(value_name = "NAME[:TAG]")]
    reference: Option<String>,
}

impl Commit {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine_for(self.explain)?;
        let options = CommitOptions {
            author: self.author,
            message: self.message,
            changes: self.change,
            reference: self.reference,
            pause: self.pause,
        };
        let id = engine.commit(&self.container, &options)?;
        match self.explain.form {
            Some(_) => out::explain::print(self.explain, &engine.explained())?,
            None => out::line(id)?,
        }
        Ok(Exit::OK)
    }
}

/// Write a container's whole tree as a tar
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre export -o web.tar web
  nacre export web | tar -t
  nacre export --explain web")]
pub struct Export {
    /// Write here [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    explain: Explain,
    /// The container
    container: String,
}

impl Export {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine_for(self.explain)?;
        if self.explain.form.is_some() {
            engine.export(&self.container, &mut std::io::sink())?;
            out::explain::print(self.explain, &engine.explained())?;
            return Ok(Exit::OK);
        }
        sink::write(self.output.as_deref(), |out| Ok(engine.export(&self.container, out)?))?;
        Ok(Exit::OK)
    }
}
