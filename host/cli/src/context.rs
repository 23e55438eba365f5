//! What a command works with: the global options and, once it is needed, the engine.

use std::cell::OnceCell;
use std::io::IsTerminal;

use nacre_engine::{Config, Engine};
use nacre_script::sandbox::watch::STUCK_AFTER;
use nacre_script::{Script, events, serve};

use crate::args::{Explain, Global};
use crate::cmd::script;
use crate::exit;
use crate::failure::Failure;

/// What a command works with.
#[derive(Debug)]
pub struct Context {
    /// The global options.
    pub global: Global,
    /// The hooks of the storage root, once they are loaded.
    hooks: OnceCell<Vec<Script>>,
}

impl Context {
    /// A context. It opens nothing.
    pub fn new(global: Global) -> Self {
        Self { global, hooks: OnceCell::new() }
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
        let engine = Engine::open(self.config(explain))?;
        if !explain && self.load_hooks()? {
            events::listen_to(&engine);
        }
        Ok(engine)
    }

    /// How the global options want the engine opened.
    pub fn config(&self, explain: bool) -> Config {
        Config {
            root: Some(self.global.root.clone()),
            driver: self.global.driver.clone(),
            storage_opts: self.global.storage_opts.clone(),
            explain,
        }
    }

    /// Loads the hooks of the storage root: whether there are any.
    pub fn load_hooks(&self) -> Result<bool, Failure> {
        if let Some(known) = self.hooks.get() {
            return Ok(!known.is_empty());
        }
        let files = serve::hooks(&self.global.root).map_err(script::failure)?;
        let scripts = serve::load(&files, &self.config(false));
        for script in &scripts {
            let colour = self.colour_on_stderr();
            script.watch(STUCK_AFTER, move || {
                let stuck = Failure::new(exit::FAILED, "a hook was stuck in one call of Lua's library")
                    .with_help("what the command was at is completed or undone by the next one");
                std::process::exit(stuck.report(colour).into());
            });
        }
        Ok(!self.hooks.get_or_init(|| scripts).is_empty())
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
