//! `script test`.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use nacre_script::fixture::{Outcome, Verdict, remove_all};
use nacre_script::sandbox::watch::STUCK_AFTER;
use nacre_script::{Grants, Limits, Source, Test as File};

use super::{failure, grants};
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out::{self, escape};

/// Run tests of Lua scripts, each on a storage root of its own that is thrown away
///
/// A file of tests has `require("nacre.test")` in it. Without a FILE, those below the working directory whose names end in
/// `_test.lua` are run. The roots, and all that was mounted in them, are removed whatever fails. Ends with 1 when a test
/// fails.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre script test
  nacre script test tidy_test.lua
  nacre script test --format junit > report.xml")]
pub struct Test {
    /// A directory on whose file system the roots are made
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    on: PathBuf,
    /// What the tests may do besides, as for `script run`
    #[arg(long, value_name = "GRANT,…")]
    allow: Vec<String>,
    /// How the outcome is shown
    #[arg(long, value_enum, default_value = "plain")]
    format: Form,
    /// Files of tests
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// How the outcome is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line for each test, as it ends
    Plain,
    /// The Test Anything Protocol
    Tap,
    /// JUnit XML, for CI systems
    Junit,
}

/// What a file's tests gave.
type Outcomes = Rc<RefCell<Vec<(String, Outcome)>>>;

impl Test {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let files = if self.files.is_empty() { found(Path::new("."))? } else { self.files.clone() };
        if files.is_empty() {
            return Err(Failure::usage("there are no tests here").with_help(
                "name their files, or have names of files end in _test.lua; `nacre script new` writes one",
            ));
        }
        if !self.on.is_dir() {
            return Err(Failure::new(
                exit::NOT_FOUND,
                format!("there is no directory {}", self.on.display()),
            ));
        }
        let grants = grants(&self.allow)?;
        let outcomes = Outcomes::default();
        for file in &files {
            self.file(cx, file, &grants, &outcomes)?;
        }
        let outcomes = outcomes.take();
        let count =
            |wanted: fn(&Verdict) -> bool| outcomes.iter().filter(|(_, one)| wanted(&one.verdict)).count();
        let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
        let passed = count(|verdict| *verdict == Verdict::Passed);
        match self.format {
            Form::Plain => out::line(format!(
                "\n{passed} passed, {failed} failed, {} skipped",
                outcomes.len() - passed - failed
            ))?,
            Form::Tap => out::line(format!("1..{}", outcomes.len()))?,
            Form::Junit => out::to_stdout(|out| Ok(out.write_all(junit(&outcomes, failed).as_bytes())?))?,
        }
        match failed {
            0 => Ok(Exit::OK),
            _ => Err(Failure::new(exit::FAILED, format!("{failed} of {} tests failed", outcomes.len()))),
        }
    }

    /// Runs the tests of a file. An error outside of tests counts as one that failed.
    fn file(&self, cx: &Context, file: &Path, grants: &Grants, all: &Outcomes) -> Result<(), Failure> {
        let name = file.display().to_string();
        let test = File {
            source: Source::file(file).map_err(failure)?,
            on: self.on.clone(),
            config: nacre_engine::Config { root: None, ..cx.config(false) },
            grants: grants.clone(),
            limits: Limits::default(),
        };
        let (form, heard, place) = (self.format, all.clone(), name.clone());
        let hear = move |outcome: &Outcome| {
            heard.borrow_mut().push((place.clone(), outcome.clone()));
            let number = heard.borrow().len();
            // A reader that went away does not end the tests, which have things to remove.
            let _ = match form {
                Form::Plain => out::line(line(outcome)),
                Form::Tap => out::line(tap(number, outcome)),
                Form::Junit => Ok(()),
            };
        };
        if form == Form::Plain {
            out::line(&name)?;
        }
        let (colour, stuck) = (cx.colour_on_stderr(), name.clone());
        let end = move || {
            remove_all();
            let failed =
                Failure::new(exit::FAILED, format!("{stuck} was stuck in one call of Lua's library"));
            std::process::exit(failed.report(colour).into());
        };
        let interrupt = |flag| super::end_on_signals(&[flag]);
        let ended = nacre_script::test(&test, STUCK_AFTER, interrupt, end, hear.clone());
        match ended {
            Err(uncaught) if uncaught.fault.exit_code() == exit::INTERRUPTED => {
                Err(Failure::new(exit::INTERRUPTED, "the tests were interrupted"))
            }
            Err(uncaught) => {
                hear(&Outcome {
                    name: "(the file itself)".to_owned(),
                    verdict: Verdict::Failed(uncaught.to_string()),
                    seconds: Duration::ZERO.as_secs_f64(),
                });
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// The files of tests below a directory, in the order of their names.
fn found(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).map_err(|error| Failure::io("list", &dir, error))? {
            let entry = entry.map_err(|error| Failure::io("list", &dir, error))?;
            let (name, kind) = (entry.file_name(), entry.file_type());
            let name = name.to_string_lossy();
            match kind.map_err(|error| Failure::io("look at", &entry.path(), error))? {
                kind if kind.is_dir() && !name.starts_with('.') => todo.push(entry.path()),
                kind if kind.is_file() && name.ends_with("_test.lua") => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

fn line(outcome: &Outcome) -> String {
    let (word, more) = match &outcome.verdict {
        Verdict::Passed => ("ok", String::new()),
        Verdict::Failed(message) => {
            ("FAILED", format!("\n      {}", escape::lines(message).replace('\n', "\n      ")))
        }
        Verdict::Skipped(reason) => ("skipped", format!(": {}", escape::one_line(reason))),
    };
    format!("  {word:<7} {} ({:.2}s){more}", escape::one_line(&outcome.name), outcome.seconds)
}

fn tap(number: usize, outcome: &Outcome) -> String {
    let name = escape::one_line(&outcome.name).replace('#', "\\#");
    match &outcome.verdict {
        Verdict::Passed => format!("ok {number} - {name}"),
        Verdict::Skipped(reason) => format!("ok {number} - {name} # SKIP {}", escape::one_line(reason)),
        Verdict::Failed(message) => {
            let message: String =
                message.lines().map(|line| format!("\n# {}", escape::one_line(line))).collect();
            format!("not ok {number} - {name}{message}")
        }
    }
}

fn junit(outcomes: &[(String, Outcome)], failed: usize) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"nacre script test\" tests=\"{}\" failures=\"{failed}\">\n",
        outcomes.len()
    );
    for (file, outcome) in outcomes {
        text.push_str(&format!(
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">",
            xml(file),
            xml(&outcome.name),
            outcome.seconds
        ));
        match &outcome.verdict {
            Verdict::Passed => {}
            Verdict::Failed(message) => text.push_str(&format!("<failure>{}</failure>", xml(message))),
            Verdict::Skipped(reason) => text.push_str(&format!("<skipped message=\"{}\"/>", xml(reason))),
        }
        text.push_str("</testcase>\n");
    }
    text.push_str("</testsuite>\n");
    text
}

fn xml(text: &str) -> String {
    let text = escape::lines(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
