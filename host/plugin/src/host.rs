//! The component host: one engine, its limits, and its cache.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::{Component as Compiled, Linker};

use crate::cache::Cache;
use crate::component::{Component, ComponentDigest};
use crate::error::{Error, Result};
use crate::inspect::{self, Report};
use crate::instance::{self, Guest};
use crate::ticker::Ticker;

/// How a [`ComponentHost`] is set up.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Where compiled components are kept. It is made with mode 0700 if it is missing; one that others may
    /// read or write, or that belongs to another user, is not used. None compiles anew every time.
    pub cache_dir: Option<PathBuf>,
    /// What a component may use.
    pub limits: Limits,
}

/// What one call of a component may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest that a call may take. 2 s.
    pub call_time: Duration,
    /// The most memory of an instance, in bytes. 64 MiB.
    pub memory: usize,
    /// The most elements of an instance's tables. 10,000.
    pub table_elements: usize,
    /// The most bytes that one call may hand over to the host. 16 MiB.
    pub answer: usize,
    /// The largest component, in bytes. 64 MiB.
    pub component_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            call_time: Duration::from_secs(2),
            memory: 64 << 20,
            table_elements: 10_000,
            answer: 16 << 20,
            component_size: 64 << 20,
        }
    }
}

/// The most stack of a component, in bytes. Every thread of the host has more.
const STACK: usize = 512 << 10;

/// Loads components, and gives each the same limits. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct ComponentHost {
    shared: Arc<Shared>,
}

/// What components keep alive.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Guest>,
    pub(crate) limits: Limits,
    pub(crate) ticker: Ticker,
    cache_dir: Option<PathBuf>,
    cache: OnceLock<Option<Cache>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared").field("limits", &self.limits).field("cache_dir", &self.cache_dir).finish()
    }
}

impl ComponentHost {
    /// Set the host up. It opens no file and starts no thread until a component needs it.
    ///
    /// # Errors
    /// This processor or operating system is not one that WebAssembly can be run on.
    pub fn new(config: Config) -> Result<ComponentHost> {
        let failed = |error: wasmtime::Error| Error::Host { reason: format!("{error:#}") };
        let engine = Engine::new(&settings()).map_err(failed)?;
        let linker = instance::linker(&engine).map_err(failed)?;
        let ticker = Ticker::new(engine.clone());
        let Config { cache_dir, limits } = config;
        let shared = Shared { engine, linker, limits, ticker, cache_dir, cache: OnceLock::new() };
        Ok(ComponentHost { shared: Arc::new(shared) })
    }

    /// Load a component. `origin` says where the bytes came from, for messages (a path, or `built in`).
    ///
    /// The component is validated: what it imports, what it exports, and how it describes itself.
    ///
    /// # Errors
    /// Everything of [`Error`](crate::Error) but a refusal or a setting; the component's `describe` is called.
    #[tracing::instrument(level = "debug", skip(self, wasm))]
    pub fn load(&self, origin: &str, wasm: &[u8]) -> Result<Component> {
        let (digest, compiled) = self.shared.compile(origin, wasm)?;
        Component::link(Arc::clone(&self.shared), origin, digest, wasm.len(), &compiled)
    }

    /// Look at a component without trusting it, and report all that is wrong with it rather than the first
    /// thing. Its `describe` is called if everything before is in order.
    #[must_use]
    pub fn check(&self, origin: &str, wasm: &[u8]) -> Report {
        inspect::report(&self.shared, origin, wasm)
    }
}

impl Shared {
    /// The machine code of a component, from the cache if it is there.
    pub(crate) fn compile(&self, origin: &str, wasm: &[u8]) -> Result<(ComponentDigest, Compiled)> {
        let refused = |reason: String| Error::NotAComponent { origin: origin.to_owned(), reason };
        if wasm.len() > self.limits.component_size {
            let most = self.limits.component_size >> 20;
            return Err(refused(format!("it is larger than {most} MiB, which is the most")));
        }
        inspect::header(wasm).map_err(|reason| refused(reason.to_owned()))?;
        let digest = ComponentDigest(Sha256::digest(wasm).into());
        let cache = self.cache();
        if let Some(compiled) = cache.and_then(|cache| cache.get(&self.engine, digest)) {
            return Ok((digest, compiled));
        }
        let compiled =
            Compiled::from_binary(&self.engine, wasm).map_err(|error| refused(format!("{error:#}")))?;
        if let Some(cache) = cache {
            cache.put(digest, &compiled);
        }
        Ok((digest, compiled))
    }

    fn cache(&self) -> Option<&Cache> {
        let open = || self.cache_dir.as_ref().and_then(|dir| Cache::open(dir, &self.engine));
        self.cache.get_or_init(open).as_ref()
    }
}

/// No component waits for anything, so none needs a stack of its own or the machinery for tasks, which would
/// cost every call more than twice its time.
fn settings() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK);
    config
}
