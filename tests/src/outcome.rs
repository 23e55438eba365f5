//! How a program ended.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

/// How a program ended and what it wrote.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The command line, for messages.
    pub command: String,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
    /// The exit code; -9 for SIGKILL, and so on.
    pub code: i32,
}

impl Outcome {
    /// Runs a command with no input and waits for it.
    pub fn of(command: &mut Command) -> Self {
        Self::with_input(command, &[])
    }

    /// Runs a command with some input and waits for it.
    pub fn with_input(command: &mut Command, input: &[u8]) -> Self {
        let line = line(command);
        let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start `{line}`: {e}"));
        let feed = child.stdin.take().map(|mut pipe| {
            let input = input.to_vec();
            // A program that has seen enough closes the pipe: no error of the test's.
            std::thread::spawn(move || drop(pipe.write_all(&input)))
        });
        let output = child.wait_with_output().expect("waiting for a child");
        if let Some(feed) = feed {
            feed.join().expect("feeding a child");
        }
        Self {
            command: line,
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or(0)),
        }
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output, which is one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("{e}: no JSON from\n{self}"))
    }

    /// Standard output of a program that must have succeeded.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert!(self.code == 0, "must succeed:\n{self}");
        self.text()
    }

    /// Itself, having failed with a message and not crashed.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(self.code != 0, "must fail:\n{self}");
        self.no_crash()
    }

    /// Itself, having failed with this code and a message.
    #[track_caller]
    pub fn failed_with(self, code: i32) -> Self {
        assert!(self.code == code, "must fail with {code}:\n{self}");
        self.no_crash()
    }

    #[track_caller]
    fn no_crash(self) -> Self {
        assert!((1..=130).contains(&self.code), "ended by a signal:\n{self}");
        assert!(!self.stderr.contains("panicked at"), "panicked:\n{self}");
        assert!(!self.stderr.trim().is_empty(), "failed without a word:\n{self}");
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown: String = self.text().chars().take(4000).collect();
        write!(f, "$ {}\n{shown}{}(exit code {})", self.command, self.stderr, self.code)
    }
}

fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
