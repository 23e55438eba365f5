//! `driver check`.

use std::path::{Path, PathBuf};

use clap::Args;
use nacre_engine::ComponentReport;
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out::template::Template;
use crate::out::{self, escape, units};

/// Look at a component's file without trusting it: what it imports and exports, what it asks for, and all that is
/// wrong with it
///
/// Ends with 6 where something is wrong.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver check ./my-driver.wasm
  nacre driver check -f '{{json .Problems}}' ./my-driver.wasm")]
pub struct Check {
    /// `json` or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// The component
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Check {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let report = cx.engine()?.check_component(&self.file)?;
        match self.format.as_deref() {
            None => out::line(people(&self.file, &report).trim_end())?,
            Some("json") => out::line(fields(&report))?,
            Some(template) => out::line(Template::parse(template)?.render(&fields(&report))?)?,
        }
        Ok(if report.problems.is_empty() { Exit::OK } else { Exit(exit::COMPONENT) })
    }
}

fn fields(report: &ComponentReport) -> Value {
    let description = report.description.as_ref();
    json!({
        "Origin": report.origin,
        "Digest": report.digest,
        "Bytes": report.size,
        "Imports": report.imports,
        "Exports": report.exports,
        "ForeignImports": report.foreign_imports,
        "UsesWasi": report.uses_wasi,
        "Name": description.map(|it| &it.name),
        "Version": description.map(|it| &it.version),
        "Summary": description.map(|it| &it.summary),
        "Roles": description.map(|it| it.roles.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "Asks": description.map(|it| it.grants.iter().map(|grant| grant.name()).collect::<Vec<_>>()),
        "Options": description.map(|it| it.options.iter().map(|option| &option.name).collect::<Vec<_>>()),
        "Problems": report.problems,
    })
}

fn people(file: &Path, report: &ComponentReport) -> String {
    let mut lines = vec![
        ("Component", file.display().to_string()),
        ("Digest", report.digest.clone()),
        ("Size", units::size(report.size as u64)),
        ("WASI", if report.uses_wasi { "yes, which nacre does not offer" } else { "no" }.to_owned()),
        ("Imports", all(&report.imports)),
        ("Exports", all(&report.exports)),
    ];
    if let Some(it) = &report.description {
        let roles: Vec<String> = it.roles.iter().map(ToString::to_string).collect();
        let grants: Vec<String> = it.grants.iter().map(ToString::to_string).collect();
        let options: Vec<String> = it.options.iter().map(|option| option.name.clone()).collect();
        lines.extend([
            ("Name", format!("{} {}", it.name, it.version)),
            ("Summary", it.summary.clone()),
            ("Roles", all(&roles)),
            ("Asks for", all(&grants)),
            ("Options", all(&options)),
        ]);
    }
    let verdict = match report.problems.len() {
        0 => "nothing is wrong with it".to_owned(),
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    lines.push(("Verdict", verdict));
    lines.extend(report.problems.iter().map(|problem| ("  Problem", problem.clone())));
    lines.iter().map(|(name, value)| format!("{name}: {}\n", escape::lines(value))).collect()
}

fn all(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
