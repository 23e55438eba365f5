//! What a component can see of its own saved values.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

/// An error of whoever keeps the state. The component's call ends with it, as
/// [`TrapReason::State`](crate::TrapReason::State).
pub type StateError = Box<dyn std::error::Error + Send + Sync>;

/// The saved values of one component, read-only. Writing is a step of a plan.
pub trait StateView: Send + Sync + fmt::Debug {
    /// The value under a key, as the last committed plan left it.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError>;

    /// The keys that start with `prefix`, sorted; at most `most` of them.
    fn keys(&self, prefix: &str, most: usize) -> Result<Vec<String>, StateError>;
}

/// The state of a component that has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoState;

impl StateView for NoState {
    fn get(&self, _key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(None)
    }

    fn keys(&self, _prefix: &str, _most: usize) -> Result<Vec<String>, StateError> {
        Ok(Vec::new())
    }
}

/// State in memory, for tests and experiments.
impl StateView for BTreeMap<String, Vec<u8>> {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(BTreeMap::get(self, key).cloned())
    }

    fn keys(&self, prefix: &str, most: usize) -> Result<Vec<String>, StateError> {
        let from = self.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        Ok(from
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(most)
            .map(|(key, _)| key.clone())
            .collect())
    }
}
