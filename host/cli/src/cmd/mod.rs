//! The commands, a file per noun or use. Each is a struct of arguments with a `run` method.

pub mod container;
pub mod driver;
pub mod image;
pub mod info;
pub mod inspect;
pub mod internal;
pub mod layer;
pub mod shell;
pub mod system;
pub mod why;

use std::io::{BufRead, Write};

use crate::exit::Exit;
use crate::failure::Failure;

/// Does the same with each object. One that fails is reported and does not keep the others from their turn;
/// the command then ends with the first failure's code.
pub(crate) fn each<T: AsRef<str>>(
    cx: &crate::context::Context,
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

/// Asks before something is removed; `force` answers yes.
pub(crate) fn confirm(force: bool, what: &str) -> Result<bool, Failure> {
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
