//! `stat`: what the union counts.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use nacre_engine::{Engine, UnionMount};
use serde_json::Value;

use crate::args::Format;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::listing::{Column, Listing};
use crate::out::{self, units};

/// Show what nacre's own union does for the mounts that it serves
///
/// All counts are since the tree was mounted. HITS are lookups that the lists of names answered, PROBES/MISS looks into
/// a layer for each that they did not. DIRECT are opened files that the kernel reads and writes without the union.
/// COPIED UP counts files by how: shared, whole, by ranges, and directories and others; COPIED are the bytes that
/// somebody waited for. NS/CALL is the time that a call of a policy took, and PUT ASIDE the policies that failed: `info`
/// and `inspect` say why.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre stat
  nacre stat --watch web
  nacre stat --format json
  nacre stat --format '{{.Name}}: {{.Lookups}} lookups'")]
pub struct Stat {
    /// Show it again and again, until it is interrupted
    #[arg(long, short)]
    watch: bool,
    /// Seconds between two looks with --watch
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    #[command(flatten)]
    format: Format,
    /// Only these containers
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

const LISTING: Listing<'static, UnionMount> = Listing {
    columns: &[
        Column { field: "Name", head: "CONTAINER", value: |m| m.name.as_str().into() },
        Column { field: "ID", head: "CONTAINER ID", value: |m| m.container.as_deref().into() },
        Column { field: "Driver", head: "DRIVER", value: |m| m.driver.as_str().into() },
        Column { field: "Target", head: "MOUNTED AT", value: |m| m.target.as_str().into() },
        Column { field: "Lookups", head: "LOOKUPS", value: |m| count(m, "lookups") },
        Column { field: "Hits", head: "HITS", value: |m| count(m, "hits") },
        Column { field: "Misses", head: "MISSES", value: |m| count(m, "misses") },
        Column { field: "Probes", head: "PROBES", value: |m| count(m, "probes") },
        Column { field: "ProbesPerMiss", head: "PROBES/MISS", value: |m| ratio(m, "probes", "misses") },
        Column { field: "Opens", head: "OPENS", value: |m| count(m, "opens") },
        Column { field: "Passthrough", head: "DIRECT", value: |m| count(m, "passthrough") },
        Column { field: "CopiedUp", head: "COPIED UP", value: copied_up },
        Column { field: "Shared", head: "SHARED", value: |m| count(m, "shared") },
        Column { field: "Whole", head: "WHOLE", value: |m| count(m, "whole") },
        Column { field: "Ranges", head: "RANGES", value: |m| count(m, "ranges") },
        Column { field: "Settled", head: "SETTLED", value: |m| count(m, "settled") },
        Column { field: "Others", head: "OTHERS", value: |m| count(m, "others") },
        Column { field: "Copied", head: "COPIED", value: |m| units::size(value(m, "copied_bytes")).into() },
        Column { field: "PolicyCalls", head: "POLICY CALLS", value: |m| count(m, "policy_calls") },
        Column { field: "PolicyNanoseconds", head: "POLICY NS", value: |m| count(m, "policy_nanoseconds") },
        Column {
            field: "NanosecondsPerCall",
            head: "NS/CALL",
            value: |m| ratio(m, "policy_nanoseconds", "policy_calls"),
        },
        Column { field: "PutAside", head: "PUT ASIDE", value: |m| count(m, "put_aside") },
        Column { field: "CopiedBytes", head: "BYTES", value: |m| count(m, "copied_bytes") },
    ],
    table: &[
        "Name",
        "Driver",
        "Lookups",
        "Hits",
        "ProbesPerMiss",
        "Opens",
        "Passthrough",
        "CopiedUp",
        "Copied",
        "NanosecondsPerCall",
        "PutAside",
    ],
    quiet: "Name",
};

impl Stat {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine()?;
        if !self.watch {
            let text = self.text(&engine)?;
            out::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
            return Ok(Exit::OK);
        }
        let screen = std::io::stdout().is_terminal();
        loop {
            let text = self.text(&engine)?;
            if screen {
                // Home, and clear what is below (ECMA-48, CUP and ED).
                std::io::stdout().write_all(b"\x1b[H\x1b[J")?;
            }
            out::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
            std::thread::sleep(Duration::from_secs(self.interval));
        }
    }

    fn text(&self, engine: &Engine) -> Result<String, Failure> {
        let mounts = match self.containers.is_empty() {
            true => engine.union_mounts()?,
            false => engine.union_mounts_of(&self.containers)?,
        };
        LISTING.render(&mounts, self.format.format.as_deref())
    }
}

fn value(mount: &UnionMount, counter: &str) -> u64 {
    mount.counters.get(counter).copied().unwrap_or(0)
}

fn count(mount: &UnionMount, counter: &str) -> Value {
    value(mount, counter).into()
}

fn ratio(mount: &UnionMount, part: &str, whole: &str) -> Value {
    match value(mount, whole) {
        0 => Value::Null,
        whole => format!("{:.1}", value(mount, part) as f64 / whole as f64).into(),
    }
}

/// By kind, as far as there are any.
fn copied_up(mount: &UnionMount) -> Value {
    let kinds = ["shared", "whole", "ranges", "others"];
    let parts = kinds.iter().map(|kind| (value(mount, kind), kind)).filter(|(n, _)| *n > 0);
    let parts: Vec<String> = parts.map(|(n, kind)| format!("{n} {kind}")).collect();
    if parts.is_empty() { "0".into() } else { parts.join(", ").into() }
}
