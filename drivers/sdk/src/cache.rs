//! Cache policies: what the union's cache gives up when it is full. What a policy must answer is in
//! `wit/cache-policy.wit`, with an example.
//!
//! ```
//! use nacre_driver_sdk::cache::*;
//! use nacre_driver_sdk::{Description, Role, Setting};
//!
//! /// What was kept first goes first.
//! struct Fifo(std::collections::VecDeque<u64>);
//!
//! impl CachePolicy for Fifo {
//!     fn describe() -> Description {
//!         Description {
//!             name: "fifo".into(),
//!             version: env!("CARGO_PKG_VERSION").into(),
//!             summary: "What was kept first goes first.".into(),
//!             roles: vec![Role::CachePolicy],
//!             grants: vec![],
//!             options: vec![],
//!         }
//!     }
//!
//!     fn open(_limit: u64, _: &[Setting]) -> Self {
//!         Fifo(Default::default())
//!     }
//!
//!     fn admitted(&mut self, key: u64, _bytes: u64) {
//!         if !self.0.contains(&key) {
//!             self.0.push_back(key);
//!         }
//!     }
//!
//!     fn accessed(&mut self, _keys: &[u64]) {}
//!
//!     fn removed(&mut self, key: u64) {
//!         self.0.retain(|known| *known != key);
//!     }
//!
//!     fn victim(&mut self) -> Option<u64> {
//!         self.0.front().copied()
//!     }
//! }
//!
//! nacre_driver_sdk::export_cache_policy!(Fifo);
//!
//! fn main() {
//!     let mut cache = Fifo::open(100, &[]);
//!     cache.admitted(7, 60);
//!     cache.admitted(8, 60);
//!     assert_eq!(cache.victim(), Some(7));
//! }
//! ```

use std::marker::PhantomData;

use crate::bindings::cache_policy::exports::nacre::storage::cache_policy;
use crate::bindings::described::exports::nacre::storage::component;
use crate::{Description, Setting};

/// A cache policy on one cache.
pub trait CachePolicy: Sized + 'static {
    /// Describe this component. A policy makes no plans and needs no grants.
    fn describe() -> Description;

    /// Begin with an empty cache of at most so many bytes.
    fn open(limit: u64, settings: &[Setting]) -> Self;

    /// An entry is kept from now on, or one that is kept has another size, in bytes.
    fn admitted(&mut self, key: u64, bytes: u64);

    /// Entries were used, in this order; some may be kept no more.
    fn accessed(&mut self, keys: &[u64]);

    /// An entry is kept no more.
    fn removed(&mut self, key: u64);

    /// The entry that goes next: one that is kept, and not the one that was admitted last; none where any does.
    fn victim(&mut self) -> Option<u64>;
}

/// Make a type that implements [`CachePolicy`] what this component is. Once for each crate.
#[macro_export]
macro_rules! export_cache_policy {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        type NacreExportedCache = $crate::cache::Exported<$policy>;
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::described::__export_described!(
            NacreExportedCache with_types_in $crate::bindings::described
        );
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::cache_policy::__export_cache_policy!(
            NacreExportedCache with_types_in $crate::bindings::cache_policy
        );
        #[doc(hidden)]
        impl $crate::cache::Held for $policy {
            fn held<R>(work: impl FnOnce(&mut Option<Self>) -> R) -> R {
                ::std::thread_local! {
                    static STATE: ::std::cell::RefCell<Option<$policy>> =
                        const { ::std::cell::RefCell::new(None) };
                }
                STATE.with_borrow_mut(work)
            }
        }
    };
}

/// Where a component keeps its policy between calls.
#[doc(hidden)]
pub trait Held: CachePolicy {
    fn held<R>(work: impl FnOnce(&mut Option<Self>) -> R) -> R;
}

/// A [`CachePolicy`] in the form that the generated bindings want.
#[doc(hidden)]
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);

impl<P: CachePolicy> component::Guest for Exported<P> {
    fn describe() -> Description {
        crate::driver::report_panics();
        P::describe()
    }
}

impl<P: Held> Exported<P> {
    fn with<R>(work: impl FnOnce(&mut P) -> R) -> Option<R> {
        P::held(|policy| policy.as_mut().map(work))
    }
}

impl<P: Held> cache_policy::Guest for Exported<P> {
    fn open(limit: u64, settings: Vec<Setting>) {
        crate::driver::report_panics();
        let policy = P::open(limit, &settings);
        P::held(|held| *held = Some(policy));
    }

    fn admitted(key: u64, bytes: u64) {
        Self::with(|policy| policy.admitted(key, bytes));
    }

    fn accessed(keys: Vec<u64>) {
        Self::with(|policy| policy.accessed(&keys));
    }

    fn removed(key: u64) {
        Self::with(|policy| policy.removed(key));
    }

    fn victim() -> Option<u64> {
        Self::with(CachePolicy::victim).flatten()
    }
}
