//! What components cost, as one line of JSON: `cargo run --release -p nacre-plugin --example calls`.
//!
//! Times are the least of several rounds, in microseconds.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use nacre_plugin::{ComponentHost, Config, NoState, StorageDriver};

type Failure = Box<dyn std::error::Error>;

/// The least of `rounds` times of `work`, which does `each` things, in microseconds for one.
fn least<T>(rounds: u32, each: u32, mut work: impl FnMut() -> Result<T, Failure>) -> Result<f64, Failure> {
    let mut least = f64::INFINITY;
    for _ in 0..rounds {
        let begun = Instant::now();
        black_box(work()?);
        least = least.min(begun.elapsed().as_secs_f64() * 1e6 / f64::from(each));
    }
    Ok(least)
}

fn main() -> Result<(), Failure> {
    let wasm = nacre_drivers::find("overlay2").ok_or("overlay2 is not built in")?.wasm;
    let cache = tempfile::tempdir()?;
    let config = || Config { cache_dir: Some(cache.path().join("cache")), ..Config::default() };
    let load = || ComponentHost::new(config())?.load("built in", wasm);

    let compile = least(1, 1, || Ok(load()?))?;
    let cached = least(20, 1, || Ok(load()?))?;
    let component = load()?;
    let id = "a".repeat(64);
    let first = least(50, 1, || Ok(component.driver(Arc::new(NoState))?.usage(&id)?))?;
    let driver = component.driver(Arc::new(NoState))?;
    // A text of 40 bytes in, and a number and that text out: it is no layer's id.
    let path = "usr/lib/x86_64-linux-gnu/libcrypto.so.3x";
    let scalar = least(20, 10_000, || {
        for _ in 0..10_000 {
            let _ = black_box(driver.usage(black_box(path)));
        }
        Ok(())
    })?;
    let usage = least(20, 10_000, || {
        for _ in 0..10_000 {
            black_box(driver.usage(black_box(&id))?);
        }
        Ok(())
    })?;
    let remove = least(20, 10_000, || {
        for _ in 0..10_000 {
            black_box(driver.remove(black_box(&id))?);
        }
        Ok(())
    })?;
    let numbers = serde_json::json!({
        "component_bytes": wasm.len(),
        "engine_and_load_compiling_us": compile,
        "engine_and_load_cached_us": cached,
        "new_instance_and_first_call_us": first,
        "warm_call_refused_us": scalar,
        "warm_call_path_us": usage,
        "warm_call_plan_of_two_steps_us": remove,
    });
    println!("{numbers}");
    Ok(())
}
