use std::collections::BTreeMap;
use std::ops::Range;

/// A set of offsets, kept as the runs that it consists of.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Extents(BTreeMap<u64, u64>);

impl Extents {
    /// Add a run. It is joined with those that it touches.
    pub(crate) fn insert(&mut self, run: Range<u64>) {
        let Range { mut start, mut end } = run;
        if start >= end {
            return;
        }
        while let Some((at, stop)) = self.0.range(..=end).next_back().map(|(at, stop)| (*at, *stop)) {
            if stop < start {
                break;
            }
            (start, end) = (start.min(at), end.max(stop));
            self.0.remove(&at);
        }
        self.0.insert(start, end);
    }

    /// Whether an offset is in it, and how far that stays so, up to `end`.
    pub(crate) fn at(&self, offset: u64, end: u64) -> (bool, u64) {
        if let Some((_, stop)) = self.0.range(..=offset).next_back()
            && *stop > offset
        {
            return (true, end.min(*stop));
        }
        let next = self.0.range(offset..).next().map_or(end, |(at, _)| *at);
        (false, end.min(next))
    }

    /// Whether all of a run is in it.
    pub(crate) fn covers(&self, run: &Range<u64>) -> bool {
        run.start >= run.end || self.at(run.start, run.end) == (true, run.end)
    }

    /// The parts of a run that are in it (`inside`), or those that are not.
    pub(crate) fn parts(&self, run: Range<u64>, inside: bool) -> Vec<Range<u64>> {
        let mut parts = Vec::new();
        let mut at = run.start;
        while at < run.end {
            let (is_in, stop) = self.at(at, run.end);
            if is_in == inside {
                parts.push(at..stop);
            }
            at = stop;
        }
        parts
    }

    /// All runs.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().map(|(start, end)| *start..*end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_set_of_all_that_was_inserted(runs in prop::collection::vec((0..60u64, 0..20u64), 0..20)) {
            let mut extents = Extents::default();
            let mut plain = [false; 100];
            for (start, length) in runs {
                extents.insert(start..start + length);
                for offset in start..start + length {
                    plain[offset as usize] = true;
                }
            }
            for offset in 0..100u64 {
                let (inside, stop) = extents.at(offset, 100);
                let rest = &plain[offset as usize..];
                prop_assert_eq!(inside, rest[0]);
                let same = rest.iter().take_while(|other| **other == inside).count();
                prop_assert_eq!(stop, offset + same as u64);
            }
            let all: Vec<_> = extents.runs().collect();
            prop_assert_eq!(&extents.parts(0..100, true), &all);
            prop_assert!(all.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
