//! What nacre knows: content by digest, layers, images, containers, mounts, and the journal of what is
//! being done right now.
//!
//! ```text
//! <root>/nacre.db              SQLite, write-ahead log
//! <root>/content/sha256/<hex>  image configurations, and what is kept of layers' tars
//! <root>/content/tmp/          content that is being written
//! <run>/owners/<token>         locked by each process that journals, for as long as it lives
//! <run>/locks/                 see [`locks`]
//! ```
//!
//! # Contract
//!
//! - Several processes, and several threads of each, use one root at once. A [`Store`] can be shared
//!   between threads.
//! - [`Store::read`] sees one moment. [`Store::write`] changes all or nothing, and survives the death of
//!   the process; [`Store::durable`] survives a power cut too, along with all that was committed before.
//!   Nothing but queries belongs inside of them: no other file, no waiting.
//! - A record is written after the data that it names was synced. So a record never names what is not
//!   there; what is there without a record is found by [`Store::check`].
//! - A layer's row never changes. It can be removed when no image, container, child or hold needs it.
//! - What a process began to do is in the journal until the transaction that commits the outcome. When
//!   the process dies, exactly one other gets its entries from [`Store::claim_dead`].
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), nacre_store::Error> {
//! # let dir = tempfile::tempdir().unwrap();
//! use nacre_store::{Paths, Store};
//!
//! let store = Store::open(Paths::with_run(dir.path().join("root"), dir.path().join("run"))?)?;
//! let config = store.publish()?.put(b"{}")?;
//! assert_eq!(store.content().read_verified(&config)?, b"{}");
//! let images = store.read(|view| view.images())?;
//! assert!(images.is_empty());
//! # Ok(())
//! # }
//! ```

mod check;
mod components;
mod containers;
mod content;
mod db;
mod error;
mod id;
mod images;
mod journal;
mod layers;
pub mod locks;
mod mounts;
mod names;
mod paths;
mod row;
mod state;

pub use check::{Depth, Finding};
pub use components::{Decision, Installed};
pub use containers::{Container, ContainerState, NewContainer};
pub use content::{Content, ContentWriter, Publishing};
pub use db::{Store, Tx, View};
pub use error::{Error, Result};
pub use id::{ContainerId, Kind, LayerId};
pub use images::{Image, ImageLayer, NewImage, RemovedImage};
pub use journal::{Direction, Entry, JournalId, NewEntry, Owner};
pub use layers::Layer;
pub use mounts::Mount;
pub use paths::Paths;
pub use state::StateChange;
