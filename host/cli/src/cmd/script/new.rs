//! `script new`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out;

const SCRIPT: &str = include_str!("new.lua");
const TEST: &str = include_str!("new_test.lua");

/// Write a script to begin with, and a test of it beside it
///
/// NAME is the script's file; `.lua` may be left out. Nothing that is there is overwritten.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre script new tidy
  nacre script new ~/lua/tidy.lua")]
pub struct New {
    /// The script
    #[arg(value_name = "NAME")]
    name: PathBuf,
}

impl New {
    /// Runs it.
    pub fn run(self, _: &Context) -> Result<Exit, Failure> {
        let script = self.name.with_extension("lua");
        let stem = script.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if stem.is_empty() || !stem.chars().all(fits) {
            return Err(Failure::usage(format!("`{stem}` is no name for a script"))
                .with_help("letters, digits, `_` and `-` are, since tests name it in `require`"));
        }
        let test = script.with_file_name(format!("{stem}_test.lua"));
        for (file, text, mode) in [(&script, SCRIPT, 0o755), (&test, TEST, 0o644)] {
            write(file, &text.replace("NAME", &stem), mode)?;
            out::line(file.display())?;
        }
        Ok(Exit::OK)
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::new(exit::CONFLICT, format!("{} is there already", path.display()))
                .with_help("take another name, or move it away")
        }
        _ => Failure::io("write", path, error),
    })
}
