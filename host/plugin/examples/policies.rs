//! What the union's policies cost, as one line of JSON: `cargo run --release -p nacre-plugin --example policies`.
//!
//! Medians of calls one by one, in nanoseconds: of `probe` on a stack of 20 layers with 3,000 paths each; of `choose`; and
//! of a batch of 128 accesses, for one of them. The time of reading the clock is in all of them.

use std::hint::black_box;
use std::time::Instant;

use nacre_plugin::copying::{LowerFile, Purpose};
use nacre_plugin::searching::{Entry, EntryKind};
use nacre_plugin::{Component, ComponentHost, Config};

type Failure = Box<dyn std::error::Error>;

const LAYERS: u32 = 20;
const PATHS: u32 = 3000;
const BATCH: usize = 128;
const CALLS: u32 = 50_000;

/// The median of many calls, in nanoseconds.
fn median<E>(mut call: impl FnMut(u32) -> Result<(), E>) -> Result<u64, E> {
    let mut times = Vec::with_capacity(CALLS as usize);
    for n in 0..CALLS {
        let begun = Instant::now();
        call(n)?;
        times.push(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn path(layer: u32, n: u32) -> Vec<u8> {
    format!("usr/lib/python3.{layer}/site-packages/module{n}/__init__.py").into_bytes()
}

fn search(component: &Component) -> Result<u64, Failure> {
    let settings = component.settings(&[])?;
    let mut policy = component.search_policy(settings.clone())?;
    policy.open(LAYERS)?;
    let mut maker = component.search_policy(settings)?;
    for layer in 0..LAYERS {
        let paths: Vec<u32> = (0..PATHS).collect();
        let batches = paths.chunks(1024).map(|batch| {
            let entry = |n: &u32| Entry { path: path(layer, *n), kind: EntryKind::File };
            Ok::<_, Failure>(batch.iter().map(entry).collect())
        });
        if let Some(index) = maker.index(batches)? {
            policy.attach(layer, &index)?;
        }
    }
    policy.probe(b"", 0)?;
    // Half of them are nowhere.
    let asked: Vec<Vec<u8>> = (0..1000).map(|n| path(n % (2 * LAYERS), n)).collect();
    let call = |n: u32| policy.probe(black_box(&asked[n as usize % asked.len()]), 0).map(|_| ());
    Ok(median(call)?)
}

fn cache(component: &Component) -> Result<f64, Failure> {
    let mut policy = component.cache_policy(component.settings(&[])?)?;
    policy.open(1 << 20)?;
    (0..1000).try_for_each(|key| policy.admitted(key * 977, 1000))?;
    let mut keys = [0; BATCH];
    let batch = median(|n| {
        keys.iter_mut().zip(n..).for_each(|(key, at)| *key = u64::from(at * 31 % 1000) * 977);
        policy.accessed(black_box(&keys))
    })?;
    Ok(batch as f64 / BATCH as f64)
}

fn copy_up(component: &Component) -> Result<u64, Failure> {
    let mut policy = component.copy_up_policy(component.settings(&[])?)?;
    policy.open()?;
    let file = LowerFile {
        size: 1 << 20,
        allocated: 1 << 20,
        needed: 1 << 20,
        same_filesystem: true,
        can_share: true,
    };
    Ok(median(|_| policy.choose(black_box(&file), Purpose::Write).map(|_| ()))?)
}

fn main() -> Result<(), Failure> {
    let host = ComponentHost::new(Config::default())?;
    let load = |name: &str| -> Result<Component, Failure> {
        Ok(host.load("built in", nacre_drivers::find(name).ok_or("it is not built in")?.wasm)?)
    };
    let clock = median(|_| Ok::<_, Failure>(()))?;
    let numbers = serde_json::json!({
        "clock_ns": clock,
        "probe_newest_first_ns": search(&load("newest-first")?)?,
        "probe_bloom_ns": search(&load("bloom")?)?,
        "probe_path_index_ns": search(&load("path-index")?)?,
        "access_lru_ns": cache(&load("lru")?)?,
        "access_s3_fifo_ns": cache(&load("s3-fifo")?)?,
        "access_sieve_ns": cache(&load("sieve")?)?,
        "choose_auto_ns": copy_up(&load("auto")?)?,
        "choose_whole_ns": copy_up(&load("whole")?)?,
    });
    println!("{numbers}");
    Ok(())
}
