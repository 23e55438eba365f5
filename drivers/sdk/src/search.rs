//! Search policies: which layers of a stack are worth a look for a path. What a policy must answer is in
//! `wit/search-policy.wit`, with an example.
//!
//! ```
//! use nacre_driver_sdk::search::*;
//! use nacre_driver_sdk::{Description, Grant, Role, Setting};
//!
//! /// Keeps the names at the root of each layer, and passes over the layers that lack the first name of a path.
//! struct Roots {
//!     layers: Vec<Option<Vec<u8>>>,
//! }
//!
//! /// The names, each ended by a `/`.
//! #[derive(Default)]
//! struct Names(Vec<u8>);
//!
//! impl Indexer for Names {
//!     fn add(&mut self, entry: &Entry) {
//!         if !entry.path.contains(&b'/') {
//!             self.0.extend_from_slice(&entry.path);
//!             self.0.push(b'/');
//!         }
//!     }
//!
//!     fn finish(self) -> Option<Vec<u8>> {
//!         Some(self.0)
//!     }
//! }
//!
//! impl SearchPolicy for Roots {
//!     type Indexer = Names;
//!
//!     fn describe() -> Description {
//!         Description {
//!             name: "roots".into(),
//!             version: env!("CARGO_PKG_VERSION").into(),
//!             summary: "Passes over layers that lack the first name of a path.".into(),
//!             roles: vec![Role::SearchPolicy],
//!             grants: vec![Grant::SearchTrusted],
//!             options: vec![],
//!         }
//!     }
//!
//!     fn begin_index(_: &[Setting]) -> Option<Names> {
//!         Some(Names::default())
//!     }
//!
//!     fn open(layers: u32, _: &[Setting]) -> Self {
//!         Roots { layers: vec![None; layers as usize] }
//!     }
//!
//!     fn attach(&mut self, layer: u32, index: &[u8]) {
//!         self.layers[layer as usize] = Some(index.to_vec());
//!     }
//!
//!     fn probe(&mut self, path: &[u8], first: u32) -> u64 {
//!         let name = path.split(|byte| *byte == b'/').next().unwrap_or_default();
//!         let may_have = |names: &Option<Vec<u8>>| match names {
//!             Some(names) => names.split(|byte| *byte == b'/').any(|known| known == name),
//!             None => true,
//!         };
//!         let window = self.layers.iter().skip(first as usize).take(64);
//!         window.enumerate().fold(0, |bits, (at, names)| bits | u64::from(may_have(names)) << at)
//!     }
//! }
//!
//! nacre_driver_sdk::export_search_policy!(Roots);
//!
//! fn main() {
//!     let mut names = Roots::begin_index(&[]).unwrap();
//!     names.add(&Entry { path: b"etc".to_vec(), kind: EntryKind::Directory });
//!     let mut stack = Roots::open(2, &[]);
//!     stack.attach(1, &names.finish().unwrap());
//!     assert_eq!(stack.probe(b"etc/hosts", 0), 0b11);
//!     assert_eq!(stack.probe(b"usr/bin", 0), 0b01);
//! }
//! ```

use std::marker::PhantomData;

use crate::bindings::described::exports::nacre::storage::component;
use crate::bindings::search_policy::exports::nacre::storage::search_policy;
pub use crate::bindings::search_policy::exports::nacre::storage::search_policy::{Entry, EntryKind};
use crate::{Description, Setting};

/// A search policy on one stack of layers.
pub trait SearchPolicy: Sized + 'static {
    /// What makes the index of a layer.
    type Indexer: Indexer;

    /// Describe this component. To be believed without a look it asks for
    /// [`Grant::SearchTrusted`](crate::Grant::SearchTrusted).
    fn describe() -> Description;

    /// Begin the index of a layer; none where this policy has none ([`NoIndexer`]).
    fn begin_index(settings: &[Setting]) -> Option<Self::Indexer>;

    /// Begin with a stack of so many layers, counted from 0, the newest.
    fn open(layers: u32, settings: &[Setting]) -> Self;

    /// The index that this component made of a layer.
    fn attach(&mut self, layer: u32, index: &[u8]);

    /// The layers among the 64 from `first` on that may have something under a path: bit 0 is the layer `first`. A layer
    /// without an index is among them.
    fn probe(&mut self, path: &[u8], first: u32) -> u64;
}

