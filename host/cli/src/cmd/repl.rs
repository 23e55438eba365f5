//! `repl`: a prompt for Lua.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use clap::Args;
use nacre_script::{Host, Limits, Script};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Editor, Helper, Highlighter, Hinter};

use super::script::{failure, grants, told};
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;

/// A prompt for Lua that drives nacre
///
/// Values are printed, Tab completes, help(x) tells what x is, and what was typed is kept in
/// $XDG_STATE_HOME/nacre/history (~/.local/state where that is not set). A line that is not complete goes on in the
/// next one. Variables that are `local` end with their line. Ctrl-C ends what runs, Ctrl-D the prompt.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre repl
  nacre repl --allow fs=/srv/backup
  echo 'nacre.system.df()' | nacre repl")]
pub struct Repl {
    /// What may be done besides, as for `script run`
    #[arg(long, value_name = "GRANT,…")]
    allow: Vec<String>,
}

impl Repl {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let host = Host::new(cx.config(false)).with_grants(grants(&self.allow)?);
        cx.load_hooks()?;
        let script = Rc::new(Script::new(host, &Limits::default()).map_err(failure)?);
        script.prepare_prompt().map_err(failure)?;
        let interrupted = script.interrupted();
        if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGINT, interrupted.clone()) {
            tracing::warn!(%error, "Ctrl-C ends the prompt");
        }
        let at_terminal = std::io::stdin().is_terminal();
        let mut editor = editor(script.clone())?;
        let history = history().filter(|_| at_terminal);
        if let Some(file) = &history {
            // The first time there is none.
            let _ = editor.load_history(file);
        }
        let mut code = exit::OK;
        loop {
            match editor.readline("> ") {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => {
                    let _ = editor.add_history_entry(text.as_str());
                    interrupted.store(false, Ordering::Relaxed);
                    match script.evaluate(&text) {
                        Ok(()) => {}
                        Err(uncaught) if uncaught.is_closed_output() => break,
                        Err(uncaught) => {
                            let failed = told(&uncaught).report(cx.colour_on_stderr());
                            // From a pipe the first error counts, as in a script.
                            if !at_terminal && code == exit::OK {
                                code = failed;
                            }
                        }
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(Failure::new(exit::FAILED, "cannot read a line").caused_by(error)),
            }
        }
        if let Some(file) = &history
            && let Err(error) = editor.save_history(file)
        {
            tracing::warn!(file = %file.display(), %error, "the history is not kept");
        }
        Ok(Exit(code))
    }
}

fn editor(script: Rc<Script>) -> Result<Editor<Lines, FileHistory>, Failure> {
    let config = Config::builder().history_ignore_dups(true).and_then(|b| b.max_history_size(10_000));
    let config = config.map(|b| b.completion_type(rustyline::CompletionType::List).build());
    let editor = config.and_then(Editor::with_config);
    let mut editor =
        editor.map_err(|error| Failure::new(exit::FAILED, "cannot read from here").caused_by(error))?;
    editor.set_helper(Some(Lines { script }));
    Ok(editor)
}

/// The file of the history, whose directory is there.
fn history() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let dir = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?.join("nacre");
    match std::fs::create_dir_all(&dir) {
        Ok(()) => Some(dir.join("history")),
        Err(error) => {
            tracing::warn!(dir = %dir.display(), %error, "the history is not kept");
            None
        }
    }
}

/// What the line editor asks: whether a text is complete, and what a word can become.
#[derive(Helper, Highlighter, Hinter)]
struct Lines {
    script: Rc<Script>,
}

impl Validator for Lines {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match self.script.is_incomplete(context.input()) {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}

impl Completer for Lines {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.script.complete(line, at))
    }
}
