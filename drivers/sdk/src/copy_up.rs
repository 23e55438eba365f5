//! Copy-up policies: how a file is brought into the writable layer when it is changed for the first time. What a policy
//! must answer is in `wit/copy-up-policy.wit`, with an example.
//!
//! ```
//! use nacre_driver_sdk::copy_up::*;
//! use nacre_driver_sdk::{Description, Role, Setting};
//!
//! /// Shares large files and copies small ones.
//! struct Large;
//!
//! impl CopyUpPolicy for Large {
//!     fn describe() -> Description {
//!         Description {
//!             name: "large".into(),
//!             version: env!("CARGO_PKG_VERSION").into(),
//!             summary: "Shares the data of large files, and copies small ones.".into(),
//!             roles: vec![Role::CopyUpPolicy],
//!             grants: vec![],
//!             options: vec![],
//!         }
//!     }
//!
//!     fn open(_: &[Setting]) -> Self {
//!         Large
//!     }
//!
//!     fn choose(&self, file: &LowerFile, _: Purpose) -> Way {
//!         if file.allocated > 1 << 20 { Way::Reflink } else { Way::Whole }
//!     }
//! }
//!
//! nacre_driver_sdk::export_copy_up_policy!(Large);
//!
//! fn main() {
//!     assert!(Large::describe().grants.is_empty());
//! }
//! ```

use std::marker::PhantomData;

use crate::bindings::copy_up_policy::exports::nacre::storage::copy_up_policy;
pub use crate::bindings::copy_up_policy::exports::nacre::storage::copy_up_policy::{LowerFile, Purpose, Way};
use crate::bindings::described::exports::nacre::storage::component;
use crate::{Description, Setting};

/// A copy-up policy.
pub trait CopyUpPolicy: Sized + 'static {
    /// Describe this component. A policy makes no plans and needs no grants.
    fn describe() -> Description;

    /// Begin.
    fn open(settings: &[Setting]) -> Self;

    /// How this file is copied up.
    fn choose(&self, file: &LowerFile, purpose: Purpose) -> Way;
}

/// Make a type that implements [`CopyUpPolicy`] what this component is. Once for each crate.
#[macro_export]
macro_rules! export_copy_up_policy {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        type NacreExportedCopyUp = $crate::copy_up::Exported<$policy>;
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::described::__export_described!(
            NacreExportedCopyUp with_types_in $crate::bindings::described
        );
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::copy_up_policy::__export_copy_up_policy!(
            NacreExportedCopyUp with_types_in $crate::bindings::copy_up_policy
        );
        #[doc(hidden)]
        impl $crate::copy_up::Held for $policy {
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
pub trait Held: CopyUpPolicy {
    fn held<R>(work: impl FnOnce(&mut Option<Self>) -> R) -> R;
}

/// A [`CopyUpPolicy`] in the form that the generated bindings want.
#[doc(hidden)]
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);

impl<P: CopyUpPolicy> component::Guest for Exported<P> {
    fn describe() -> Description {
        crate::driver::report_panics();
        P::describe()
    }
}

impl<P: Held> copy_up_policy::Guest for Exported<P> {
    fn open(settings: Vec<Setting>) {
        crate::driver::report_panics();
        let policy = P::open(&settings);
        P::held(|held| *held = Some(policy));
    }

    fn choose(file: LowerFile, purpose: Purpose) -> Way {
        P::held(|policy| policy.as_ref().map_or(Way::Whole, |policy| policy.choose(&file, purpose)))
    }
}
