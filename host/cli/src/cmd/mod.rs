//! The commands, a file per noun or use. Each is a struct of arguments with a `run` method.

pub mod container;
pub mod driver;
pub mod image;
pub mod info;
pub mod inspect;
pub mod internal;
pub mod layer;
pub mod repl;
pub mod script;
pub mod serve;
pub mod shell;
pub mod stat;
pub mod system;
pub mod trace;
pub mod why;

use std::io::{BufRead, Write};

use nacre_engine::Engine;

use crate::args::Explain;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{self, units};

/// Does the same with each object. One that fails is reported and does not keep the others from their turn;
/// the command then ends with the first failure's code.
pub(crate) fn each<T: AsRef<str>>(
    cx: &Context,
    objects: &[T],
    mut act: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let mut code = None;
    for object in objects {
        if let Err(failure) = act(object.as_ref()) {
            if failure.is_quiet() {
                return Err(failure);
            }
            let failed = failure.report(cx.colour_on_stderr());
            code.get_or_insert(failed);
        }
    }
    code.map_or(Ok(Exit::OK), |code| Err(Failure::silent(code)))
}

/// [`each`], where `act` gives the lines to print; with `--explain` the plans that `engine` collected are
/// printed instead, also after a failure.
pub(crate) fn each_explained<T: AsRef<str>>(
    cx: &Context,
    engine: &Engine,
    explain: Explain,
    objects: &[T],
    mut act: impl FnMut(&str) -> Result<Vec<String>, Failure>,
) -> Result<Exit, Failure> {
    let explaining = explain.form.is_some();
    let done = each(cx, objects, |object| {
        let lines = act(object)?;
        if explaining { Ok(()) } else { lines.into_iter().try_for_each(out::line) }
    });
    if explaining {
        out::explain::print(explain, &engine.explained())?;
    }
    done
}

/// Removes `what`, after a question unless `force`, and says under `head` what that was. `act` gives the lines
/// and the bytes; with `--explain` it runs on an engine that changes nothing, and its plans are printed.
pub(crate) fn prune(
    cx: &Context,
    force: bool,
    explain: Explain,
    what: &str,
    head: &str,
    act: impl FnOnce(&Engine) -> Result<(Vec<String>, u64), Failure>,
) -> Result<Exit, Failure> {
    let engine = cx.engine_for(explain)?;
    if explain.form.is_some() {
        act(&engine)?;
        out::explain::print(explain, &engine.explained())?;
    } else if confirm(force, what)? {
        let (lines, bytes) = act(&engine)?;
        out::line(removed_text(head, &lines, bytes))?;
    }
    Ok(Exit::OK)
}

/// What a prune says at its end, as Docker says it.
fn removed_text(head: &str, lines: &[String], bytes: u64) -> String {
    let total = format!("Total reclaimed space: {}", units::size(bytes));
    match lines.is_empty() {
        true => total,
        false => format!("{head}\n{}\n\n{total}", lines.join("\n")),
    }
}

/// Asks before something is removed; `force` answers yes.
fn confirm(force: bool, what: &str) -> Result<bool, Failure> {
    if force {
        return Ok(true);
    }
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "WARNING! This will remove {what}.\nAre you sure you want to continue? [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|e| {
        Failure::usage("cannot read the answer").caused_by(e).with_help("use --force where nobody can answer")
    })?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The exit code that a process's status becomes.
pub(crate) fn exit_of(code: i32) -> Exit {
    Exit(u8::try_from(code).unwrap_or(crate::exit::FAILED))
}
