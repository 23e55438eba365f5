//! `why`: which layer a path comes from, and how that was found.

use std::ffi::OsString;

use clap::Args;
use nacre_engine::{Probe, Why as Answer};
use serde_json::{Value, json};

use crate::args::Format;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out::template::Template;
use crate::out::{self, escape, table, units};

/// Show which layer a path comes from, layer by layer
///
/// Each layer that the search looked at is shown, topmost first: what it has under that path, whiteouts among
/// it, which one answers, and what a first write to the path would cost. Ends with code 3 when no layer knows the path.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre why web /etc/hosts
  nacre why debian:latest /usr/bin/python3
  nacre why --format json web /srv/data")]
pub struct Why {
    #[command(flatten)]
    format: Format,
    /// A container or an image
    #[arg(value_name = "CONTAINER|IMAGE")]
    object: String,
    /// A path in it
    path: OsString,
}

impl Why {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let answer = cx.engine()?.why(&self.object, &self.path)?;
        out::line(render(&answer, self.format.format.as_deref())?.trim_end())?;
        // A whiteout tells something of the path too.
        if answer
            .probes
            .iter()
            .any(|probe| probe.answers || !matches!(probe.found.as_str(), "absent" | "blocked"))
        {
            return Ok(Exit::OK);
        }
        Err(Failure::new(exit::NOT_FOUND, format!("no layer of {} has {}", self.object, answer.path)))
    }
}

/// The answer as `why` shows it.
pub fn render(answer: &Answer, format: Option<&str>) -> Result<String, Failure> {
    match format {
        None | Some("table") => Ok(people(answer)),
        Some("json") => Ok(format!("{}\n", fields(answer))),
        Some(template) => Ok(Template::parse(template)?.render(&fields(answer))? + "\n"),
    }
}

fn fields(answer: &Answer) -> Value {
    let probe = |p: &Probe| json!({ "Index": p.index, "Layer": p.layer, "Found": p.found, "Detail": p.detail, "Answers": p.answers });
    json!({
        "Path": answer.path,
        "Answer": answer.answer,
        "FirstWrite": answer.first_write,
        "Probes": answer.probes.iter().map(probe).collect::<Vec<_>>(),
    })
}

fn people(answer: &Answer) -> String {
    let heads = ["", "LAYER", "FOUND", "DETAIL"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(answer.probes.iter().map(row)).collect();
    let mut text = format!("{}\n\n", escape::one_line(&answer.path));
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row[1..].to_vec()).collect();
    for (row, line) in rows.iter().zip(table::align(&cells).lines()) {
        text.push_str(format!("{:>3}  {line}", row[0]).trim_end());
        text.push('\n');
    }
    let (found, write) = (escape::one_line(&answer.answer), escape::one_line(&answer.first_write));
    text.push_str(&format!("\nAnswer:       {found}\nFirst write:  {write}\n"));
    text
}

fn row(probe: &Probe) -> Vec<String> {
    let mark = if probe.answers { ">" } else { "" };
    vec![
        format!("{mark}{}", probe.index),
        units::short_id(&probe.layer).to_owned(),
        probe.found.clone(),
        probe.detail.clone(),
    ]
}
