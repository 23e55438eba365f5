//! `trace`: what was recorded of a union.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use nacre_union::trace::{Paths, Record, Records};
use rustix::io::Errno;
use serde_json::{Map, Value};

use crate::args::Format;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out;
use crate::out::listing::{Column, Listing};

/// Show what `mount --union --trace` recorded
///
/// Each line is one thing that the union was asked for: lookups, opened files, changes. What the kernel answers from what it
/// knows, and data that it reads and writes itself, does not get to the union. A copy-up stands before what it was for. The
/// format is in docs/experimenter.md.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre trace web.trace
  nacre trace --format json web.trace
  nacre trace --format '{{.Operation}}' web.trace | sort | uniq -c")]
pub struct Trace {
    #[command(flatten)]
    format: Format,
    /// The file
    file: PathBuf,
}

struct Row {
    record: Record,
    path: PathBuf,
    to: Option<PathBuf>,
}

const LISTING: Listing<'static, Row> = Listing {
    columns: &[
        Column { field: "Time", head: "TIME", value: |r| format!("{:.6}", r.record.at.as_secs_f64()).into() },
        Column { field: "Operation", head: "OPERATION", value: |r| r.record.operation.word().into() },
        Column { field: "Path", head: "PATH", value: |r| r.path.to_string_lossy().into() },
        Column { field: "To", head: "TO", value: |r| r.to.as_ref().map(|to| to.to_string_lossy()).into() },
        Column { field: "Error", head: "ERROR", value: |r| error(r.record.error).into() },
        Column { field: "Fields", head: "FIELDS", value: fields },
    ],
    table: &["Time", "Operation", "Path", "To", "Error"],
    quiet: "Path",
};

/// A table is aligned over as many lines.
const PAGE: usize = 10_000;

impl Trace {
    /// Runs it.
    pub fn run(self, _cx: &Context) -> Result<Exit, Failure> {
        let unreadable = |error: io::Error| {
            let code = match error.kind() {
                io::ErrorKind::NotFound => exit::NOT_FOUND,
                io::ErrorKind::PermissionDenied => exit::PERMISSION,
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => exit::USAGE,
                _ => exit::FAILED,
            };
            Failure::new(code, format!("{}: {error}", self.file.display()))
        };
        let mut records = Records::open(&self.file).map_err(unreadable)?;
        let mut paths = Paths::default();
        let mut cut = None;
        out::to_stdout(|out| {
            let mut first = true;
            loop {
                let mut rows = Vec::new();
                for record in records.by_ref().take(PAGE) {
                    match record {
                        Ok(record) => {
                            let (path, to) = paths.of(&record.operation);
                            rows.push(Row { record, path, to });
                        }
                        Err(error) => {
                            cut = Some(error);
                            break;
                        }
                    }
                }
                if rows.is_empty() && !first {
                    return Ok(());
                }
                first = false;
                out.write_all(LISTING.render(&rows, self.format.format.as_deref())?.as_bytes())?;
                if cut.is_some() {
                    return Ok(());
                }
            }
        })?;
        match cut {
            None => Ok(Exit::OK),
            Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Failure::new(
                exit::DAMAGED,
                format!("{} ends in the middle of a record", self.file.display()),
            )
            .with_help("what came before is shown; its writer was killed, or still writes")),
            Some(error) => Err(unreadable(error)),
        }
    }
}

/// The symbol of an error, such as `ENOENT`.
fn error(number: u32) -> String {
    match number {
        0 => String::new(),
        number => {
            let number = i32::try_from(number).unwrap_or(0);
            io::Error::from(Errno::from_raw_os_error(number)).to_string()
        }
    }
}

fn fields(row: &Row) -> Value {
    let fields = row.record.operation.fields();
    Value::Object(
        fields.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>(),
    )
}
