//! What a command works with: the global options and, once it is needed, the engine.

use std::io::IsTerminal;

use nacre_engine::{Config, Engine};

use crate::args::{Explain, Global};
use crate::failure::Failure;

/// What a command works with.
#[derive(Debug)]
pub struct Context {
    /// The global options.
    pub global: Global,
}

impl Context {
    /// A context. It opens nothing.
    pub fn new(global: Global) -> Self {
        Self { global }
    }

    /// Opens the engine, which also undoes or completes what a process that died has left.
    pub fn engine(&self) -> Result<Engine, Failure> {
        self.open(false)
    }

    /// Opens the engine; with `--explain` it will collect plans and change nothing.
    pub fn engine_for(&self, explain: Explain) -> Result<Engine, Failure> {
        self.open(explain.form.is_some())
    }

    fn open(&self, explain: bool) -> Result<Engine, Failure> {
        let config = Config {
            root: Some(self.global.root.clone()),
            driver: self.global.driver.clone(),
            storage_opts: self.global.storage_opts.clone(),
            explain,
        };
        Ok(Engine::open(config)?)
    }

    /// Whether standard error takes colours.
    pub fn colour_on_stderr(&self) -> bool {
        std::io::stderr().is_terminal() && colours_wanted(&self.global)
    }
}

/// Whether the user lets us use colours where a terminal takes them. NO_COLOR counts when it is not empty
/// (no-color.org).
pub fn colours_wanted(global: &Global) -> bool {
    !global.no_color
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
