//! How much a script may use, and how that is measured.
//!
//! Lua calls a hook after every thousand instructions, in the main part and in every coroutine, which inherits it. The
//! hook ends the script by an error when a limit is passed; from then on `pcall` and `coroutine.resume` raise that error
//! again, and so does every function of the API: it cannot be swallowed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mlua::{HookTriggers, Lua, VmState};

use crate::{Code, Fault};

/// After how many instructions the hook is called.
const INTERVAL: u32 = 1000;

/// How much a script may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of all its values together.
    pub memory: usize,
    /// Instructions of Lua's machine from the start of the script to its end.
    pub instructions: u64,
    /// How long its own code may take; what nacre works for it, and sleeping, is not counted.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 256 << 20, instructions: 10_000_000_000, time: Duration::from_secs(600) }
    }
}

/// What can be seen of a script from another thread.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// Grows as long as the script goes on.
    beats: AtomicU64,
    /// A script runs.
    runs: AtomicBool,
    /// Calls of the host under way: what it works may take its time.
    calls: AtomicU64,
    /// The script is to end.
    interrupted: Arc<AtomicBool>,
}

impl Signs {
    pub(crate) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// Set by whoever wants the script to end.
    pub(crate) fn interrupted(&self) -> Arc<AtomicBool> {
        self.interrupted.clone()
    }

    /// The script's own code is at work.
    pub(crate) fn in_script(&self) -> bool {
        self.runs.load(Ordering::Relaxed) && self.calls.load(Ordering::Relaxed) == 0
    }
}

/// Measures a script.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: Limits,
    instructions: Cell<u64>,
    started: Cell<Instant>,
    /// Time spent in the host.
    elsewhere: Cell<Duration>,
    /// Since when the host is at work.
    entered: Cell<Option<Instant>>,
    passed: RefCell<Option<Fault>>,
    signs: Arc<Signs>,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Rc<Self> {
        Rc::new(Self {
            limits: limits.clone(),
            instructions: Cell::new(0),
            started: Cell::new(Instant::now()),
            elsewhere: Cell::default(),
            entered: Cell::default(),
            passed: RefCell::default(),
            signs: Arc::default(),
        })
    }

    /// Sets the limits for a Lua state.
    pub(crate) fn attach(self: &Rc<Self>, lua: &Lua) -> mlua::Result<()> {
        lua.set_memory_limit(self.limits.memory)?;
        let meter = self.clone();
        lua.set_global_hook(HookTriggers::new().every_nth_instruction(INTERVAL), move |_, _| {
            meter.charge().map(|()| VmState::Continue).map_err(mlua::Error::external)
        })
    }

    /// A script ends.
    pub(crate) fn end(&self) {
        self.signs.runs.store(false, Ordering::Relaxed);
    }

    /// A script begins.
    pub(crate) fn begin(&self) {
        self.signs.runs.store(true, Ordering::Relaxed);
        self.instructions.set(0);
        self.started.set(Instant::now());
        self.elsewhere.set(Duration::ZERO);
        self.entered.set(None);
        self.passed.replace(None);
    }

    pub(crate) fn signs(&self) -> Arc<Signs> {
        self.signs.clone()
    }

    /// The limit that was passed.
    pub(crate) fn passed(&self) -> Option<Fault> {
        self.passed.borrow().clone()
    }

    /// Counts the instructions between two calls of the hook. Whatever makes a coroutine pays the same, as that could
    /// run fewer.
    pub(crate) fn charge(&self) -> Result<(), Fault> {
        self.signs.beats.fetch_add(1, Ordering::Relaxed);
        if let Some(fault) = self.passed() {
            return Err(fault);
        }
        let instructions = self.instructions.get() + u64::from(INTERVAL);
        self.instructions.set(instructions);
        let limit = |message| {
            Fault::new(Code::FAILED, message)
                .with_hint("`nacre script run --instructions` and `--time` set the limits")
        };
        let fault = if self.signs.interrupted.load(Ordering::Relaxed) {
            Fault::new(Code::INTERRUPTED, "the script was interrupted")
        } else if instructions > self.limits.instructions {
            limit(format!("the script ran for more than {} instructions", self.limits.instructions))
        } else if self.started.get().elapsed().saturating_sub(self.elsewhere.get()) > self.limits.time {
            limit(format!("the script's own code ran for more than {:?}", self.limits.time))
        } else {
            return Ok(());
        };
        self.passed.replace(Some(fault.clone()));
        Err(fault)
    }

    /// Runs something of the host's, whose time is not the script's.
    pub(crate) fn in_host<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.entered.get().is_some() {
            return work();
        }
        self.leave();
        let outcome = work();
        self.enter();
        outcome
    }

    /// Runs a handler of the script's, which the host calls: its time is the script's. Where the script does not run,
    /// the handler has limits of its own.
    pub(crate) fn in_handler<T>(&self, work: impl FnOnce() -> T) -> T {
        if !self.signs.runs.load(Ordering::Relaxed) {
            self.begin();
            let outcome = work();
            self.end();
            return outcome;
        }
        let in_host = self.entered.get().is_some();
        if in_host {
            self.enter();
        }
        let outcome = work();
        if in_host {
            self.leave();
        }
        outcome
    }

    /// From the script to the host.
    fn leave(&self) {
        self.signs.calls.fetch_add(1, Ordering::Relaxed);
        self.entered.set(Some(Instant::now()));
    }

    /// From the host to the script.
    fn enter(&self) {
        if let Some(since) = self.entered.take() {
            self.elsewhere.set(self.elsewhere.get() + since.elapsed());
        }
        self.signs.calls.fetch_sub(1, Ordering::Relaxed);
        self.signs.beats.fetch_add(1, Ordering::Relaxed);
    }
}
