//! How a command fails: what is said, and with which code the process ends.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use nacre_engine::Class;

use crate::out::escape;
use crate::{exit, wording};

/// A failed command: an error with its causes, a line of help, and the exit code.
#[derive(Debug)]
pub struct Failure {
    message: String,
    cause: Option<Box<Chain>>,
    help: Option<String>,
    code: u8,
    /// Nothing is said: it was said already, or nobody listens any more.
    quiet: bool,
    /// A pipe had no reader any more.
    closed_pipe: bool,
}

impl Failure {
    /// A failure with a message of its own.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: None, help: None, code, quiet: false, closed_pipe: false }
    }

    /// An argument that cannot be used.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message)
    }

    /// A file that cannot be opened, read or written; `action` is a verb.
    pub fn io(action: &str, path: &Path, source: io::Error) -> Self {
        let code = match source.kind() {
            io::ErrorKind::NotFound => exit::NOT_FOUND,
            io::ErrorKind::PermissionDenied => exit::PERMISSION,
            io::ErrorKind::StorageFull => exit::NO_SPACE,
            _ => exit::FAILED,
        };
        Self::new(code, format!("cannot {action} {}", path.display())).caused_by(source)
    }

    /// The process ends with `code`, and nothing more is said.
    pub fn silent(code: u8) -> Self {
        Self { quiet: true, ..Self::new(code, "") }
    }

    /// Adds the cause.
    pub fn caused_by(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.cause = Chain::of(&self.message, Some(&cause));
        self
    }

    /// Adds what the user can do about it.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with another exit code.
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The same for what was written to standard output, where a reader that went away is no failure.
    pub fn on_stdout(self) -> Self {
        if self.closed_pipe { Self::silent(exit::OK) } else { self }
    }

    /// The same in `run`, `exec` and `start --attach`, where 125 sets nacre's own failures apart from the process's exit codes.
    pub fn in_run(self) -> Self {
        match (self.quiet, self.code) {
            (true, _) | (_, exit::CANNOT_INVOKE | exit::COMMAND_NOT_FOUND) => self,
            _ => self.with_code(exit::RUN_FAILED),
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// Whether nothing will be said.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The failure as it is shown. Without colours it is plain ASCII that reads well in a log.
    pub fn render(&self, terminal: bool, colour: bool) -> String {
        let theme = match (terminal, colour) {
            (_, true) => GraphicalTheme::unicode(),
            (true, false) => GraphicalTheme::unicode_nocolor(),
            (false, false) => return self.plain(),
        };
        let mut text = String::new();
        let handler = GraphicalReportHandler::new_themed(theme).with_width(110).with_links(false);
        match handler.render_report(&mut text, self) {
            Ok(()) => text.trim_start_matches('\n').to_owned(),
            Err(_) => self.plain(),
        }
    }

    /// Shows the failure on standard error and gives the exit code.
    pub fn report(&self, colour: bool) -> u8 {
        if !self.quiet {
            let mut stderr = io::stderr().lock();
            let terminal = stderr.is_terminal();
            let _ = stderr.write_all(self.render(terminal, colour).as_bytes());
        }
        self.code
    }

    fn plain(&self) -> String {
        let mut text = format!("nacre: {self}\n");
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(&format!("  caused by: {error}\n"));
            cause = error.source();
        }
        if let Some(help) = self.help() {
            text.push_str(&format!("  help: {help}\n"));
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape::lines(&self.message))
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

impl Diagnostic for Failure {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(escape::lines(help)) as Box<dyn fmt::Display>)
    }
}

/// A failed use case: the engine's message, the causes below it, and its help.
impl From<nacre_engine::Error> for Failure {
    fn from(error: nacre_engine::Error) -> Self {
        let mut failure = Self::new(exit::of(&error), wording::message(&error));
        failure.help = wording::help(&error).or_else(|| {
            (error.class() == Class::Component)
                .then(|| "with --debug, nacre tells what the component logged".to_owned())
        });
        failure.closed_pipe = is_closed_pipe(&error);
        failure.cause = Chain::of(&failure.message, error.source());
        failure
    }
}

