//! A search policy.

use super::Policy;
use crate::bindings::exports::nacre::storage::search_policy::GuestIndices;
use crate::component::Component;
use crate::contract::searching::Entry;
use crate::contract::types::Setting;
use crate::error::Result;

/// The interface `search-policy` of the contract. Every `Err` is a trap.
#[derive(Debug)]
pub struct SearchComponent {
    policy: Policy<GuestIndices>,
    /// The first `probe` may put in order what was attached, and take its time.
    ready: bool,
}

impl SearchComponent {
    pub(crate) fn new(component: Component, role: GuestIndices, settings: Vec<Setting>) -> Self {
        Self { policy: Policy::new(component, role, settings), ready: false }
    }

    /// The component.
    #[must_use]
    pub fn component(&self) -> &Component {
        &self.policy.component
    }

    /// The index of one layer, whose entries come in batches of at most 1,024; none where this policy makes none. An error
    /// of `entries` ends it.
    ///
    /// # Errors
    /// A trap, or an error of `entries`.
    pub fn index<E: From<crate::Error>>(
        &mut self,
        entries: impl IntoIterator<Item = Result<Vec<Entry>, E>>,
    ) -> Result<Option<Vec<u8>>, E> {
        if !self.policy.call("begin-index", |store, it, settings| it.call_begin_index(store, settings))? {
            return Ok(None);
        }
        for batch in entries {
            let batch = batch?;
            self.policy.call("add-entries", |store, it, _| it.call_add_entries(store, &batch))?;
        }
        Ok(self.policy.call("end-index", |store, it, _| it.call_end_index(store))?)
    }

    /// Begin with a stack of so many layers.
    ///
    /// # Errors
    /// A trap.
    pub fn open(&mut self, layers: u32) -> Result<()> {
        self.policy.call("open", |store, it, settings| it.call_open(store, layers, settings))
    }

    /// Hand over the index of a layer, counted from 0, the newest.
    ///
    /// # Errors
    /// A trap.
    pub fn attach(&mut self, layer: u32, index: &[u8]) -> Result<()> {
        self.policy.call("attach", |store, it, _| it.call_attach(store, layer, index))
    }

    /// The layers among the 64 from `first` on that are worth a look for a path; bit 0 is the layer `first`.
    ///
    /// # Errors
    /// A trap.
    pub fn probe(&mut self, path: &[u8], first: u32) -> Result<u64> {
        if std::mem::replace(&mut self.ready, true) {
            return self.policy.prompt("probe", |store, it| it.call_probe(store, path, first));
        }
        self.policy.call("probe", |store, it, _| it.call_probe(store, path, first))
    }
}
