//! Builds one guest crate by hand, and prints where the component is:
//!
//! ```text
//! $ cargo run -q -p nacre-guest-build -- drivers/plain
//! /home/me/nacre/target/components/nacre-driver-plain.wasm
//! ```
//!
//! The component is what a build script would make of the crate, byte for byte.

use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// The hidden first argument of the process that does the work. The library is for build scripts and takes
/// its folders from the environment, which is best set for a new process.
const WORK: &str = "--work";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [WORK, dir] => work(Path::new(dir)),
        [dir] if !dir.starts_with('-') => start(dir),
        _ => Err("usage: nacre-guest-build FOLDER-OF-THE-CRATE".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nacre-guest-build: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The last line on standard output is the component's path; those before it are meant for cargo.
fn work(dir: &Path) -> Result<(), Box<dyn Error>> {
    println!("{}", nacre_guest_build::build(dir)?.display());
    Ok(())
}

fn start(dir: &str) -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().find(|dir| dir.join("CACHEDIR.TAG").exists());
    let out = target.ok_or("this program is not in a target folder of cargo")?.join("components");
    std::fs::create_dir_all(&out)?;
    let mut command = Command::new(&program);
    command.args([WORK, dir]).env("OUT_DIR", &out).env("CARGO_MANIFEST_DIR", std::env::current_dir()?);
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{dir} was not built").into());
    }
    let told = String::from_utf8(output.stdout)?;
    println!("{}", told.lines().last().unwrap_or_default());
    Ok(())
}
