//! A component that was loaded and validated.

use std::fmt;
use std::sync::Arc;

use wasmtime::component::{Component as Compiled, InstancePre};

use crate::bindings::exports::nacre::storage::{
    cache_policy, component, copy_up_policy, search_policy, selection_policy, storage_driver,
};
use crate::contract::description::{Description, Role};
use crate::contract::types::Setting;
use crate::describe;
use crate::driver::Driver;
use crate::error::{Error, Result};
use crate::host::{Limits, Shared};
use crate::inspect;
use crate::instance::{Caller, Guest, Warm};
use crate::selection::Policy;
use crate::state::{NoState, StateView};
use crate::union::{CacheComponent, CopyUpComponent, SearchComponent};

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
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    pre: InstancePre<Guest>,
    driver: Option<storage_driver::GuestIndices>,
    selection: Option<selection_policy::GuestIndices>,
    search: Option<search_policy::GuestIndices>,
    cache: Option<cache_policy::GuestIndices>,
    copy_up: Option<copy_up_policy::GuestIndices>,
    origin: String,
    name: Arc<str>,
    digest: ComponentDigest,
    size: usize,
    description: Description,
}

impl fmt::Debug for Inner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Component")
            .field("name", &self.name)
            .field("origin", &self.origin)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Component {
    /// Check what it imports and exports, and ask it to describe itself.
    pub(crate) fn link(
        shared: Arc<Shared>,
        origin: &str,
        digest: ComponentDigest,
        size: usize,
        compiled: &Compiled,
    ) -> Result<Component> {
        if let Some(import) = inspect::foreign_imports(&shared.engine, compiled).into_iter().next() {
            return Err(Error::ForeignImport {
                origin: origin.to_owned(),
                import,
                offered: inspect::OFFERED,
            });
        }
        let unfit = |error: wasmtime::Error| Error::MissingExport {
            origin: origin.to_owned(),
            reason: format!("{error:#}"),
        };
        let pre = shared.linker.instantiate_pre(compiled).map_err(unfit)?;
        let description = ask(&shared, &pre, &component::GuestIndices::new(&pre).map_err(unfit)?, origin)?;
        describe::validate(&description)
            .map_err(|reason| Error::InvalidDescription { origin: origin.to_owned(), reason })?;
        let plays = |role| description.roles.contains(&role);
        let driver = plays(Role::StorageDriver).then(|| storage_driver::GuestIndices::new(&pre));
        let selection = plays(Role::SelectionPolicy).then(|| selection_policy::GuestIndices::new(&pre));
        let search = plays(Role::SearchPolicy).then(|| search_policy::GuestIndices::new(&pre));
        let cache = plays(Role::CachePolicy).then(|| cache_policy::GuestIndices::new(&pre));
        let copy_up = plays(Role::CopyUpPolicy).then(|| copy_up_policy::GuestIndices::new(&pre));
        let inner = Inner {
            driver: driver.transpose().map_err(unfit)?,
            selection: selection.transpose().map_err(unfit)?,
            search: search.transpose().map_err(unfit)?,
            cache: cache.transpose().map_err(unfit)?,
            copy_up: copy_up.transpose().map_err(unfit)?,
            shared,
            pre,
            origin: origin.to_owned(),
            name: Arc::from(description.name.as_str()),
            digest,
            size,
            description,
        };
        Ok(Component { inner: Arc::new(inner) })
    }

    /// The digest of its bytes.
    #[must_use]
    pub fn digest(&self) -> ComponentDigest {
        self.inner.digest
    }

    /// What it says about itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.inner.description
    }

    /// Its size as WebAssembly, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.inner.size
    }

    /// Where it was loaded from.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.inner.origin
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
        let role = self.inner.driver.clone().ok_or_else(|| self.lacks(Role::StorageDriver))?;
        Ok(Driver::new(self.clone(), role, state))
    }

    /// The selection policy in this component, seeing `state`.
    ///
    /// # Errors
    /// The component does not play this role.
    pub fn selection_policy(&self, state: Arc<dyn StateView>) -> Result<Policy> {
        let role = self.inner.selection.clone().ok_or_else(|| self.lacks(Role::SelectionPolicy))?;
        Ok(Policy::new(self.clone(), role, state))
    }

    /// The search policy in this component, with these settings.
    ///
    /// # Errors
    /// The component does not play this role.
    pub fn search_policy(&self, settings: Vec<Setting>) -> Result<SearchComponent> {
        let role = self.inner.search.clone().ok_or_else(|| self.lacks(Role::SearchPolicy))?;
        Ok(SearchComponent::new(self.clone(), role, settings))
    }

    /// The cache policy in this component, with these settings.
    ///
    /// # Errors
    /// The component does not play this role.
    pub fn cache_policy(&self, settings: Vec<Setting>) -> Result<CacheComponent> {
        let role = self.inner.cache.clone().ok_or_else(|| self.lacks(Role::CachePolicy))?;
        Ok(CacheComponent::new(self.clone(), role, settings))
    }

    /// The copy-up policy in this component, with these settings.
    ///
    /// # Errors
    /// The component does not play this role.
    pub fn copy_up_policy(&self, settings: Vec<Setting>) -> Result<CopyUpComponent> {
        let role = self.inner.copy_up.clone().ok_or_else(|| self.lacks(Role::CopyUpPolicy))?;
        Ok(CopyUpComponent::new(self.clone(), role, settings))
    }

    fn lacks(&self, role: Role) -> Error {
        Error::OtherRole {
            component: self.inner.name.to_string(),
            origin: self.inner.origin.clone(),
            role: role.to_string(),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.shared.limits
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.inner.name
    }

    pub(crate) fn caller<'a, I>(&'a self, role: &'a I) -> Caller<'a, I> {
        let Inner { name, pre, shared, .. } = &*self.inner;
        Caller { name, pre, role, limits: &shared.limits, ticker: &shared.ticker }
    }
}

/// Its description, asked for twice: it must be the same at every call.
fn ask(
    shared: &Shared,
    pre: &InstancePre<Guest>,
    role: &component::GuestIndices,
    origin: &str,
) -> Result<Description> {
    let name = Arc::from(origin);
    let caller = Caller { name: &name, pre, role, limits: &shared.limits, ticker: &shared.ticker };
    let state: Arc<dyn StateView> = Arc::new(NoState);
    let mut instance = Warm::default();
    let mut describe =
        || instance.call(&caller, &state, "describe", |store, exports| exports.call_describe(store));
    let (first, second) = (describe()?, describe()?);
    if first != second {
        let reason = "two calls of `describe` gave different answers".to_owned();
        return Err(Error::InvalidDescription { origin: origin.to_owned(), reason });
    }
    Ok(first)
}
