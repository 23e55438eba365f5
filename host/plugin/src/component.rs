//! A component that was loaded and validated.

use std::fmt;
use std::sync::Arc;

use crate::contract::description::Description;
use crate::contract::types::Setting;
use crate::driver::StorageDriver;
use crate::error::Result;
use crate::state::StateView;

/// The SHA-256 of a component's bytes. Shown as `sha256:<hex>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentDigest(pub [u8; 32]);

impl fmt::Display for ComponentDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256:{}", hex::encode(self.0))
    }
}

/// A loaded component. Cheap to clone; clones share the compiled code.
#[derive(Debug, Clone)]
pub struct Component {
    inner: Arc<Description>,
}

impl Component {
    /// The digest of its bytes.
    #[must_use]
    pub fn digest(&self) -> ComponentDigest {
        ComponentDigest([0; 32])
    }

    /// What it says about itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.inner
    }

    /// Its size as WebAssembly, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        0
    }

    /// Where it was loaded from.
    #[must_use]
    pub fn origin(&self) -> &str {
        ""
    }

    /// The settings in force for this component: see [`options::settings`](crate::options::settings).
    ///
    /// # Errors
    /// Those of [`SettingError`](crate::options::SettingError).
    pub fn settings(&self, given: &[String]) -> Result<Vec<Setting>> {
        Ok(crate::options::settings(self.description(), given)?)
    }

    /// The storage driver in this component, seeing `state`.
    ///
    /// The value has one warm instance behind a lock. Threads that call at the same time had better have a
    /// driver each; it costs some microseconds.
    ///
    /// # Errors
    /// The component does not play this role.
    pub fn driver(&self, state: Arc<dyn StateView>) -> Result<Driver> {
        let _ = state;
        Ok(Driver { component: self.clone() })
    }
}

/// A [`StorageDriver`] that is a component.
#[derive(Debug)]
pub struct Driver {
    component: Component,
}

impl StorageDriver for Driver {
    fn description(&self) -> &Description {
        self.component.description()
    }
    fn layout(&self) -> Result<crate::storage::HomeLayout> {
        todo()
    }
    fn probe(&self, _: &crate::types::Facts, _: &[Setting]) -> Result<crate::storage::Suitability> {
        todo()
    }
    fn create_layer(
        &self,
        _: &crate::types::Facts,
        _: &crate::storage::CreateRequest,
    ) -> Result<crate::storage::Created> {
        todo()
    }
    fn commit(
        &self,
        _: &crate::types::Facts,
        _: &crate::storage::CommitRequest,
    ) -> Result<crate::plan::Plan> {
        todo()
    }
    fn mount(
        &self,
        _: &crate::types::Facts,
        _: &crate::storage::MountRequest,
    ) -> Result<crate::storage::Mounted> {
        todo()
    }
    fn unmount(&self, _: &str) -> Result<crate::plan::Plan> {
        todo()
    }
    fn remove(&self, _: &str) -> Result<crate::plan::Plan> {
        todo()
    }
    fn usage(&self, _: &str) -> Result<crate::types::Place> {
        todo()
    }
    fn diff(&self, _: &str) -> Result<crate::storage::Difference> {
        todo()
    }
    fn footprint(&self, _: &str) -> Result<Vec<crate::types::Place>> {
        todo()
    }
    fn examples(&self) -> Result<Vec<crate::storage::Example>> {
        todo()
    }
    fn spent(&self) -> crate::driver::Spent {
        crate::driver::Spent::default()
    }
}

fn todo<T>() -> Result<T> {
    Err(crate::error::Error::Host { reason: "not written yet".into() })
}
