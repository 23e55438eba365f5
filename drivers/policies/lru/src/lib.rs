//! A cache policy: what was used longest ago goes first, as the host does by itself.

use lru::LruCache;
use nacre_driver_sdk::cache::CachePolicy;
use nacre_driver_sdk::{Description, Role, Setting};
use rustc_hash::FxBuildHasher;

/// The policy.
#[derive(Debug)]
pub struct Lru(LruCache<u64, (), FxBuildHasher>);

impl CachePolicy for Lru {
    fn describe() -> Description {
        Description {
            name: "lru".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "What was used longest ago goes first.".into(),
            roles: vec![Role::CachePolicy],
            grants: vec![],
            options: vec![],
        }
    }

    fn open(_: u64, _: &[Setting]) -> Self {
        Self(LruCache::unbounded_with_hasher(FxBuildHasher))
    }

    fn admitted(&mut self, key: u64, _: u64) {
        self.0.put(key, ());
    }

    fn accessed(&mut self, keys: &[u64]) {
        keys.iter().for_each(|key| {
            self.0.promote(key);
        });
    }

    fn removed(&mut self, key: u64) {
        self.0.pop(&key);
    }

    fn victim(&mut self) -> Option<u64> {
        if self.0.len() < 2 { None } else { self.0.peek_lru().map(|(key, ())| *key) }
    }
}

nacre_driver_sdk::export_cache_policy!(Lru);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut cache = Lru::open(100, &[]);
        (1..=3).for_each(|key| cache.admitted(key, 40));
        cache.accessed(&[1, 9]);
        assert_eq!(cache.victim(), Some(2));
        cache.removed(2);
        assert_eq!(cache.victim(), Some(3));
        cache.removed(3);
        assert_eq!(cache.victim(), None, "the one that was admitted last stays");
    }
}
