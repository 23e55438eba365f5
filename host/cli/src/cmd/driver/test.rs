//! `driver test`: any driver, put to the conformance suite.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nacre_conformance::{Error, Event, Outcome, Report, Subject, Verdict, Wanted};

use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out::{self, escape};

/// Put a storage driver to the conformance suite
///
/// The suite makes images and containers on throw-away storage roots, and removes them. A case passes, fails
/// with what was expected and what was found, or is skipped with a reason. The command succeeds when no case
/// fails, and ends with 6 otherwise.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre driver test overlay2
  nacre driver test ./my-driver.wasm --on /mnt/xfs
  nacre driver test btrfs --on /mnt/btrfs --case whiteouts/ --case crash/
  nacre driver test overlay2 --format junit > overlay2.xml
  nacre driver test --list")]
pub struct Test {
    /// The driver, by name or by its component's file
    #[arg(required_unless_present = "list")]
    driver: Option<String>,
    /// A directory on the file system to test on [default: where the storage root is]
    #[arg(long, value_name = "DIR")]
    on: Option<PathBuf>,
    /// Only cases that have this in their names (can be repeated)
    #[arg(long = "case", value_name = "FILTER")]
    cases: Vec<String>,
    /// How the outcome is shown
    #[arg(long, value_enum, default_value = "table")]
    format: Form,
    /// Where the random cases start: the same number gives the same operations
    #[arg(long, value_name = "NUMBER", default_value_t = Wanted::default().seed)]
    seed: u64,
    /// How many sequences of operations a random case tries
    #[arg(long, value_name = "NUMBER", default_value_t = Wanted::default().rounds, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// List the cases and run none
    #[arg(long)]
    list: bool,
}

/// How the outcome is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line for each case, as it ends
    Table,
    /// One JSON document
    Json,
    /// JUnit XML, for CI systems
    Junit,
}

impl Test {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let Some(driver) = self.driver.clone().filter(|_| !self.list) else { return list() };
        let report = self.report(cx, driver)?;
        match self.format {
            Form::Table => out::line(format!("\n{}", summary(&report)))?,
            Form::Json => {
                let text = serde_json::to_string_pretty(&report).map_err(std::io::Error::other)?;
                out::line(text)?;
            }
            Form::Junit => out::to_stdout(|out| Ok(out.write_all(report.junit().as_bytes())?))?,
        }
        Ok(if report.passed() { Exit::OK } else { Exit(exit::COMPONENT) })
    }

    fn report(&self, cx: &Context, driver: String) -> Result<Report, Failure> {
        let on = self.on.clone();
        let on = on.unwrap_or_else(|| nacre_conformance::existing(&cx.global.root).to_owned());
        let nacre = std::env::current_exe().ok();
        let subject = Subject { driver, storage_opts: cx.global.storage_opts.clone(), on, nacre };
        let wanted = Wanted { filters: self.cases.clone(), seed: self.seed, rounds: self.rounds };
        let bar = progress();
        // A reader that went away ends the listing, and the case at hand comes to its end all the same.
        let mut said = Ok(());
        let report = nacre_conformance::run(&subject, &wanted, &mut |event| match event {
            Event::Began { case, number, of } => {
                bar.set_length(of as u64);
                bar.set_position(number as u64 - 1);
                bar.set_message(case.name);
            }
            Event::Ended(outcome) if self.format == Form::Table && said.is_ok() => {
                said = bar.suspend(|| out::line(line(outcome)));
            }
            Event::Ended(_) => {}
        });
        bar.finish_and_clear();
        said?;
        report.map_err(failure)
    }
}

fn progress() -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
    ProgressBar::with_draw_target(Some(0), target).with_style(style)
}

fn list() -> Result<Exit, Failure> {
    let width = width();
    for case in nacre_conformance::cases() {
        out::line(format!("{:width$}   {}", case.name, case.about))?;
    }
    Ok(Exit::OK)
}

fn width() -> usize {
    nacre_conformance::cases().iter().map(|case| case.name.len()).max().unwrap_or(0)
}

/// A case in the table; what is to be said of it is below it.
fn line(outcome: &Outcome) -> String {
    let width = width();
    let mut text =
        format!("{:width$}   {:7}   {:7.2}s", outcome.case, outcome.verdict.word(), outcome.seconds);
    match &outcome.verdict {
        Verdict::Passed => {}
        Verdict::Failed { expected, found } => {
            for (what, value) in [("should be", outcome.about), ("expected", expected), ("found", found)] {
                text.push_str(&format!("\n    {what}: {}", escape::one_line(value)));
            }
        }
        Verdict::Skipped { reason } => text.push_str(&format!("   {}", escape::one_line(reason))),
    }
    text
}

fn summary(report: &Report) -> String {
    let driver = &report.driver;
    format!(
        "{} passed, {} failed, {} skipped: {} {} on {} ({})",
        report.count("passed"),
        report.count("failed"),
        report.count("skipped"),
        driver.name,
        driver.version,
        driver.filesystem,
        report.on
    )
}

fn failure(error: Error) -> Failure {
    let text = error.to_string();
    match error {
        Error::NoSuchCase(_) => Failure::usage(text).with_help("`nacre driver test --list` lists the cases"),
        Error::Driver { source, .. } => Failure::new(exit::of(&source), text).caused_by(*source),
        Error::Place { action, path, source } => Failure::io(action, &path, source),
        _ => Failure::new(exit::FAILED, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_expected_and_found() {
        let outcome = |verdict| Outcome { case: "layers/base", about: "it is so", verdict, seconds: 1.25 };
        let text = line(&outcome(Verdict::Failed { expected: "a".into(), found: "\u{1b}[2J".into() }));
        let (head, rest) = text.split_once('\n').unwrap();
        assert!(head.starts_with("layers/base ") && head.ends_with("   failed       1.25s"), "{head:?}");
        assert_eq!(rest, "    should be: it is so\n    expected: a\n    found: \\u001b[2J");
        let text = line(&outcome(Verdict::Skipped { reason: "no quota".into() }));
        assert!(text.ends_with("   skipped      1.25s   no quota"), "{text:?}");
    }
}
