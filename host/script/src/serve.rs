//! Scripts whose handlers and timers run for commands: hooks.
//!
//! They lie in `scripts/hooks` of the storage root, and each command that opens the root loads them, in the order of
//! their names. What is not the root's owner's, or others could write to, is not loaded: hooks run as whoever runs the
//! command.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nacre_engine::{Config, Engine};

use crate::{Code, Fault, Grants, Host, Limits, Script, Source, Uncaught};

/// Where hooks lie, below the storage root.
pub const HOOKS: &str = "scripts/hooks";

/// At the top of a hook, what follows is granted to it, as `--allow` would.
const ALLOW: &str = "---@allow ";

/// How often it is looked whether the service is to end.
const LOOK: Duration = Duration::from_millis(100);

/// How often it is looked whether space is low.
const SPACE: Duration = Duration::from_secs(60);

/// The hooks of a storage root, in their order. Costs one look at a directory where there are none.
///
/// # Errors
/// The directory is there and cannot be read.
pub fn hooks(root: &Path) -> Result<Vec<PathBuf>, Fault> {
    let dir = root.join(HOOKS);
    let failed =
        |error: std::io::Error| Fault::new(Code::FAILED, format!("cannot read {}: {error}", dir.display()));
    let entries = match std::fs::read_dir(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "lua") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Loads hooks for a command: their handlers are told what engines of this thread do, as long as they live. One that
/// fails is reported and left out.
pub fn load(files: &[PathBuf], config: &Config) -> Vec<Script> {
    files
        .iter()
        .filter_map(|file| match one(file, config, Host::as_hook) {
            Ok(script) => Some(script),
            Err(uncaught) => {
                tracing::warn!(target: "nacre_script", "the hook {} is left out: {uncaught}", file.display());
                None
            }
        })
        .collect()
}

fn one(file: &Path, config: &Config, role: fn(Host) -> Host) -> Result<Script, Box<Uncaught>> {
    trusted(file).map_err(Uncaught::from)?;
    let source = Source::file(file).map_err(Uncaught::from)?;
    let grants = grants(&source).map_err(Uncaught::from)?;
    let host = role(Host::new(config.clone()).with_grants(grants));
    let script = Script::new(host, &Limits::default()).map_err(Uncaught::from)?;
    script.run(&source, &[])?;
    Ok(script)
}

fn trusted(file: &Path) -> Result<(), Fault> {
    let found = std::fs::metadata(file)
        .map_err(|error| Fault::new(Code::FAILED, format!("cannot look at {}: {error}", file.display())))?;
    let owner = rustix::process::geteuid().as_raw();
    match (found.uid() == owner || found.uid() == 0) && found.mode() & 0o022 == 0 {
        true => Ok(()),
        false => Err(Fault::new(Code::PERMISSION, "others than you can write to it")
            .with_hint("`chown root` it, and `chmod go-w`")),
    }
}

fn grants(source: &Source) -> Result<Grants, Fault> {
    let mut grants = Grants::default();
    let text = String::from_utf8_lossy(source.bytes()).into_owned();
    let head = text.lines().take_while(|line| line.is_empty() || line.starts_with("--"));
    for list in head.filter_map(|line| line.strip_prefix(ALLOW)) {
        grants.allow(list.trim())?;
    }
    Ok(grants)
}

/// Scripts that are served.
#[derive(Debug)]
pub struct Service {
    scripts: Vec<Script>,
    engine: Engine,
}

impl Service {
    /// Loads scripts to be served: their timers run, and they hear each other's events.
    ///
    /// # Errors
    /// One of them fails, or none has a timer or a handler.
    pub fn new(files: &[PathBuf], config: &Config) -> Result<Self, Box<Uncaught>> {
        let scripts = files
            .iter()
            .map(|file| one(file, config, Host::with_timers))
            .collect::<Result<Vec<_>, Box<Uncaught>>>()?;
        if scripts.iter().all(|script| script.host.events.timers() == 0) {
            let fault = Fault::usage("no script has a timer").with_hint(format!(
                "`nacre.every(\"1h\", function() … end)` in a script of <root>/{HOOKS} is one"
            ));
            return Err(Box::new(fault.into()));
        }
        let engine = Engine::open(config.clone()).map_err(Fault::from).map_err(Uncaught::from)?;
        crate::events::listen_to(&engine);
        Ok(Self { scripts, engine })
    }

    /// How many timers there are.
    pub fn timers(&self) -> usize {
        self.scripts.iter().map(|script| script.host.events.timers()).sum()
    }

    /// What interrupts the scripts, one by one.
    pub fn interrupted(&self) -> Vec<std::sync::Arc<AtomicBool>> {
        self.scripts.iter().map(Script::interrupted).collect()
    }

    /// Runs timers until `stop` is set.
    pub fn run(&self, stop: &AtomicBool) {
        let mut space = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            self.scripts.iter().for_each(|script| script.host.events.call_due());
            if space.elapsed() >= SPACE {
                space = Instant::now();
                self.engine.tell_low_space();
            }
            let due = self.scripts.iter().filter_map(|script| script.host.events.next_due()).min();
            let left = due.map_or(LOOK, |due| due.saturating_duration_since(Instant::now()));
            std::thread::sleep(left.min(LOOK));
        }
    }
}
