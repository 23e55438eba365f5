//! A running instance: its store, what it can call, its limits, and how its calls end.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use tracing::{debug, info, warn};
use wasmtime::component::{HasSelf, Instance, InstancePre, Linker};
use wasmtime::{Engine, ResourceLimiter, Store};

use crate::bindings::EveryRole;
use crate::bindings::exports::nacre::storage::{
    cache_policy, component, copy_up_policy, search_policy, selection_policy, storage_driver,
};
use crate::bindings::nacre::storage::{log, plan, state, types};
use crate::error::{Error, Result};
use crate::host::Limits;
use crate::state::{StateError, StateView};
use crate::ticker::{TICK, Ticker};
use crate::trap;

/// The most bytes of a log message.
const MESSAGE: usize = 1024;
/// The most messages of one call that go to nacre's log.
const MESSAGES: usize = 64;
/// How many of the last messages of a call a report has.
const LAST: usize = 16;
/// The most keys that one request lists.
const KEYS: usize = 4096;

/// What an instance's store holds for it.
pub(crate) struct Guest {
    name: Arc<str>,
    state: Arc<dyn StateView>,
    memory: usize,
    table_elements: usize,
    messages: usize,
    last: VecDeque<String>,
}

/// Why the host ended a call, found again in the error that wasmtime hands back.
#[derive(Debug)]
pub(crate) enum Ended {
    Memory,
    State(StateError),
}

impl fmt::Display for Ended {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Memory => out.write_str("more memory than it may have"),
            Ended::State(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for Ended {}

impl log::Host for Guest {
    fn write(&mut self, level: log::Level, mut message: String) -> wasmtime::Result<()> {
        message.truncate(message.floor_char_boundary(MESSAGE));
        self.messages += 1;
        if self.messages <= MESSAGES {
            match level {
                log::Level::Debug => debug!(component = %self.name, "{message}"),
                log::Level::Info => info!(component = %self.name, "{message}"),
                log::Level::Warn => warn!(component = %self.name, "{message}"),
            }
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(message);
        Ok(())
    }
}

impl state::Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.state.get(&key).map_err(Ended::State)?)
    }

    fn keys(&mut self, prefix: String) -> wasmtime::Result<Vec<String>> {
        let mut keys = self.state.keys(&prefix, KEYS).map_err(Ended::State)?;
        keys.truncate(KEYS);
        Ok(keys)
    }
}

impl types::Host for Guest {}
impl plan::Host for Guest {}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.memory { Err(Ended::Memory.into()) } else { Ok(true) }
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= self.table_elements)
    }

    fn memories(&self) -> usize {
        4
    }

    fn tables(&self) -> usize {
        8
    }

    fn instances(&self) -> usize {
        16
    }
}

/// All that a component can be linked to.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    EveryRole::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    Ok(linker)
}

/// Where a component has the exports of one role, looked up once.
pub(crate) trait Indices {
    /// The exports of an instance.
    type Exports;

    fn load(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Self::Exports>;
}

macro_rules! indices {
    ($($interface:ident),*) => {$(
        impl Indices for $interface::GuestIndices {
            type Exports = $interface::Guest;

            fn load(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Self::Exports> {
                $interface::GuestIndices::load(self, store, instance)
            }
        }
    )*};
}
indices!(component, storage_driver, selection_policy, search_policy, cache_policy, copy_up_policy);

/// What every call of a role needs to know.
pub(crate) struct Caller<'a, I> {
    pub(crate) name: &'a Arc<str>,
    pub(crate) pre: &'a InstancePre<Guest>,
    pub(crate) role: &'a I,
    pub(crate) limits: &'a Limits,
    pub(crate) ticker: &'a Ticker,
}

/// An instance that is kept between calls, made when it is first needed, with the exports of one role.
pub(crate) struct Warm<E>(Option<(Store<Guest>, E)>);

impl<E> Default for Warm<E> {
    fn default() -> Self {
        Warm(None)
    }
}

impl<E> fmt::Debug for Warm<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Warm").field(&self.0.is_some()).finish()
    }
}

impl<E> Warm<E> {
    /// Make one call. An instance that trapped is not used again.
    pub(crate) fn call<I: Indices<Exports = E>, R>(
        &mut self,
        caller: &Caller<'_, I>,
        state: &Arc<dyn StateView>,
        export: &'static str,
        call: impl FnOnce(&mut Store<Guest>, &E) -> wasmtime::Result<R>,
    ) -> Result<R> {
        let entered = caller.ticker.enter();
        let _in_flight = entered.map_err(|error| Error::Host { reason: error.to_string() })?;
        if self.0.is_none() {
            let mut store = new_store(caller, state);
            let loaded = caller.pre.instantiate(&mut store);
            match loaded.and_then(|instance| caller.role.load(&mut store, &instance)) {
                Ok(exports) => self.0 = Some((store, exports)),
                Err(error) => return Err(trap::report(caller, export, store.into_data(), &error)),
            }
        }
        let Some((store, exports)) = &mut self.0 else {
            return Err(Error::Host { reason: "no instance".into() });
        };
        let guest = store.data_mut();
        guest.messages = 0;
        guest.last.clear();
        store.set_epoch_deadline(ticks(caller.limits));
        match call(store, exports) {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let guest = self.0.take().map(|(store, _)| store.into_data());
                Err(trap::report(caller, export, guest, &error))
            }
        }
    }
}

fn new_store<I>(caller: &Caller<'_, I>, state: &Arc<dyn StateView>) -> Store<Guest> {
    let guest = Guest {
        name: Arc::clone(caller.name),
        state: Arc::clone(state),
        memory: caller.limits.memory,
        table_elements: caller.limits.table_elements,
        messages: 0,
        last: VecDeque::new(),
    };
    let mut store = Store::new(caller.pre.component().engine(), guest);
    store.limiter(|guest| guest);
    store.set_hostcall_fuel(caller.limits.answer);
    store.set_epoch_deadline(ticks(caller.limits));
    store
}

/// One more than the time has, since the first tick may come at once.
fn ticks(limits: &Limits) -> u64 {
    u64::try_from(limits.call_time.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX - 1).saturating_add(1)
}

impl Guest {
    pub(crate) fn last_messages(self) -> Vec<String> {
        self.last.into()
    }
}
