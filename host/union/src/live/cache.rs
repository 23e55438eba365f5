//! The lists of names that are kept: each answers lookups in one directory, of what is there and of what is
//! not.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use super::Options;
use super::policy::CachePolicy;

/// As many accesses are told at once.
const BATCH: usize = 64;

/// What is kept, by directory, and for how many bytes there is room.
#[derive(Debug)]
pub(crate) struct Cache {
    policy: std::sync::Arc<Mutex<dyn CachePolicy>>,
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: HashMap<u64, usize>,
    used: usize,
    accessed: Vec<u64>,
}

impl Cache {
    pub(crate) fn new(options: &Options) -> Self {
        let kept = Mutex::new(Kept::default());
        Self { policy: options.cache.clone(), limit: options.cache_bytes, kept }
    }

    /// A list was used.
    pub(crate) fn touch(&self, directory: u64) {
        let mut kept = self.kept.lock();
        kept.accessed.push(directory);
        if kept.accessed.len() >= BATCH {
            self.policy.lock().accessed(&kept.accessed);
            kept.accessed.clear();
        }
    }

    /// A list of so many bytes was made, beside what there is of the directory. Returns the directories whose
    /// lists are to be dropped.
    pub(crate) fn admit(&self, directory: u64, bytes: usize) -> Vec<u64> {
        let mut kept = self.kept.lock();
        let mut policy = self.policy.lock();
        policy.accessed(&kept.accessed);
        kept.accessed.clear();
        let had = kept.bytes.insert(directory, bytes).unwrap_or(0);
        kept.used = kept.used.saturating_sub(had) + bytes;
        policy.admitted(directory, bytes);
        let mut victims = Vec::new();
        while kept.used > self.limit && kept.bytes.len() > 1 {
            // A policy that names nothing, or nonsense, is passed over.
            let named = policy.victim().filter(|key| *key != directory && kept.bytes.contains_key(key));
            let any = || kept.bytes.keys().copied().find(|key| *key != directory);
            let Some(victim) = named.or_else(any) else { break };
            policy.removed(victim);
            let freed = kept.bytes.remove(&victim).unwrap_or(0);
            kept.used = kept.used.saturating_sub(freed);
            victims.push(victim);
        }
        victims
    }
}

/// What was used longest ago goes first.
#[derive(Debug, Default)]
pub struct Lru {
    order: BTreeMap<u64, u64>,
    last: HashMap<u64, u64>,
    clock: u64,
}

impl Lru {
    fn renew(&mut self, key: u64) {
        self.clock += 1;
        if let Some(before) = self.last.insert(key, self.clock) {
            self.order.remove(&before);
        }
        self.order.insert(self.clock, key);
    }
}

impl CachePolicy for Lru {
    fn admitted(&mut self, key: u64, _bytes: usize) {
        self.renew(key);
    }

    fn accessed(&mut self, keys: &[u64]) {
        for key in keys {
            if self.last.contains_key(key) {
                self.renew(*key);
            }
        }
    }

    fn removed(&mut self, key: u64) {
        if let Some(at) = self.last.remove(&key) {
            self.order.remove(&at);
        }
    }

    fn victim(&mut self) -> Option<u64> {
        // Not the one that was admitted just now.
        if self.order.len() < 2 { None } else { self.order.first_key_value().map(|(_, key)| *key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Nonsense;

    impl CachePolicy for Nonsense {
        fn admitted(&mut self, _key: u64, _bytes: usize) {}
        fn accessed(&mut self, _keys: &[u64]) {}
        fn removed(&mut self, _key: u64) {}
        fn victim(&mut self) -> Option<u64> {
            Some(u64::MAX)
        }
    }

    fn cache(policy: impl CachePolicy + 'static) -> Cache {
        let cache = std::sync::Arc::new(Mutex::new(policy));
        Cache::new(&Options { cache, cache_bytes: 100, ..Options::default() })
    }

    #[test]
    fn what_was_used_longest_ago_goes_when_there_is_no_room() {
        let cache = cache(Lru::default());
        assert!(cache.admit(1, 40).is_empty());
        assert!(cache.admit(2, 40).is_empty());
        cache.touch(1);
        assert_eq!(cache.admit(3, 40), [2]);
        assert_eq!(cache.admit(4, 90), [1, 3]);
        assert!(cache.admit(4, 95).is_empty());
    }

    #[test]
    fn a_policy_that_names_nonsense_does_not_let_it_grow() {
        let cache = cache(Nonsense);
        assert!(cache.admit(1, 60).is_empty());
        assert_eq!(cache.admit(2, 60), [1]);
        assert_eq!(cache.admit(3, 60), [2]);
    }
}
