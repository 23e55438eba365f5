//! `driver select`.

use std::io::Write;

use clap::Args;
use nacre_engine::{CandidateSummary, Selection};

use crate::args::Format;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out;
use crate::out::listing::{Column, Listing};

/// Say which storage driver gets new layers, or name it for good
///
/// Without a name the selection policy is asked, and the driver that it chooses is printed. nacre's own policy has
/// Docker's rules: the driver that is named, or none; else the one that holds layers here; else the first of an
/// order that can work. `--driver` and NACRE_DRIVER go before what is named here.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver select
  nacre driver select --explain
  nacre driver select vfs
  nacre driver select --auto
  nacre driver select --explain --policy ./my-policy.wasm
  nacre driver select --explain --format '{{.Name}}: {{.Verdict}}'")]
pub struct Select {
    /// Show every driver with its reasons, the best first
    #[arg(long, conflicts_with_all = ["name", "auto"])]
    explain: bool,
    /// Ask this policy, by name or file, and not the one in use; nothing is changed
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = ["name", "auto"])]
    policy: Option<String>,
    /// No driver is named any more: the policy chooses
    #[arg(long, conflicts_with = "name")]
    auto: bool,
    #[command(flatten)]
    format: Format,
    /// The driver for new layers on this root from now on
    #[arg(value_name = "DRIVER")]
    name: Option<String>,
}

impl Select {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let engine = cx.engine()?;
        if let Some(name) = &self.name {
            engine.select_driver(Some(name))?;
            out::line(name)?;
            return Ok(Exit::OK);
        }
        if self.auto {
            engine.select_driver(None)?;
        }
        let selection = engine.selection(self.policy.as_deref(), true)?;
        if self.explain || self.format.format.is_some() {
            let text = LISTING.render(&selection.candidates, self.format.format.as_deref())?;
            out::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
            if self.format.format.is_none() {
                out::line(footer(&selection))?;
            }
            return selection.choice.map(|_| Exit::OK).map_err(Failure::from);
        }
        out::line(selection.choice?)?;
        Ok(Exit::OK)
    }
}

fn footer(selection: &Selection) -> String {
    let Selection { policy, policy_version, policy_origin, policy_fault, configured, choice, .. } = selection;
    let mut text = format!("\nPolicy: {policy} {policy_version} ({policy_origin})");
    if let Some(fault) = policy_fault {
        text.push_str(&format!("\nThe policy that was installed is set aside: {fault}"));
    }
    if let Some(configured) = configured {
        text.push_str(&format!("\nNamed: {configured}"));
    }
    if let Ok(name) = choice {
        text.push_str(&format!("\nNew layers: {name}"));
    }
    text
}

const LISTING: Listing<'static, CandidateSummary> = Listing {
    columns: &[
        Column { field: "Rank", head: "RANK", value: |c| c.rank.into() },
        Column { field: "Name", head: "NAME", value: |c| c.name.as_str().into() },
        Column { field: "Chosen", head: "CHOSEN", value: |c| if c.chosen { "*" } else { "" }.into() },
        Column { field: "Origin", head: "ORIGIN", value: |c| c.origin.as_str().into() },
        Column {
            field: "Eligible",
            head: "ELIGIBLE",
            value: |c| if c.eligible { "yes" } else { "no" }.into(),
        },
        Column { field: "Layers", head: "LAYERS", value: |c| c.layers.into() },
        Column { field: "Containers", head: "CONTAINERS", value: |c| c.containers.into() },
        Column { field: "Reasons", head: "REASONS", value: |c| c.reasons.join(" ").into() },
        Column { field: "Because", head: "BECAUSE", value: |c| c.because.join(", ").into() },
        Column { field: "Verdict", head: "VERDICT", value: |c| c.verdict.as_str().into() },
    ],
    table: &["Rank", "Name", "Chosen", "Origin", "Layers", "Containers", "Reasons", "Verdict"],
    quiet: "Name",
};