/// Standard output that nobody reads any more (`| head`) ends the command without a word.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(exit::OK);
        }
        let code = if error.kind() == io::ErrorKind::StorageFull { exit::NO_SPACE } else { exit::FAILED };
        Self::new(code, "cannot write to standard output").caused_by(error)
    }
}

fn is_closed_pipe(error: &(dyn StdError + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) || error.source().is_some_and(is_closed_pipe)
}

/// The causes of an error as text. Many errors end their message with that of their cause: what was said is
/// not said again.
#[derive(Debug)]
struct Chain {
    message: String,
    cause: Option<Box<Chain>>,
}

impl Chain {
    fn of(said: &str, error: Option<&dyn StdError>) -> Option<Box<Self>> {
        let error = error?;
        let message = error.to_string();
        if said.ends_with(&message) {
            return Self::of(said, error.source());
        }
        let cause = Self::of(&message, error.source());
        Some(Box::new(Self { message, cause }))
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape::lines(&self.message))
    }
}

impl StdError for Chain {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_in_a_log_is_plain_lines() {
        let failure = Failure::new(exit::FAILED, "cannot load a.tar")
            .caused_by(io::Error::other("unexpected end"))
            .with_help("copy it again");
        assert_eq!(
            failure.render(false, false),
            "nacre: cannot load a.tar\n  caused by: unexpected end\n  help: copy it again\n"
        );
    }

    #[test]
    fn no_failure_sends_control_characters_to_the_terminal() {
        let failure = Failure::new(exit::FAILED, "no file \u{1b}]0;x\u{7}")
            .caused_by(io::Error::other("\rgone"))
            .with_help("look at \u{9b}2J");
        for text in [failure.render(false, false), failure.render(true, false)] {
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
            assert!(text.contains("\\u001b]0;x\\u0007") && text.contains("\\u000dgone"), "{text}");
        }
    }

    #[test]
    fn a_cause_that_the_message_has_said_already_is_not_said_again() {
        let failure = Failure::new(exit::FAILED, "cannot read a: gone").caused_by(io::Error::other("gone"));
        assert_eq!(failure.render(false, false), "nacre: cannot read a: gone\n");
    }

    #[test]
    fn a_failure_on_a_terminal_has_colours_only_when_they_are_wanted() {
        let failure = Failure::new(exit::FAILED, "cannot load a.tar").with_help("copy it again");
        assert!(failure.render(true, true).contains('\u{1b}'));
        let plain = failure.render(true, false);
        assert!(!plain.contains('\u{1b}') && plain.contains("help: copy it again"), "{plain}");
    }

    #[test]
    fn an_engine_error_keeps_its_class_and_gets_help() {
        let failure = Failure::from(nacre_engine::Error::NotFound { kind: "image", name: "debian".into() });
        assert_eq!(failure.code(), exit::NOT_FOUND);
        let text = failure.render(false, false);
        assert!(text.starts_with("nacre: no such image: debian\n  help: `nacre images`"), "{text}");
    }

    #[test]
    fn only_run_exec_and_start_attached_end_with_125() {
        let failed =
            || Failure::from(nacre_engine::Error::Runtime(nacre_runtime::Error::BadSignal("X".into())));
        assert_ne!(failed().code(), exit::RUN_FAILED);
        assert_eq!(failed().in_run().code(), exit::RUN_FAILED);
        assert_eq!(exit::of_class(Class::Runtime), exit::FAILED);
    }

    #[test]
    fn a_closed_pipe_below_an_engine_error_is_no_failure_on_standard_output_only() {
        let failed = || {
            Failure::from(nacre_engine::Error::Io {
                action: "write",
                path: "layer".into(),
                source: io::ErrorKind::BrokenPipe.into(),
            })
        };
        assert_eq!(failed().code(), exit::FAILED);
        assert!(failed().on_stdout().is_quiet());
        assert_eq!(failed().on_stdout().code(), exit::OK);
        assert!(!Failure::new(exit::FAILED, "another").on_stdout().is_quiet());
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.is_quiet());
        assert_eq!(failure.code(), exit::OK);
    }
}
