//! The policies of the union, each a component with one warm instance. A value has one caller at a time: who calls from
//! several threads locks it.
//!
//! What an instance was told is gone after a trap, so a value that gave an error is not to be asked again.

mod cache;
mod copy_up;
mod search;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;

pub use cache::CacheComponent;
pub use copy_up::CopyUpComponent;
pub use search::SearchComponent;

use crate::component::Component;
use crate::contract::types::Setting;
use crate::error::Result;
use crate::host::Limits;
use crate::instance::{Guest, Indices, Warm};
use crate::state::{NoState, StateView};

/// The longest that a call may take for which somebody's system call waits (`wit/search-policy.wit`).
const PROMPT: Duration = Duration::from_millis(250);

/// A component in one of the roles, on one mount.
struct Policy<I: Indices> {
    component: Component,
    role: I,
    settings: Vec<Setting>,
    state: Arc<dyn StateView>,
    warm: Warm<I::Exports>,
    prompt: Limits,
}

impl<I: Indices> fmt::Debug for Policy<I> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Policy").field("component", &self.component).finish_non_exhaustive()
    }
}

impl<I: Indices> Policy<I> {
    fn new(component: Component, role: I, settings: Vec<Setting>) -> Self {
        let limits = component.limits();
        let prompt = Limits { call_time: limits.call_time.min(PROMPT), ..limits.clone() };
        Self { component, role, settings, state: Arc::new(NoState), warm: Warm::default(), prompt }
    }

    /// A call that may take its time.
    fn call<R>(
        &mut self,
        export: &'static str,
        call: impl FnOnce(&mut Store<Guest>, &I::Exports, &[Setting]) -> wasmtime::Result<R>,
    ) -> Result<R> {
        let Self { component, role, settings, state, warm, .. } = self;
        warm.call(&component.caller(role), state, export, |store, exports| call(store, exports, settings))
    }

    /// A call for which somebody waits.
    fn prompt<R>(
        &mut self,
        export: &'static str,
        call: impl FnOnce(&mut Store<Guest>, &I::Exports) -> wasmtime::Result<R>,
    ) -> Result<R> {
        let Self { component, role, state, warm, prompt, .. } = self;
        let mut caller = component.caller(role);
        caller.limits = prompt;
        warm.call(&caller, state, export, call)
    }
}
