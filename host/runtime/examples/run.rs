//! Runs a command in a root file system: `run [OPTIONS] ROOTFS COMMAND [ARGUMENT…]`.
//!
//! Shows how a program uses the room, and is what the room's tests start. Also `exec`, `state`, `stop`, `pause`,
//! `resume`, `rm` on a container of `--id`.

use std::path::PathBuf;
use std::process::exit;
use std::time::Duration;

use nacre_runtime::{
    ContainerSpec, DetachedOptions, Error, Mount, Network, ProcessSpec, Runtime, Signal, helper_main,
};

fn main() {
    // In the monitor of a detached container.
    helper_main(|exit| {
        let _ = std::fs::write(&exit.context, format!("{} {}", exit.id, exit.status.code));
    });
    match run() {
        Ok(code) => exit(code),
        Err(error) => {
            eprintln!("run: {error}");
            exit(error.exit_code())
        }
    }
}

fn run() -> Result<i32, Error> {
    let mut spec = ContainerSpec::new("", ProcessSpec::default());
    let (mut run_dir, mut runtime, mut id) = (PathBuf::from("/run/nacre"), None, "example".to_owned());
    let (mut log, mut verb, mut grace) = (None, "run".to_owned(), 1);
    let mut arguments = std::env::args().skip(1).peekable();
    while let Some(option) = arguments.next_if(|argument| argument.starts_with('-')) {
        let mut value = || arguments.next().unwrap_or_default();
        match option.as_str() {
            "--run-dir" => run_dir = value().into(),
            "--runtime" => runtime = Some(value()),
            "--id" => id = value(),
            "--user" => spec.process.user = value(),
            "--cwd" => spec.process.cwd = value(),
            "--env" => spec.process.env.push(value()),
            "--hostname" => spec.hostname = value(),
            "--host-network" => spec.network = Network::Host,
            "--read-only" => spec.read_only = true,
            "--bind" => spec.mounts.extend(bind(&value())),
            "--tmpfs" => spec.mounts.push(Mount::Tmpfs { target: value(), options: Vec::new() }),
            "--detach" => log = Some(PathBuf::from(value())),
            "--grace" => grace = value().parse().unwrap_or(1),
            "-i" => spec.process.interactive = true,
            "-t" => spec.process.terminal = true,
            "--verb" => verb = value(),
            other => return Err(Error::BadSpec(format!("unknown option {other}"))),
        }
    }
    let container = Runtime::find(&run_dir, runtime.as_deref())?.container(&id)?;
    if verb == "run" {
        spec.rootfs = arguments.next().unwrap_or_default().into();
    }
    spec.process.args = arguments.collect();
    match (verb.as_str(), log) {
        ("run", None) => {
            let status = container.run_foreground(&spec, |_| {})?;
            container.delete(false)?;
            Ok(status.code)
        }
        ("run", Some(log)) => {
            let context = log.with_extension("exit").to_string_lossy().into_owned();
            let started = container.start_detached(&spec, &DetachedOptions { log, context })?;
            println!("{}", started.pid);
            Ok(0)
        }
        ("exec", _) => container.exec(&spec.process).map(|status| status.code),
        ("state", _) => {
            println!("{:?}", container.state()?);
            Ok(0)
        }
        ("stop", _) => container.stop(Signal::TERM, Duration::from_secs(grace)).map(|()| 0),
        ("pause", _) => {
            println!("{}", container.pause()?);
            Ok(0)
        }
        ("resume", _) => container.resume().map(|()| 0),
        ("rm", _) => container.delete(true).map(|()| 0),
        (other, _) => Err(Error::BadSpec(format!("unknown verb {other}"))),
    }
}

/// `SOURCE:TARGET[:ro]`.
fn bind(text: &str) -> Option<Mount> {
    let mut parts = text.split(':');
    let (source, target) = (parts.next()?.into(), parts.next()?.into());
    Some(Mount::Bind { source, target, read_only: parts.next() == Some("ro") })
}
