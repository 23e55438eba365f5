//! A cache policy: SIEVE (Zhang and others, "SIEVE is simpler than LRU", NSDI 2024).
//!
//! Entries stand in the order in which they were admitted, and a use only marks them. A hand goes from the oldest to the
//! newest and then begins again: it takes a mark away where there is one, and what has none goes. A use costs one look
//! into a table and moves nothing.

use std::collections::BTreeMap;
use std::ops::Bound;

use nacre_driver_sdk::cache::CachePolicy;
use nacre_driver_sdk::{Description, Role, Setting};
use rustc_hash::FxHashMap;

#[derive(Debug)]
struct Entry {
    place: u64,
    used: bool,
}

/// The policy.
#[derive(Debug, Default)]
pub struct Sieve {
    entries: FxHashMap<u64, Entry>,
    /// By place, the oldest first.
    order: BTreeMap<u64, u64>,
    /// The place at which the hand stands.
    hand: u64,
    /// The place that the newest has.
    newest: u64,
}

impl CachePolicy for Sieve {
    fn describe() -> Description {
        Description {
            name: "sieve".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "What was not used since the hand passed goes, the oldest first (SIEVE).".into(),
            roles: vec![Role::CachePolicy],
            grants: vec![],
            options: vec![],
        }
    }

    fn open(_: u64, _: &[Setting]) -> Self {
        Self::default()
    }

    fn admitted(&mut self, key: u64, _: u64) {
        if let Some(known) = self.entries.get_mut(&key) {
            known.used = true;
            return;
        }
        self.newest += 1;
        self.entries.insert(key, Entry { place: self.newest, used: false });
        self.order.insert(self.newest, key);
    }

    fn accessed(&mut self, keys: &[u64]) {
        for key in keys {
            if let Some(known) = self.entries.get_mut(key) {
                known.used = true;
            }
        }
    }

    fn removed(&mut self, key: u64) {
        if let Some(entry) = self.entries.remove(&key) {
            self.order.remove(&entry.place);
        }
    }

    fn victim(&mut self) -> Option<u64> {
        if self.order.len() < 2 {
            return None;
        }
        loop {
            // The newest is what room is made for.
            let next = self.order.range((Bound::Included(self.hand), Bound::Excluded(self.newest))).next();
            let Some((place, key)) = next else {
                self.hand = 0;
                continue;
            };
            self.hand = *place;
            let entry = self.entries.get_mut(key)?;
            if !std::mem::take(&mut entry.used) {
                return Some(*key);
            }
            self.hand += 1;
        }
    }
}

nacre_driver_sdk::export_cache_policy!(Sieve);

#[cfg(test)]
mod tests {
    use super::*;

    fn evict(cache: &mut Sieve) -> Option<u64> {
        let victim = cache.victim();
        victim.inspect(|key| cache.removed(*key))
    }

    #[test]
    fn the_hand_passes_over_what_was_used_and_goes_on_from_where_it_stood() {
        let mut cache = Sieve::open(100, &[]);
        (1..=5).for_each(|key| cache.admitted(key, 10));
        cache.accessed(&[1, 3, 77]);
        assert_eq!(evict(&mut cache), Some(2));
        assert_eq!(evict(&mut cache), Some(4));
        cache.admitted(6, 10);
        // 5 is next; 1 and 3 have lost their marks.
        assert_eq!(evict(&mut cache), Some(5));
        assert_eq!(evict(&mut cache), Some(1));
        assert_eq!(evict(&mut cache), Some(3));
        assert_eq!(evict(&mut cache), None, "the newest stays");
    }

    #[test]
    fn where_all_are_used_the_oldest_goes_and_where_the_newest_went_another_does() {
        let mut cache = Sieve::open(100, &[]);
        (1..=3).for_each(|key| cache.admitted(key, 10));
        cache.accessed(&[1, 2, 3]);
        assert_eq!(evict(&mut cache), Some(1));
        cache.removed(3);
        cache.admitted(4, 10);
        assert_eq!(evict(&mut cache), Some(2));
    }
}
