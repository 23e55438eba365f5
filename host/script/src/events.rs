//! Handlers and timers of scripts.
//!
//! Every engine that a script or a command with hooks opens has one observer, which passes on what it is told to all
//! scripts of its thread that listen, in the order in which they began to. A handler's fault is reported, and changes
//! nothing; its refusal ends the operation before anything was done. A handler may itself do what is told to handlers,
//! up to [`DEEPEST`] deep.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mlua::{Function, Lua, MultiValue, Table, Value};
use nacre_engine::event::{Kind, Observer, Refusal};

use crate::registry::give;
use crate::sandbox::protect::Protected;
use crate::{Code, Fault};

/// How deep handlers may call one another.
pub const DEEPEST: u32 = 8;

/// How many handlers, and how many timers, a script may have: they are not counted as its memory.
const MOST: usize = 1000;

thread_local! {
    /// The scripts that listen, in the order in which they began to.
    static LISTENERS: RefCell<Vec<Weak<Events>>> = const { RefCell::new(Vec::new()) };
    /// How deep handlers are in one another.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// The event that is told while locks are held.
    static LOCKED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// What passes events on to the scripts of this thread.
pub(crate) fn observer() -> Arc<dyn Observer> {
    Arc::new(Listeners)
}

/// Tell an engine's events to the scripts of this thread that listen.
pub fn listen_to(engine: &nacre_engine::Engine) {
    engine.observe(observer());
}

/// An engine that is used while it tells of an event would wait for itself.
pub(crate) fn refuse_where_locked() -> Result<(), Fault> {
    match LOCKED.get() {
        Some(event) => Err(Fault::usage(format!("storage cannot be used in a handler of {event}"))
            .with_hint("it is told while layers are locked; events of images and containers are not")),
        None => Ok(()),
    }
}

#[derive(Debug)]
struct Listeners;

impl Listeners {
    fn scripts(&self) -> Vec<Rc<Events>> {
        LISTENERS.with_borrow_mut(|all| {
            all.retain(|one| one.strong_count() > 0);
            all.iter().filter_map(Weak::upgrade).collect()
        })
    }

    /// Runs `work` one level deeper.
    fn deeper<T>(&self, kind: &'static Kind, work: impl FnOnce() -> T) -> T {
        let depth = DEPTH.replace(DEPTH.get() + 1);
        let locked = LOCKED.get();
        if kind.locked {
            LOCKED.set(Some(kind.name));
        }
        let outcome = work();
        LOCKED.set(locked);
        DEPTH.set(depth);
        outcome
    }
}

impl Observer for Listeners {
    fn listens(&self) -> bool {
        LISTENERS.with_borrow(|all| all.iter().any(|one| one.strong_count() > 0))
    }

    fn ask(&self, kind: &'static Kind, fields: &serde_json::Value) -> Result<(), Refusal> {
        if DEPTH.get() >= DEEPEST {
            let reason = format!("handlers called one another {DEEPEST} deep");
            return Err(Refusal { by: "nacre".to_owned(), reason });
        }
        self.deeper(kind, || self.scripts().iter().try_for_each(|script| script.handle(kind, fields)))
    }

    fn tell(&self, kind: &'static Kind, fields: &serde_json::Value) {
        if DEPTH.get() < DEEPEST {
            self.deeper(kind, || {
                for script in self.scripts() {
                    // What happened cannot be refused.
                    let _ = script.handle(kind, fields);
                }
            });
        }
    }
}

/// Where timers of a script run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Timers {
    /// Nowhere, and that is told.
    #[default]
    Nowhere,
    /// In another process.
    Elsewhere,
    /// Here.
    Here,
}

#[derive(Debug)]
struct Handler {
    number: u64,
    /// A name, or its beginning before `*`.
    pattern: String,
    function: Function,
}

/// A function that is called again and again.
#[derive(Debug)]
pub(crate) struct Timer {
    every: Duration,
    due: Instant,
    function: Function,
}

/// What a script wants to be told.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// What the script is called.
    script: RefCell<String>,
    handlers: RefCell<Vec<Rc<Handler>>>,
    /// How many handlers there were.
    count: Cell<u64>,
    timers: RefCell<Vec<Timer>>,
    timers_run: Cell<Timers>,
    protected: OnceCell<Rc<Protected>>,
}

impl Events {
    pub(crate) fn attach(&self, protected: Rc<Protected>) {
        let _ = self.protected.set(protected);
    }

    pub(crate) fn name_script(&self, name: &str) {
        name.clone_into(&mut self.script.borrow_mut());
    }

    pub(crate) fn keep_timers(&self, here: bool) {
        self.timers_run.set(if here { Timers::Here } else { Timers::Elsewhere });
    }

    /// A handler that is called after those that are there: its number.
    pub(crate) fn add(self: &Rc<Self>, pattern: String, function: Function) -> Result<u64, Fault> {
        few(self.handlers.borrow().len(), "handlers")?;
        let number = self.count.replace(self.count.get() + 1);
        self.handlers.borrow_mut().push(Rc::new(Handler { number, pattern, function }));
        LISTENERS.with_borrow_mut(|all| {
            if !all.iter().any(|one| one.as_ptr() == Rc::as_ptr(self)) {
                all.push(Rc::downgrade(self));
            }
        });
        Ok(number)
    }

