//! What a call of the API costs over the call of Rust below it, and how many changes a script goes through in a second.
//!
//! Prints one line of JSON: the least of several rounds of each, in Lua and in Rust.
#![allow(clippy::unwrap_used, reason = "a measurement that fails is none")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use nacre_engine::{CommitOptions, Config, CreateOptions, Engine, LoadSource, NoProgress};
use nacre_script::{Host, Limits, Script, Source};

const CALLS: u32 = 200_000;
const ENTRIES: usize = 100_000;
const ROUNDS: usize = 7;

fn main() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let config = Config { root: Some(dir.path().join("root")), ..Config::default() };
    let container = container(&config, dir.path());
    let rust_call = least(|| {
        let began = Instant::now();
        for _ in 0..CALLS {
            black_box(jiff::Timestamp::now().as_microsecond() as f64 / 1e6);
        }
        began.elapsed()
    });
    let loop_of = |body: &str| format!("local now = nacre.time.now for i = 1, {CALLS} do {body} end");
    let (empty, calls) = (loop_of(""), loop_of("now()"));
    let call = least(|| run(&config, &calls)).saturating_sub(least(|| run(&config, &empty)));
    let engine = Engine::open(config.clone()).unwrap();
    let rust_diff = least(|| {
        let began = Instant::now();
        assert!(black_box(engine.diff(&container).unwrap()).len() >= ENTRIES);
        began.elapsed()
    });
    let walked = least(|| walk(&config, &container));
    engine.remove_container(&container, true).unwrap();
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(CALLS);
    let line = serde_json::json!({
        "call_us": micros(call),
        "rust_call_us": micros(rust_call),
        "walk_ms": walked.as_secs_f64() * 1e3,
        "rust_diff_ms": rust_diff.as_secs_f64() * 1e3,
        "entries_per_second": ENTRIES as f64 / walked.as_secs_f64(),
    });
    println!("{line}");
}

fn least(measure: impl Fn() -> Duration) -> Duration {
    (0..ROUNDS).map(|_| measure()).min().unwrap_or_default()
}

/// A container that has as many changes as are to be gone through.
fn container(config: &Config, dir: &Path) -> String {
    let engine = Engine::open(config.clone()).unwrap();
    let tar = dir.join("base.tar");
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(std::fs::File::create(&tar).unwrap());
    builder.append_data(&mut header, "base", std::io::empty()).unwrap();
    builder.into_inner().unwrap();
    let options = CommitOptions {
        reference: Some("bench:1".to_owned()),
        changes: vec!["CMD [\"x\"]".to_owned()],
        ..CommitOptions::default()
    };
    engine.import(LoadSource::File(tar), &options, &NoProgress).unwrap();
    let made = engine.create(&CreateOptions { image: "bench:1".to_owned(), ..CreateOptions::default() });
    let id = made.unwrap().id;
    let tree = engine.mount(&id).unwrap();
    for n in 0..ENTRIES {
        let folder = tree.join(format!("d{}", n % 100));
        if n < 100 {
            std::fs::create_dir(&folder).unwrap();
        }
        std::fs::File::create(folder.join(format!("f{n}"))).unwrap();
    }
    engine.unmount(&id).unwrap();
    id
}

/// How long a script runs.
fn run(config: &Config, code: &str) -> Duration {
    let host = Host::new(config.clone()).with_output(std::io::sink());
    let script = Script::new(host, &Limits::default()).unwrap();
    let source = Source::text("speed", code);
    let began = Instant::now();
    script.run(&source, &[]).unwrap();
    began.elapsed()
}

/// How long a script goes through changes, which are known when `diff` returns.
fn walk(config: &Config, container: &str) -> Duration {
    let code = "local next = nacre.container.get(arg[1]):diff()
                local began, count = nacre.time.now(), 0
                for path, kind in next do count = count + 1 end
                print(nacre.time.now() - began)";
    let (reader, writer) = std::io::pipe().unwrap();
    let host = Host::new(config.clone()).with_output(writer);
    let script = Script::new(host, &Limits::default()).unwrap();
    script.run(&Source::text("walk", code), &[container.to_owned()]).unwrap();
    drop(script);
    let printed = std::io::read_to_string(reader).unwrap();
    Duration::from_secs_f64(printed.trim().parse().unwrap())
}
