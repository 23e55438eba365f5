//! A search policy that spares nothing: all layers are searched, the newest first, as the host does by itself. It makes
//! no indexes, and is what others are compared with.

use nacre_driver_sdk::search::{NoIndexer, SearchPolicy};
use nacre_driver_sdk::{Description, Role, Setting};

/// The policy.
#[derive(Debug)]
pub struct NewestFirst;

impl SearchPolicy for NewestFirst {
    type Indexer = NoIndexer;

    fn describe() -> Description {
        Description {
            name: "newest-first".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Searches all layers, the newest first.".into(),
            roles: vec![Role::SearchPolicy],
            grants: vec![],
            options: vec![],
        }
    }

    fn begin_index(_: &[Setting]) -> Option<NoIndexer> {
        None
    }

    fn open(_: u32, _: &[Setting]) -> Self {
        Self
    }

    fn attach(&mut self, _: u32, _: &[u8]) {}

    fn probe(&mut self, _: &[u8], _: u32) -> u64 {
        u64::MAX
    }
}

nacre_driver_sdk::export_search_policy!(NewestFirst);