    /// Takes a handler away.
    pub(crate) fn remove(self: &Rc<Self>, number: u64) {
        self.handlers.borrow_mut().retain(|handler| handler.number != number);
        if self.handlers.borrow().is_empty() {
            LISTENERS.with_borrow_mut(|all| all.retain(|one| one.as_ptr() != Rc::as_ptr(self)));
        }
    }

    /// A timer, where timers run.
    pub(crate) fn add_timer(&self, every: Duration, function: Function) -> Result<(), Fault> {
        few(self.timers(), "timers")?;
        match self.timers_run.get() {
            Timers::Here => {
                let due = Instant::now() + every;
                self.timers.borrow_mut().push(Timer { every, due, function });
            }
            Timers::Elsewhere => {}
            Timers::Nowhere => tracing::warn!(
                target: "nacre_script",
                "nacre.every does nothing in {}: `nacre serve scripts` runs timers", self.script.borrow()
            ),
        }
        Ok(())
    }

    pub(crate) fn timers(&self) -> usize {
        self.timers.borrow().len()
    }

    /// When the next timer is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.timers.borrow().iter().map(|timer| timer.due).min()
    }

    /// Calls the timers that are due. One that took longer than its span is called next after another span.
    pub(crate) fn call_due(&self) {
        let now = Instant::now();
        let due: Vec<Function> = self
            .timers
            .borrow_mut()
            .iter_mut()
            .filter(|timer| timer.due <= now)
            .map(|timer| {
                timer.due = (timer.due + timer.every).max(now);
                timer.function.clone()
            })
            .collect();
        for function in due {
            self.call("a timer", &function, MultiValue::new());
        }
    }

    /// Calls the handlers of an event in their order.
    fn handle(&self, kind: &'static Kind, fields: &serde_json::Value) -> Result<(), Refusal> {
        let wanted = |handler: &&Rc<Handler>| match handler.pattern.strip_suffix('*') {
            Some(beginning) => kind.name.starts_with(beginning),
            None => handler.pattern == kind.name,
        };
        let handlers: Vec<Rc<Handler>> = self.handlers.borrow().iter().filter(wanted).cloned().collect();
        for handler in handlers {
            let Some(lua) = handler.function.weak_lua().try_upgrade() else { break };
            let refused: Rc<RefCell<Option<String>>> = Rc::default();
            match event(&lua, kind, fields, refused.clone()) {
                Ok(event) => {
                    let args = MultiValue::from_vec(vec![Value::Table(event)]);
                    self.call_unless(kind.name, &handler.function, args, || refused.borrow().is_some());
                }
                Err(error) => {
                    tracing::warn!(target: "nacre_script", %error, "{} could not be told", kind.name);
                }
            }
            if let Some(reason) = refused.take() {
                return Err(Refusal { by: self.script.borrow().clone(), reason });
            }
        }
        Ok(())
    }

    fn call(&self, what: &str, function: &Function, args: MultiValue) {
        self.call_unless(what, function, args, || false);
    }

    /// Calls a function of the script, and reports its fault unless that is known already.
    fn call_unless(&self, what: &str, function: &Function, args: MultiValue, known: impl Fn() -> bool) {
        let Some(protected) = self.protected.get() else { return };
        if let Err(uncaught) = protected.call(function, args)
            && !known()
        {
            tracing::warn!(
                target: "nacre_script",
                "a handler of {what} in {} failed: {uncaught}", self.script.borrow()
            );
        }
    }
}

fn few(count: usize, what: &str) -> Result<(), Fault> {
    match count < MOST {
        true => Ok(()),
        false => Err(Fault::usage(format!("a script has at most {MOST} {what}"))),
    }
}

/// What a handler is given: the event's fields, its `event` and `refuse`.
fn event(
    lua: &Lua,
    kind: &'static Kind,
    fields: &serde_json::Value,
    refused: Rc<RefCell<Option<String>>>,
) -> mlua::Result<Table> {
    let table = match give(lua, fields).map_err(mlua::Error::external)? {
        Value::Table(table) => table,
        _ => lua.create_table()?,
    };
    table.raw_set("event", kind.name)?;
    let refuse = lua.create_function(move |_, (_, reason): (Value, Option<String>)| -> mlua::Result<()> {
        if !kind.refusable {
            let fault = Fault::usage(format!("{} cannot be refused", kind.name))
                .with_hint("`nacre.event.names()` tells which can");
            return Err(mlua::Error::external(fault));
        }
        let reason = reason.unwrap_or_else(|| "no reason is given".to_owned());
        refused.replace(Some(reason.clone()));
        // It ends the handler, and counts whether that is caught or not.
        Err(mlua::Error::external(Fault::new(Code::PERMISSION, reason)))
    })?;
    table.raw_set("refuse", refuse)?;
    Ok(table)
}
