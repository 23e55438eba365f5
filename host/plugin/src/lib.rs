//! The component host: turns a `.wasm` file into typed Rust traits.
//!
//! A component of nacre is a pure planner (see `wit/`): it is handed facts and a request, and answers with
//! data. This room loads it, gives it nothing but a log and a read-only view of its own state, bounds what a
//! call may use, and hands the answers on. Nothing outside of it names the WebAssembly runtime.
//!
//! The contract of this room:
//!
//! - A component can reach nothing: no file, no clock, no WASI. One that imports more is refused at load.
//! - Every call ends: by an answer, a refusal, or a [`Trap`] that names the component, the function, the
//!   cause, the component's own stack and its last messages. After a trap the next call gets a new instance.
//! - The host stays whole whatever a component does: time, memory, stack, tables and answers are bounded
//!   ([`Limits`]).
//! - Compiled code on disk is used only from a directory that nobody else can write to.
//! - What a step *means* is not known here: paths and grants are checked by whoever runs the plan.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use nacre_plugin::{ComponentHost, Config, NoState, StorageDriver};
//! use std::sync::Arc;
//!
//! let host = ComponentHost::new(Config::default())?;
//! let component = host.load("my-driver.wasm", &std::fs::read("my-driver.wasm")?)?;
//! println!("{} {} ({})", component.description().name, component.description().version, component.digest());
//! let driver = component.driver(Arc::new(NoState))?;
//! for step in driver.remove(&"0".repeat(64))? {
//!     println!("{}", step.name());
//! }
//! # Ok(()) }
//! ```

mod answer;
mod bindings;
mod cache;
mod component;
mod contract;
mod describe;
mod driver;
mod error;
mod host;
mod inspect;
mod instance;
pub mod options;
mod selection;
mod state;
mod ticker;
mod trap;
mod union;

pub use component::{Component, ComponentDigest};
pub use contract::{copying, describe_refusal, description, plan, searching, selecting, storage, types};
pub use driver::{Driver, Spent, StorageDriver};
pub use error::{Error, Result, Trap, TrapReason};
pub use host::{ComponentHost, Config, Limits};
pub use inspect::Report;
pub use selection::{Policy, SelectionPolicy};
pub use state::{NoState, StateError, StateView};
pub use union::{CacheComponent, CopyUpComponent, SearchComponent};
