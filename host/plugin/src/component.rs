//! A component that was loaded and validated.

use std::fmt;
use std::sync::Arc;

use wasmtime::component::Component as Compiled;

use crate::bindings::StorageDriverComponentPre;
use crate::contract::description::{Description, Role};
use crate::contract::types::Setting;
use crate::describe;
use crate::driver::Driver;
use crate::error::{Error, Result};
use crate::host::Shared;
use crate::inspect;
use crate::instance::{Caller, Guest, Warm};
use crate::state::{NoState, StateView};

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
    pre: StorageDriverComponentPre<Guest>,
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
        let pre = shared
            .linker
            .instantiate_pre(compiled)
            .and_then(StorageDriverComponentPre::new)
            .map_err(unfit)?;
        let description = ask(&shared, &pre, origin)?;
        describe::validate(&description)
            .map_err(|reason| Error::InvalidDescription { origin: origin.to_owned(), reason })?;
        let name = Arc::from(description.name.as_str());
        let origin = origin.to_owned();
        Ok(Component { inner: Arc::new(Inner { shared, pre, origin, name, digest, size, description }) })
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
        if self.inner.description.roles.contains(&Role::StorageDriver) {
            Ok(Driver::new(self.clone(), state))
        } else {
            Err(Error::MissingExport {
                origin: self.inner.origin.clone(),
                reason: "it is no storage driver".into(),
            })
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.inner.name
    }

    pub(crate) fn caller(&self) -> Caller<'_> {
        let Inner { name, pre, shared, .. } = &*self.inner;
        Caller { name, pre, limits: &shared.limits, ticker: &shared.ticker }
    }
}

/// Its description, asked for twice: it must be the same at every call.
fn ask(shared: &Shared, pre: &StorageDriverComponentPre<Guest>, origin: &str) -> Result<Description> {
    let name = Arc::from(origin);
    let caller = Caller { name: &name, pre, limits: &shared.limits, ticker: &shared.ticker };
    let state: Arc<dyn StateView> = Arc::new(NoState);
    let mut instance = Warm::default();
    let mut describe = || {
        instance.call(&caller, &state, "describe", |store, bindings| {
            bindings.nacre_storage_component().call_describe(store)
        })
    };
    let (first, second) = (describe()?, describe()?);
    if first != second {
        let reason = "two calls of `describe` gave different answers".to_owned();
        return Err(Error::InvalidDescription { origin: origin.to_owned(), reason });
    }
    Ok(first)
}
