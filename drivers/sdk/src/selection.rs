//! Selection policies: which storage driver gets the new layers of a storage root. What a policy must answer is
//! in `wit/selection-policy.wit`, with an example.
//!
//! ```
//! use nacre_driver_sdk::selection::*;
//! use nacre_driver_sdk::{Description, Role};
//!
//! /// Takes the driver that can mount the longest chains, unless the user named one.
//! struct Deepest;
//!
//! fn depth(contender: &Contender) -> u32 {
//!     match contender.verdict {
//!         Verdict::Suitable(depth) => depth,
//!         _ => 0,
//!     }
//! }
//!
//! impl SelectionPolicy for Deepest {
//!     fn describe() -> Description {
//!         Description {
//!             name: "deepest".into(),
//!             version: env!("CARGO_PKG_VERSION").into(),
//!             summary: "The driver that can mount the longest chains.".into(),
//!             roles: vec![Role::SelectionPolicy],
//!             grants: vec![],
//!             options: vec![],
//!         }
//!     }
//!
//!     fn choose(request: &Request) -> Ranking {
//!         let mut contenders: Vec<&Contender> = request.contenders.iter().collect();
//!         let named = |contender: &Contender| request.configured.as_ref() == Some(&contender.name);
//!         contenders.sort_by_key(|contender| (!named(contender), std::cmp::Reverse(depth(contender))));
//!         let outcome = match (contenders.first(), &request.configured) {
//!             (Some(best), _) if depth(best) > 0 => Outcome::Chosen,
//!             (_, Some(_)) => Outcome::ConfiguredFails,
//!             (_, None) => Outcome::NoneSuitable,
//!         };
//!         let candidates = contenders.iter().map(|contender| Candidate {
//!             name: contender.name.clone(),
//!             eligible: depth(contender) > 0,
//!             reasons: vec![if depth(contender) > 0 { Reason::Unlisted } else { Reason::NotSuitable }],
//!         });
//!         Ranking { candidates: candidates.collect(), outcome }
//!     }
//! }
//!
//! nacre_driver_sdk::export_selection_policy!(Deepest);
//!
//! fn main() {
//!     assert!(Deepest::describe().grants.is_empty());
//! }
//! ```

use std::marker::PhantomData;

use crate::Description;
use crate::bindings::described::exports::nacre::storage::component;
use crate::bindings::selection_policy::exports::nacre::storage::selection_policy;
pub use crate::bindings::selection_policy::exports::nacre::storage::selection_policy::{
    Candidate, Contender, Origin, Outcome, Ranking, Reason, Request, Verdict,
};

/// A selection policy. Both functions are pure.
pub trait SelectionPolicy {
    /// Describe this component. A policy makes no plans and needs no grants.
    fn describe() -> Description;

    /// Rank the contenders.
    fn choose(request: &Request) -> Ranking;
}

/// Make a type that implements [`SelectionPolicy`] what this component is. Once for each crate.
#[macro_export]
macro_rules! export_selection_policy {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        type NacreExportedPolicy = $crate::selection::Exported<$policy>;
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::described::__export_described!(
            NacreExportedPolicy with_types_in $crate::bindings::described
        );
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::selection_policy::__export_selection_policy!(
            NacreExportedPolicy with_types_in $crate::bindings::selection_policy
        );
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::Description = <$policy as $crate::selection::SelectionPolicy>::describe;
    };
}

/// A [`SelectionPolicy`] in the form that the generated bindings want.
#[doc(hidden)]
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);

impl<P: SelectionPolicy> component::Guest for Exported<P> {
    fn describe() -> Description {
        crate::driver::report_panics();
        P::describe()
    }
}

impl<P: SelectionPolicy> selection_policy::Guest for Exported<P> {
    fn choose(request: Request) -> Ranking {
        crate::driver::report_panics();
        P::choose(&request)
    }
}
