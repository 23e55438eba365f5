//! Names for containers whose user gave none, in Docker's manner: `amber_noether`.

use crate::Result;

const ADJECTIVES: [&str; 64] = [
    "agile", "amber", "ancient", "azure", "bold", "brave", "bright", "brisk", "calm", "candid", "cheerful",
    "clear", "clever", "coral", "curious", "daring", "deep", "eager", "early", "earnest", "elegant", "fair",
    "fearless", "fluid", "fond", "frank", "gentle", "glad", "golden", "graceful", "happy", "hardy", "honest",
    "humble", "jolly", "keen", "kind", "lively", "loyal", "lucid", "lunar", "mellow", "merry", "modest",
    "nimble", "noble", "patient", "pearly", "placid", "polite", "proud", "quick", "quiet", "serene",
    "shining", "silver", "sincere", "sturdy", "sunny", "tender", "tidal", "upbeat", "vivid", "witty",
];

const SURNAMES: [&str; 64] = [
    "abel",
    "ampere",
    "babbage",
    "banach",
    "bassi",
    "bell",
    "bohr",
    "boole",
    "borg",
    "cantor",
    "cerf",
    "chandra",
    "church",
    "curie",
    "dijkstra",
    "einstein",
    "elion",
    "engelbart",
    "erdos",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "franklin",
    "galois",
    "gauss",
    "germain",
    "godel",
    "hamilton",
    "hawking",
    "hilbert",
    "hodgkin",
    "hooke",
    "hopper",
    "hypatia",
    "jacobi",
    "johnson",
    "kepler",
    "knuth",
    "kovalevskaya",
    "lamarr",
    "leibniz",
    "liskov",
    "lovelace",
    "maxwell",
    "mccarthy",
    "meitner",
    "mirzakhani",
    "newton",
    "noether",
    "pascal",
    "perlman",
    "planck",
    "raman",
    "ritchie",
    "shannon",
    "tesla",
    "turing",
    "volta",
    "wiles",
    "wing",
    "wu",
];

/// After this many names that were taken, numbers are added: they grow with the tries.
const PLAIN: u32 = 8;

/// A random name; `tries` is how many were taken already.
pub(crate) fn random(tries: u32) -> Result<String> {
    let random = u32::from_le_bytes(crate::id::random()?);
    let adjective = ADJECTIVES[(random % 64) as usize];
    let surname = SURNAMES[(random / 64 % 64) as usize];
    if tries < PLAIN {
        return Ok(format!("{adjective}_{surname}"));
    }
    let number = random / 4096 % 10u32.saturating_pow((tries - PLAIN + 1).min(9));
    Ok(format!("{adjective}_{surname}{number}"))
}

/// Docker's rule: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`; file systems' rule: not too long.
pub(crate) fn is_valid(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}
