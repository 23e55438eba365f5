//! The component host: one engine, its limits, and its cache.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::component::Component;
use crate::error::Result;
use crate::inspect::Report;

/// How a [`ComponentHost`] is set up.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Where compiled components are kept. It is made with mode 0700 if it is missing; one that others may
    /// write to, or that belongs to another user, is not used. None compiles anew every time.
    pub cache_dir: Option<PathBuf>,
    /// What a component may use.
    pub limits: Limits,
}

/// What one call of a component may use.
#[derive(Debug, Clone)]
#[non_exhaustive]
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

/// Loads components, and gives each the same limits. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct ComponentHost {
    shared: Arc<()>,
}

impl ComponentHost {
    /// Set the host up. It opens no file and starts no thread until a component needs it.
    ///
    /// # Errors
    /// This processor or operating system is not one that WebAssembly can be run on.
    pub fn new(config: Config) -> Result<ComponentHost> {
        let _ = config;
        Ok(ComponentHost { shared: Arc::new(()) })
    }

    /// Load a component. `origin` says where the bytes came from, for messages (a path, or `built in`).
    ///
    /// The component is validated: what it imports, what it exports, and how it describes itself.
    ///
    /// # Errors
    /// Everything of [`Error`](crate::Error) but a refusal or a setting; the component's `describe` is called.
    pub fn load(&self, origin: &str, wasm: &[u8]) -> Result<Component> {
        let _ = (&self.shared, origin, wasm);
        Err(crate::error::Error::Host { reason: "not written yet".into() })
    }

    /// Look at a component without trusting it, and report all that is wrong with it rather than the first
    /// thing. Its `describe` is called if everything before is in order.
    #[must_use]
    pub fn check(&self, origin: &str, wasm: &[u8]) -> Report {
        let _ = (origin, wasm);
        Report::default()
    }
}
