//! The lists of names that are kept: each answers lookups in one directory, of what is there and of what is
//! not.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use super::Options;
use super::policy::{CachePolicy, PutAside};

/// As many accesses are told at once.
const BATCH: usize = 128;

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
    /// In place of the policy, once that was put aside.
    own: Option<Lru>,
}

impl Kept {
    /// Ask or tell the policy something.
    fn ask<R>(
        &mut self,
        policy: &Mutex<dyn CachePolicy>,
        mut ask: impl FnMut(&mut dyn CachePolicy) -> Result<R, PutAside>,
    ) -> Option<R> {
        if self.own.is_none() {
            match ask(&mut *policy.lock()) {
                Ok(answer) => return Some(answer),
                Err(PutAside) => self.put_aside(),
            }
        }
        self.own.as_mut().and_then(|own| ask(own).ok())
    }

    fn put_aside(&mut self) {
        let mut own = Lru::default();
        self.bytes.keys().for_each(|key| own.renew(*key));
        self.own = Some(own);
    }

    fn tell_accessed(&mut self, policy: &Mutex<dyn CachePolicy>) {
        let mut accessed = std::mem::take(&mut self.accessed);
        self.ask(policy, |policy| policy.accessed(&accessed));
        accessed.clear();
        self.accessed = accessed;
    }

    /// A list that is kept, and not that of `directory`.
    fn victim(&mut self, policy: &Mutex<dyn CachePolicy>, directory: u64) -> Option<u64> {
        let named = self.ask(policy, |policy| policy.victim()).flatten();
        match named {
            Some(key) if key != directory && self.bytes.contains_key(&key) => return named,
            Some(nonsense) if self.own.is_none() => {
                policy.lock().refuted(nonsense);
                self.put_aside();
            }
            _ => {}
        }
        self.bytes.keys().copied().find(|key| *key != directory)
    }
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
            kept.tell_accessed(&self.policy);
        }
    }

    /// A list of so many bytes was made, beside what there is of the directory. Returns the directories whose
    /// lists are to be dropped.
    pub(crate) fn admit(&self, directory: u64, bytes: usize) -> Vec<u64> {
        let mut kept = self.kept.lock();
        kept.tell_accessed(&self.policy);
        let had = kept.bytes.insert(directory, bytes).unwrap_or(0);
        kept.used = kept.used.saturating_sub(had) + bytes;
        kept.ask(&self.policy, |policy| policy.admitted(directory, bytes));
        let mut victims = Vec::new();
        while kept.used > self.limit && kept.bytes.len() > 1 {
            let Some(victim) = kept.victim(&self.policy, directory) else { break };
            let freed = kept.bytes.remove(&victim).unwrap_or(0);
            kept.used = kept.used.saturating_sub(freed);
            kept.ask(&self.policy, |policy| policy.removed(victim));
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
    fn admitted(&mut self, key: u64, _bytes: usize) -> Result<(), PutAside> {
        self.renew(key);
        Ok(())
    }

    fn accessed(&mut self, keys: &[u64]) -> Result<(), PutAside> {
        for key in keys {
            if self.last.contains_key(key) {
                self.renew(*key);
            }
        }
        Ok(())
    }

    fn removed(&mut self, key: u64) -> Result<(), PutAside> {
        if let Some(at) = self.last.remove(&key) {
            self.order.remove(&at);
        }
        Ok(())
    }

    fn victim(&mut self) -> Result<Option<u64>, PutAside> {
        // Not the one that was admitted just now.
        let oldest = self.order.first_key_value().map(|(_, key)| *key);
        Ok(oldest.filter(|_| self.order.len() > 1))
    }

    fn refuted(&mut self, _key: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names nonsense, or fails at all.
    #[derive(Debug, Default)]
    struct Faulty {
        fails: bool,
        refuted: std::sync::Arc<Mutex<Vec<u64>>>,
    }

    impl CachePolicy for Faulty {
        fn admitted(&mut self, _key: u64, _bytes: usize) -> Result<(), PutAside> {
            if self.fails { Err(PutAside) } else { Ok(()) }
        }
        fn accessed(&mut self, _keys: &[u64]) -> Result<(), PutAside> {
            Ok(())
        }
        fn removed(&mut self, _key: u64) -> Result<(), PutAside> {
            Ok(())
        }
        fn victim(&mut self) -> Result<Option<u64>, PutAside> {
            Ok(Some(u64::MAX))
        }
        fn refuted(&mut self, key: u64) {
            self.refuted.lock().push(key);
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
    fn a_policy_that_names_nonsense_is_told_so_once_and_replaced() {
        let refuted = std::sync::Arc::default();
        let cache = cache(Faulty { fails: false, refuted: std::sync::Arc::clone(&refuted) });
        assert!(cache.admit(1, 60).is_empty());
        assert_eq!(cache.admit(2, 60), [1]);
        assert_eq!(cache.admit(3, 30), []);
        cache.touch(2);
        assert_eq!(cache.admit(4, 30), [3]);
        assert_eq!(*refuted.lock(), [u64::MAX]);
    }

    #[test]
    fn what_is_kept_goes_on_least_recently_used_when_the_policy_fails() {
        let cache = cache(Faulty { fails: true, ..Faulty::default() });
        assert!(cache.admit(1, 40).is_empty());
        assert!(cache.admit(2, 40).is_empty());
        cache.touch(1);
        assert_eq!(cache.admit(3, 40), [2]);
    }
}
