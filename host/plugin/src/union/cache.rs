//! A cache policy.

use super::Policy;
use crate::bindings::exports::nacre::storage::cache_policy::GuestIndices;
use crate::component::Component;
use crate::contract::types::Setting;
use crate::error::Result;

/// The interface `cache-policy` of the contract. Every `Err` is a trap.
#[derive(Debug)]
pub struct CacheComponent(Policy<GuestIndices>);

impl CacheComponent {
    pub(crate) fn new(component: Component, role: GuestIndices, settings: Vec<Setting>) -> Self {
        Self(Policy::new(component, role, settings))
    }

    /// The component.
    #[must_use]
    pub fn component(&self) -> &Component {
        &self.0.component
    }

    /// Begin with an empty cache of at most so many bytes.
    ///
    /// # Errors
    /// A trap.
    pub fn open(&mut self, limit: u64) -> Result<()> {
        self.0.call("open", |store, it, settings| it.call_open(store, limit, settings))
    }

    /// An entry is kept from now on, or has another size.
    ///
    /// # Errors
    /// A trap.
    pub fn admitted(&mut self, key: u64, bytes: u64) -> Result<()> {
        self.0.prompt("admitted", |store, it| it.call_admitted(store, key, bytes))
    }

    /// Entries were used, in this order.
    ///
    /// # Errors
    /// A trap.
    pub fn accessed(&mut self, keys: &[u64]) -> Result<()> {
        self.0.prompt("accessed", |store, it| it.call_accessed(store, keys))
    }

    /// An entry is kept no more.
    ///
    /// # Errors
    /// A trap.
    pub fn removed(&mut self, key: u64) -> Result<()> {
        self.0.prompt("removed", |store, it| it.call_removed(store, key))
    }

    /// The entry that goes next; none where any does. It may be one that is not kept: the caller looks.
    ///
    /// # Errors
    /// A trap.
    pub fn victim(&mut self) -> Result<Option<u64>> {
        self.0.prompt("victim", |store, it| it.call_victim(store))
    }
}
