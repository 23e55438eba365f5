//! A search policy with a Bloom filter for each layer: small, and wrong only on the safe side. What a filter does not
//! have, the layer does not have; of what it has, the layer lacks about one in a hundred.
//!
//! The filters are split block ones (Apache Parquet, BloomFilter.md): a path sets eight bits in one block of 256, one in
//! each of its words, so that a look at a layer is a look at one line of the processor's cache. An index is its blocks,
//! each word little-endian.

use nacre_driver_sdk::search::{Entry, Indexer, SearchPolicy};
use nacre_driver_sdk::{Description, Grant, Role, Setting, Settings, number};
use xxhash_rust::xxh3::xxh3_64;

/// Parquet's odd constants, one for each word of a block.
const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

type Block = [u32; 8];

/// The most blocks of an index: 8 MiB.
const MOST: usize = (8 << 20) / size_of::<Block>();

/// One bit in each word.
fn mask(hash: u64) -> Block {
    let low = hash as u32;
    SALT.map(|salt| 1 << (low.wrapping_mul(salt) >> 27))
}

/// The block of a path in a filter of so many.
fn place(hash: u64, blocks: usize) -> usize {
    (((hash >> 32) * blocks as u64) >> 32) as usize
}

/// The filter of a layer in the making.
#[derive(Debug)]
pub struct Filter {
    hashes: Vec<u64>,
    bits: usize,
}

impl Indexer for Filter {
    fn add(&mut self, entry: &Entry) {
        self.hashes.push(xxh3_64(&entry.path));
    }

    fn finish(self) -> Option<Vec<u8>> {
        let blocks = (self.hashes.len() * self.bits).div_ceil(256).clamp(1, MOST);
        let mut filter: Vec<Block> = vec![[0; 8]; blocks];
        for hash in self.hashes {
            if let Some(block) = filter.get_mut(place(hash, blocks)) {
                block.iter_mut().zip(mask(hash)).for_each(|(word, bit)| *word |= bit);
            }
        }
        Some(filter.iter().flatten().flat_map(|word| word.to_le_bytes()).collect())
    }
}

/// The policy: the filters of a stack's layers, the newest first. One that is empty has everything.
#[derive(Debug)]
pub struct Bloom(Vec<Vec<Block>>);

impl SearchPolicy for Bloom {
    type Indexer = Filter;

    fn describe() -> Description {
        Description {
            name: "bloom".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Passes over layers by a Bloom filter of the paths of each.".into(),
            roles: vec![Role::SearchPolicy],
            grants: vec![Grant::SearchTrusted],
            options: vec![number(
                "bits",
                4,
                64,
                10,
                "Bits of a filter for each path of its layer: with 10 about one look in a hundred is in vain.",
            )],
        }
    }

    fn begin_index(settings: &[Setting]) -> Option<Filter> {
        let bits = settings.number("bits").ok().and_then(|bits| usize::try_from(bits).ok()).unwrap_or(10);
        Some(Filter { hashes: Vec::new(), bits })
    }

    fn open(layers: u32, _: &[Setting]) -> Self {
        Self(vec![Vec::new(); layers as usize])
    }

    fn attach(&mut self, layer: u32, index: &[u8]) {
        let (words, _) = index.as_chunks::<4>();
        let (blocks, _) = words.as_chunks::<8>();
        if let Some(filter) = self.0.get_mut(layer as usize) {
            *filter = blocks.iter().map(|block| block.map(u32::from_le_bytes)).collect();
        }
    }

    fn probe(&mut self, path: &[u8], first: u32) -> u64 {
        let hash = xxh3_64(path);
        let mask = mask(hash);
        let may_have = |filter: &Vec<Block>| match filter.get(place(hash, filter.len())) {
            Some(block) => block.iter().zip(&mask).all(|(word, bit)| word & bit != 0),
            None => true,
        };
        let window = self.0.iter().skip(first as usize).take(64);
        window.enumerate().fold(0, |bits, (at, filter)| bits | (u64::from(may_have(filter)) << at))
    }
}

nacre_driver_sdk::export_search_policy!(Bloom);

#[cfg(test)]
mod tests {
    use nacre_driver_sdk::search::EntryKind;

    use super::*;

    fn index(paths: &[String]) -> Vec<u8> {
        let mut filter = Filter { hashes: Vec::new(), bits: 10 };
        for path in paths {
            filter.add(&Entry { path: path.clone().into_bytes(), kind: EntryKind::File });
        }
        filter.finish().unwrap_or_default()
    }

    #[test]
    fn what_a_layer_has_is_never_passed_over_and_little_else_is_looked_for() {
        let paths: Vec<String> = (0..5000).map(|n| format!("usr/lib/{n}.so")).collect();
        let mut stack = Bloom::open(70, &[]);
        stack.attach(65, &index(&paths));
        stack.attach(2, &index(&[]));
        assert!(paths.iter().all(|path| stack.probe(path.as_bytes(), 64) & 0b10 != 0));
        let others = (0..5000).filter(|n| stack.probe(format!("usr/bin/{n}").as_bytes(), 64) & 0b10 != 0);
        assert!(others.count() < 150);
        let bits = stack.probe(b"usr/bin/1", 0);
        assert_eq!(bits, u64::MAX ^ 0b100, "layers without a filter, and one with an empty one");
    }
}