/// Makes the index of one layer.
pub trait Indexer: 'static {
    /// Something that the layer has. A directory comes before what is in it.
    fn add(&mut self, entry: &Entry);

    /// The index, of at most 16 MiB; none where there can be none of this layer.
    fn finish(self) -> Option<Vec<u8>>;
}

/// The indexer of a policy that has no indexes.
#[derive(Debug)]
pub enum NoIndexer {}

impl Indexer for NoIndexer {
    fn add(&mut self, _: &Entry) {
        match *self {}
    }

    fn finish(self) -> Option<Vec<u8>> {
        match self {}
    }
}

/// Make a type that implements [`SearchPolicy`] what this component is. Once for each crate.
#[macro_export]
macro_rules! export_search_policy {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        type NacreExportedSearch = $crate::search::Exported<$policy>;
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::described::__export_described!(
            NacreExportedSearch with_types_in $crate::bindings::described
        );
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::search_policy::__export_search_policy!(
            NacreExportedSearch with_types_in $crate::bindings::search_policy
        );
        #[doc(hidden)]
        impl $crate::search::Held for $policy {
            fn held<R>(work: impl FnOnce(&mut $crate::search::State<Self>) -> R) -> R {
                ::std::thread_local! {
                    static STATE: ::std::cell::RefCell<$crate::search::State<$policy>> =
                        const { ::std::cell::RefCell::new($crate::search::State::NONE) };
                }
                STATE.with_borrow_mut(work)
            }
        }
    };
}

/// What a component keeps between calls.
#[doc(hidden)]
#[derive(Debug)]
pub struct State<P: SearchPolicy> {
    policy: Option<P>,
    indexer: Option<P::Indexer>,
}

impl<P: SearchPolicy> State<P> {
    #[doc(hidden)]
    pub const NONE: Self = Self { policy: None, indexer: None };
}

/// Where a component keeps it.
#[doc(hidden)]
pub trait Held: SearchPolicy {
    fn held<R>(work: impl FnOnce(&mut State<Self>) -> R) -> R;
}

/// A [`SearchPolicy`] in the form that the generated bindings want.
#[doc(hidden)]
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);

impl<P: SearchPolicy> component::Guest for Exported<P> {
    fn describe() -> Description {
        crate::driver::report_panics();
        P::describe()
    }
}

impl<P: Held> search_policy::Guest for Exported<P> {
    fn begin_index(settings: Vec<Setting>) -> bool {
        crate::driver::report_panics();
        let indexer = P::begin_index(&settings);
        let begun = indexer.is_some();
        P::held(|state| state.indexer = indexer);
        begun
    }

    fn add_entries(entries: Vec<Entry>) {
        P::held(|state| {
            if let Some(indexer) = &mut state.indexer {
                entries.iter().for_each(|entry| indexer.add(entry));
            }
        });
    }

    fn end_index() -> Option<Vec<u8>> {
        P::held(|state| state.indexer.take()).and_then(Indexer::finish)
    }

    fn open(layers: u32, settings: Vec<Setting>) {
        crate::driver::report_panics();
        let policy = P::open(layers, &settings);
        P::held(|state| state.policy = Some(policy));
    }

    fn attach(layer: u32, index: Vec<u8>) {
        P::held(|state| {
            if let Some(policy) = &mut state.policy {
                policy.attach(layer, &index);
            }
        });
    }

    fn probe(path: Vec<u8>, first: u32) -> u64 {
        P::held(|state| state.policy.as_mut().map_or(u64::MAX, |policy| policy.probe(&path, first)))
    }
}
