//! nacre's use cases: load an image, create and run a container, mount, diff, commit, save, remove.
//!
//! [`Engine`] is the door. It holds the open store and, once one is needed, the storage driver, which is a
//! component: every change to layers on disk is a [`plan`] that the driver made, that was checked against
//! the driver's grants, journaled, run, and committed together with the records that name its outcome.
//! A process may die at any point in between; the next [`Engine::open`] undoes or completes what it left.
//!
//! ```no_run
//! use nacre_engine::{Config, CreateOptions, Engine, LoadSource, NoProgress};
//! # fn main() -> Result<(), nacre_engine::Error> {
//! let engine = Engine::open(Config::default())?;
//! let loaded = engine.load(LoadSource::File("debian.tar".into()), &Default::default(), &NoProgress)?;
//! let image = loaded[0].id.to_string();
//! let container = engine.create(&CreateOptions { image, ..Default::default() })?;
//! println!("{}", engine.mount(&container.id)?.display());
//! # Ok(())
//! # }
//! ```

mod assemble;
mod check;
mod commit;
mod components;
mod compose;
mod config;
mod container;
mod crash;
mod diff;
mod driver;
mod edit;
mod error;
pub mod event;
mod facts;
mod files;
mod filling;
mod image;
mod info;
mod inventory;
mod journal;
mod layer;
mod load;
mod migrate;
mod mount;
mod mounted;
mod open;
mod plan;
mod policies;
mod process;
mod progress;
mod release;
mod reserve;
mod save;
mod select;
mod settle;
mod stack;
mod stat;
mod tree;
mod types;
mod union;
mod verify;

/// The contract that drivers are written against.
pub const CONTRACT: &str = "nacre:storage@0.1.0";

pub use error::{Class, Error};
pub use info::{DriverUse, Info};
pub use nacre_plugin::Report as ComponentReport;
pub use nacre_plugin::options::parse_bytes;
pub use open::Engine;
pub use plan::check::PlanFault;
pub use policies::union_options;
pub use process::ExecOptions;
pub use progress::{LayerStatus, NoProgress, Progress};
pub use save::SaveTarget;
pub use stat::UnionMount;
pub use tree::Opened;
pub use types::*;
