//! A search policy that knows each path of each layer, by a hash of 64 bits: a layer is looked into only where it has
//! something, but for one path in billions.
//!
//! An index is the hashes of a layer's paths, sorted, each little-endian. On a stack they are one table: all hashes with
//! their layers, in order, and where those begin that start with the same bits.

use nacre_driver_sdk::search::{Entry, Indexer, SearchPolicy};
use nacre_driver_sdk::{Description, Grant, Role, Setting};
use xxhash_rust::xxh3::xxh3_64;

/// The most paths of a layer: an index of 16 MiB. A layer with more has none.
const MOST: usize = (16 << 20) / size_of::<u64>() - 1;

/// The hashes of a layer's paths.
#[derive(Debug, Default)]
pub struct Hashes(Vec<u64>);

impl Indexer for Hashes {
    fn add(&mut self, entry: &Entry) {
        if self.0.len() <= MOST {
            self.0.push(xxh3_64(&entry.path));
        }
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        self.0.sort_unstable();
        let index = || self.0.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        (self.0.len() <= MOST).then(index)
    }
}

/// The policy.
#[derive(Debug)]
pub struct PathIndex {
    /// Hashes with their layers, sorted once the first path is asked for.
    table: Vec<(u64, u16)>,
    /// Where the hashes of each bucket begin, which is known by their first bits; empty until they are sorted.
    starts: Vec<u32>,
    /// A hash shifted right by so much is its bucket.
    shift: u32,
    /// The layers without an index.
    unknown: Vec<u64>,
}

impl PathIndex {
    fn sort(&mut self) {
        self.table.sort_unstable();
        let bits = self.table.len().max(2).ilog2();
        self.shift = 64 - bits;
        self.starts = vec![0; (1 << bits) + 1];
        for (hash, _) in &self.table {
            self.starts[(hash >> self.shift) as usize + 1] += 1;
        }
        for at in 1..self.starts.len() {
            self.starts[at] += self.starts[at - 1];
        }
    }
}

impl SearchPolicy for PathIndex {
    type Indexer = Hashes;

    fn describe() -> Description {
        Description {
            name: "path-index".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Looks only into the layers that have a path, by an index of all paths.".into(),
            roles: vec![Role::SearchPolicy],
            grants: vec![Grant::SearchTrusted],
            options: vec![],
        }
    }

    fn begin_index(_: &[Setting]) -> Option<Hashes> {
        Some(Hashes::default())
    }

    fn open(layers: u32, _: &[Setting]) -> Self {
        let unknown = vec![u64::MAX; (layers as usize).div_ceil(64)];
        Self { table: Vec::new(), starts: Vec::new(), shift: 0, unknown }
    }

    fn attach(&mut self, layer: u32, index: &[u8]) {
        if let (Some(unknown), Ok(number)) = (self.unknown.get_mut(layer as usize / 64), u16::try_from(layer))
        {
            *unknown &= !(1 << (layer % 64));
            let (hashes, _) = index.as_chunks::<8>();
            self.table.extend(hashes.iter().map(|hash| (u64::from_le_bytes(*hash), number)));
            self.starts.clear();
        }
    }

    fn probe(&mut self, path: &[u8], first: u32) -> u64 {
        if self.starts.is_empty() {
            self.sort();
        }
        let hash = xxh3_64(path);
        let bucket = (hash >> self.shift) as usize;
        let (from, to) = (self.starts[bucket] as usize, self.starts[bucket + 1] as usize);
        let mut bits = self.unknown.get(first as usize / 64).copied().unwrap_or(u64::MAX);
        for (known, layer) in &self.table[from..to] {
            let at = u32::from(*layer).wrapping_sub(first);
            if *known == hash && at < 64 {
                bits |= 1 << at;
            }
        }
        bits
    }
}

nacre_driver_sdk::export_search_policy!(PathIndex);

#[cfg(test)]
mod tests {
    use nacre_driver_sdk::search::EntryKind;

    use super::*;

    fn index(paths: impl Iterator<Item = String>) -> Vec<u8> {
        let mut hashes = Hashes::default();
        paths.for_each(|path| hashes.add(&Entry { path: path.into_bytes(), kind: EntryKind::File }));
        hashes.finish().unwrap_or_default()
    }

    #[test]
    fn the_layers_that_have_a_path_are_told_and_those_that_are_not_known() {
        let mut stack = PathIndex::open(200, &[]);
        (0..199)
            .for_each(|layer| stack.attach(layer, &index((0..50).map(|n| format!("{}", layer * 10 + n)))));
        let having = |stack: &mut PathIndex, path: &str| {
            let bits: Vec<u64> = (0..4).map(|w| stack.probe(path.as_bytes(), w * 64)).collect();
            (0..200).filter(|layer| bits[layer / 64] & (1 << (layer % 64)) != 0).collect::<Vec<usize>>()
        };
        for path in [0, 45, 640, 1000] {
            let mut expected: Vec<usize> =
                (0..199).filter(|layer| (layer * 10..layer * 10 + 50).contains(&path)).collect();
            expected.push(199);
            assert_eq!(having(&mut stack, &path.to_string()), expected, "{path}");
        }
        assert_eq!(having(&mut stack, "nothing"), [199]);
        assert_eq!(PathIndex::open(0, &[]).probe(b"x", 0), u64::MAX);
    }
}
