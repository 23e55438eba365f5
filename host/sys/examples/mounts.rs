//! Prints how long it takes to mount and unmount overlays of 1, 10 and 128 lower layers, opening the layers
//! included: `cargo run -p nacre-sys --example mounts`.

use std::time::Instant;

use nacre_sys::mount::{self, Method, OverlayMount};
use nacre_sys::{Dir, Result};

const ROUNDS: usize = 200;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let temp = tempfile::tempdir_in("/var/tmp")?;
    let dir = Dir::open(temp.path())?;
    for name in ["upper", "work", "merged"] {
        dir.make_dir(name, 0o755)?;
    }
    for n in 0..128 {
        dir.make_dir(format!("lower-{n}"), 0o755)?;
    }
    println!("{:>6}  {:<14}  {:>8}  {:>10}", "lowers", "method", "mount µs", "unmount µs");
    for count in [1, 10, 128] {
        for method in [Method::Descriptors, Method::Names, Method::OptionString] {
            let mut times = Vec::new();
            for _ in 0..ROUNDS {
                times.push(round(&dir, count, method)?);
            }
            let mut up: Vec<_> = times.iter().map(|t| t.0).collect();
            let mut down: Vec<_> = times.iter().map(|t| t.1).collect();
            up.sort_unstable();
            down.sort_unstable();
            let (up, down) = (up.get(ROUNDS / 2), down.get(ROUNDS / 2));
            println!(
                "{count:>6}  {:<14}  {:>8}  {:>10}",
                format!("{method:?}"),
                up.unwrap_or(&0),
                down.unwrap_or(&0)
            );
        }
    }
    Ok(())
}

fn round(dir: &Dir, count: usize, method: Method) -> Result<(u128, u128)> {
    let start = Instant::now();
    let lowers = (0..count).map(|n| dir.sub(format!("lower-{n}"))).collect::<Result<Vec<_>>>()?;
    OverlayMount::new(lowers)
        .upper(dir.sub("upper")?, dir.sub("work")?)
        .mount_by(method, &dir.sub("merged")?)?;
    let up = start.elapsed().as_micros();
    let start = Instant::now();
    mount::unmount(dir, "merged")?;
    Ok((up, start.elapsed().as_micros()))
}
