//! Running a script.

use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mlua::chunk::ChunkMode;
use mlua::{Function, IntoLuaMulti, Lua, Value, Variadic};

use crate::api;
use crate::host::CLOSED;
use crate::registry::Binder;
use crate::sandbox::limits::Limits;
use crate::sandbox::{Sandbox, require, watch};
use crate::{Code, Fault, Host};

/// The text of a script.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is called.
    name: String,
    text: Vec<u8>,
    /// Where `require` looks.
    dir: Option<PathBuf>,
}

impl Source {
    /// A script in a file.
    ///
    /// # Errors
    /// The file cannot be read, or is too large.
    pub fn file(path: &Path) -> Result<Self, Fault> {
        let text = require::read(path).map_err(|error| {
            let code = match error {
                rustix::io::Errno::NOENT => Code::NOT_FOUND,
                rustix::io::Errno::ACCESS => Code::PERMISSION,
                _ => Code::FAILED,
            };
            Fault::new(code, format!("cannot read {}: {error}", path.display()))
        })?;
        let dir = path.parent().map(Path::to_owned);
        Ok(Self { name: path.display().to_string(), text: without_shebang(text), dir })
    }

    /// A script that is in no file.
    pub fn text(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: without_shebang(text.as_bytes().to_vec()), dir: None }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text; its first line is empty where it was `#!…`.
    pub fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// The script as a function.
    pub(crate) fn function(&self, lua: &Lua) -> Result<Function, Fault> {
        let chunk =
            lua.load(self.text.as_slice()).set_mode(ChunkMode::Text).set_name(format!("@{}", self.name));
        Ok(chunk.into_function()?)
    }
}

/// Lines keep their numbers.
pub(crate) fn without_shebang(mut text: Vec<u8>) -> Vec<u8> {
    if text.starts_with(b"#") {
        let end = text.iter().position(|b| *b == b'\n').unwrap_or(text.len());
        text.drain(..end);
    }
    text
}

/// A script that ended by an error.
#[derive(Debug, Clone)]
pub struct Uncaught {
    /// The error.
    pub fault: Fault,
    /// Where the script was, the innermost line first.
    pub traceback: Vec<String>,
}

impl Uncaught {
    /// Nobody reads what the script prints any more, which is no failure.
    pub fn is_closed_output(&self) -> bool {
        self.fault.code == CLOSED
    }
}

impl From<Fault> for Uncaught {
    fn from(fault: Fault) -> Self {
        Self { fault, traceback: Vec::new() }
    }
}

/// The message, and the lines of the script that led to it.
impl fmt::Display for Uncaught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fault)?;
        self.traceback.iter().try_for_each(|line| write!(f, "\n  at {line}"))
    }
}

impl std::error::Error for Uncaught {}

/// A Lua state in which scripts run, with the API in it.
#[derive(Debug)]
pub struct Script {
    pub(crate) host: Rc<Host>,
    pub(crate) sandbox: Sandbox,
}

impl Script {
    /// A state with these limits.
    ///
    /// # Errors
    /// The limits are too small for nacre's own code.
    pub fn new(host: Host, limits: &Limits) -> Result<Self, Fault> {
        let host = Rc::new(host);
        let sandbox = Sandbox::new(&host, limits)?;
        let binder = Binder::new(&sandbox.lua, host.clone(), sandbox.meter.clone())?;
        api::install(&sandbox.lua, &binder)?;
        host.events.attach(sandbox.protected.clone());
        let _ = host.protected.set(sandbox.protected.clone());
        Ok(Self { host, sandbox })
    }

    /// Runs a script to its end: the exit code that it returned, or 0.
    ///
    /// # Errors
    /// It raised an error that it did not catch, or is no Lua.
    pub fn run(&self, source: &Source, args: &[String]) -> Result<u8, Box<Uncaught>> {
        self.sandbox.meter.begin();
        let ended = self.try_run(source, args);
        self.sandbox.meter.end();
        ended.map_err(Box::new)
    }

    fn try_run(&self, source: &Source, args: &[String]) -> Result<u8, Uncaught> {
        let lua = &self.sandbox.lua;
        self.host.set_modules(source.dir.clone());
        self.host.events.name_script(&source.name);
        let main = source.function(lua)?;
        self.set_arguments(source, args).map_err(Fault::from)?;
        let args: Variadic<String> = args.iter().cloned().collect();
        let args = args.into_lua_multi(lua).map_err(Fault::from)?;
        match self.sandbox.protected.call(&main, args)?.front() {
            Some(Value::Integer(code)) => u8::try_from(*code).map_err(|_| {
                Fault::usage(format!("a script returns an exit code from 0 to 255, not {code}")).into()
            }),
            _ => Ok(0),
        }
    }

    /// `arg`, as the `lua` command has it.
    fn set_arguments(&self, source: &Source, args: &[String]) -> mlua::Result<()> {
        let table = self.sandbox.lua.create_sequence_from(args.iter().map(String::as_str))?;
        table.raw_set(0, source.name.as_str())?;
        self.sandbox.lua.globals().raw_set("arg", table)
    }

    /// Set, it ends the script at the next of its instructions, with the code `interrupted`.
    pub fn interrupted(&self) -> Arc<AtomicBool> {
        self.sandbox.meter.signs().interrupted()
    }

    /// Calls `end` from another thread once the script is stuck in one call of Lua's library; see [`watch`]. `end` must
    /// end the process.
    pub fn watch(&self, after: Duration, end: impl FnOnce() + Send + 'static) {
        watch::watch(self.sandbox.meter.signs(), after, end);
    }
}
