//! A cache policy: S3-FIFO (Yang and others, "FIFO queues are all you need for cache eviction", SOSP 2023).
//!
//! Three queues, each left in the order in which it was entered. What is new waits in the small one, which has a tenth
//! of the room; what was used more than once by its end goes on to the main one, the rest goes. What went is remembered
//! for a while, and enters the main queue at once if it comes back. In the main queue each use is worth another round.

use std::collections::VecDeque;

use nacre_driver_sdk::cache::CachePolicy;
use nacre_driver_sdk::{Description, Role, Setting};
use rustc_hash::{FxHashMap, FxHashSet};

/// More uses than these are not counted.
const MOST_USES: u8 = 3;

#[derive(Debug)]
struct Entry {
    bytes: u64,
    uses: u8,
    main: bool,
    /// What it has in its queue: what was left there of an earlier one has another.
    ticket: u64,
}

/// Keys with their tickets, the oldest first, and some that are kept no more.
type Queue = VecDeque<(u64, u64)>;

/// The policy.
#[derive(Debug, Default)]
pub struct S3Fifo {
    limit: u64,
    entries: FxHashMap<u64, Entry>,
    small: Queue,
    main: Queue,
    small_bytes: u64,
    ghosts: VecDeque<u64>,
    remembered: FxHashSet<u64>,
    /// The last ticket, which the one that was admitted last may have.
    ticket: u64,
    /// The one that was admitted last: room is made for it.
    newest: Option<u64>,
    /// The last victim.
    chosen: Option<u64>,
}

impl S3Fifo {
    fn enter(&mut self, key: u64, bytes: u64, main: bool) {
        self.ticket += 1;
        self.entries.insert(key, Entry { bytes, uses: 0, main, ticket: self.ticket });
        let queue = if main { &mut self.main } else { &mut self.small };
        queue.push_back((key, self.ticket));
        self.small_bytes += if main { 0 } else { bytes };
    }

    /// The oldest entry of a queue but for the newest of all.
    fn oldest(&mut self, main: bool) -> Option<u64> {
        let queue = if main { &mut self.main } else { &mut self.small };
        while let Some((key, ticket)) = queue.front() {
            match self.entries.get(key) {
                Some(entry) if entry.ticket == *ticket => {
                    if self.newest != Some(*key) {
                        return Some(*key);
                    }
                    if queue.len() == 1 {
                        return None;
                    }
                    queue.rotate_left(1);
                }
                _ => drop(queue.pop_front()),
            }
        }
        None
    }

    /// What went is remembered as long as so many others went after it as the cache holds.
    fn remember(&mut self, key: u64) {
        if self.remembered.insert(key) {
            self.ghosts.push_back(key);
        }
        while self.ghosts.len() > self.entries.len().max(1) {
            if let Some(forgotten) = self.ghosts.pop_front() {
                self.remembered.remove(&forgotten);
            }
        }
    }
}

impl CachePolicy for S3Fifo {
    fn describe() -> Description {
        Description {
            name: "s3-fifo".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "What is used once leaves soon, the rest in the order it came (S3-FIFO).".into(),
            roles: vec![Role::CachePolicy],
            grants: vec![],
            options: vec![],
        }
    }

    fn open(limit: u64, _: &[Setting]) -> Self {
        Self { limit, ..Self::default() }
    }

    fn admitted(&mut self, key: u64, bytes: u64) {
        self.newest = Some(key);
        if let Some(known) = self.entries.get_mut(&key) {
            known.uses = (known.uses + 1).min(MOST_USES);
            let before = std::mem::replace(&mut known.bytes, bytes);
            if !known.main {
                self.small_bytes = (self.small_bytes + bytes).saturating_sub(before);
            }
            return;
        }
        let was_here = self.remembered.remove(&key);
        if was_here {
            self.ghosts.retain(|ghost| *ghost != key);
        }
        self.enter(key, bytes, was_here);
    }

    fn accessed(&mut self, keys: &[u64]) {
        for key in keys {
            if let Some(known) = self.entries.get_mut(key) {
                known.uses = (known.uses + 1).min(MOST_USES);
            }
        }
    }

    fn removed(&mut self, key: u64) {
        let Some(entry) = self.entries.remove(&key) else { return };
        if !entry.main {
            self.small_bytes = self.small_bytes.saturating_sub(entry.bytes);
            if self.chosen == Some(key) {
                self.remember(key);
            }
        }
    }

    fn victim(&mut self) -> Option<u64> {
        loop {
            let small = self.oldest(false).filter(|_| self.small_bytes * 10 > self.limit);
            let main = if small.is_some() { None } else { self.oldest(true) };
            let key = small.or(main).or_else(|| self.oldest(false))?;
            let entry = self.entries.get_mut(&key)?;
            let (uses, bytes, from_main) = (entry.uses, entry.bytes, entry.main);
            // It enters anew at the end of the main queue; what is left of it at the front is passed over.
            if from_main && uses > 0 {
                self.enter(key, bytes, true);
                if let Some(entry) = self.entries.get_mut(&key) {
                    entry.uses = uses - 1;
                }
            } else if !from_main && uses > 1 {
                self.small_bytes = self.small_bytes.saturating_sub(bytes);
                self.enter(key, bytes, true);
            } else {
                self.chosen = Some(key);
                return Some(key);
            }
        }
    }
}

nacre_driver_sdk::export_cache_policy!(S3Fifo);

#[cfg(test)]
mod tests {
    use super::*;

    fn evict(cache: &mut S3Fifo) -> Option<u64> {
        let victim = cache.victim();
        victim.inspect(|key| cache.removed(*key))
    }

    #[test]
    fn what_is_used_once_goes_before_what_is_used_often() {
        let mut cache = S3Fifo::open(100, &[]);
        (1..=10).for_each(|key| cache.admitted(key, 10));
        cache.accessed(&[1, 1, 2, 2, 3]);
        // 1 and 2 go on to the main queue; 3 was used but once.
        assert_eq!(evict(&mut cache), Some(3));
        assert_eq!(evict(&mut cache), Some(4));
        // It comes back, and enters the main queue.
        cache.admitted(3, 10);
        assert!(cache.entries[&3].main && cache.entries[&1].main && !cache.entries[&5].main);
        let rest: Vec<u64> = std::iter::from_fn(|| evict(&mut cache)).collect();
        assert_eq!(rest.len(), 8, "the one that was admitted last stays: {rest:?}");
        assert_eq!(rest[..4], [5, 6, 7, 8], "the small queue, until it has its tenth");
    }

    #[test]
    fn it_ends_and_names_what_is_kept_whatever_happens() {
        let mut cache = S3Fifo::open(300, &[]);
        let (mut kept, mut seed): (Vec<u64>, u64) = (Vec::new(), 1);
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = (seed >> 33) % 60;
            match (seed >> 20) % 4 {
                0 => {
                    cache.admitted(key, 1 + seed % 30);
                    kept.retain(|known| *known != key);
                    kept.push(key);
                    if kept.len() > 10 {
                        let victim = evict(&mut cache).unwrap_or(u64::MAX);
                        assert!(kept.contains(&victim) && victim != key);
                        kept.retain(|known| *known != victim);
                    }
                }
                1 => {
                    cache.removed(key);
                    kept.retain(|known| *known != key);
                }
                _ => cache.accessed(&[key, key + 1]),
            }
            assert_eq!(cache.entries.len(), kept.len());
        }
        assert!(cache.ghosts.len() < 100 && cache.small.len() + cache.main.len() < 10_000);
    }
}
