//! A copy-up policy.

use super::Policy;
use crate::bindings::exports::nacre::storage::copy_up_policy::GuestIndices;
use crate::component::Component;
use crate::contract::copying::{LowerFile, Purpose, Way};
use crate::contract::types::Setting;
use crate::error::{Error, Result};

/// The interface `copy-up-policy` of the contract.
#[derive(Debug)]
pub struct CopyUpComponent(Policy<GuestIndices>);

impl CopyUpComponent {
    pub(crate) fn new(component: Component, role: GuestIndices, settings: Vec<Setting>) -> Self {
        Self(Policy::new(component, role, settings))
    }

    /// The component.
    #[must_use]
    pub fn component(&self) -> &Component {
        &self.0.component
    }

    /// Begin.
    ///
    /// # Errors
    /// A trap.
    pub fn open(&mut self) -> Result<()> {
        self.0.call("open", |store, it, settings| it.call_open(store, settings))
    }

    /// How a file is copied up.
    ///
    /// # Errors
    /// A trap; or `metadata-only` for a file whose data is to be changed.
    pub fn choose(&mut self, file: &LowerFile, purpose: Purpose) -> Result<Way> {
        let way = self.0.prompt("choose", |store, it| it.call_choose(store, *file, purpose))?;
        if way == Way::MetadataOnly && matches!(purpose, Purpose::Write | Purpose::Resize) {
            return Err(Error::InvalidAnswer {
                component: self.0.component.name().to_string(),
                export: "choose",
                reason: "`metadata-only` for a file whose data is to be changed".to_owned(),
            });
        }
        Ok(way)
    }
}
