#![allow(dead_code)]
//! A store in a directory of its own, records to fill it with, and other processes.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use jiff::Timestamp;
use nacre_archive::digest::{ChainId, DiffId, Digest, ImageId};
use nacre_store::{ContainerId, Layer, LayerId, NewContainer, NewImage, Paths, Store};

pub const DRIVER: &str = "overlay2";

pub fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("nacre-store-").tempdir_in("/var/tmp").unwrap()
}

pub fn paths(dir: &Path) -> Paths {
    Paths::with_run(dir.join("root"), dir.join("run")).unwrap()
}

pub fn open(dir: &Path) -> Store {
    Store::open(paths(dir)).unwrap()
}

pub fn diff(name: &str) -> DiffId {
    DiffId::new(Digest::of(name.as_bytes()))
}

pub fn chain(names: &[&str]) -> ChainId {
    ChainId::stack(names.iter().map(|name| diff(name))).unwrap()
}

/// The topmost of a stack of layers, named from the base upwards.
pub fn layer(names: &[&str]) -> Layer {
    let (last, below) = names.split_last().unwrap();
    Layer {
        driver: DRIVER.to_owned(),
        chain_id: chain(names),
        diff_id: diff(last),
        parent: ChainId::stack(below.iter().map(|name| diff(name))),
        dir: LayerId::random().unwrap(),
        size: 10,
        raw_size: 10_240,
        entries: 3,
        framing: None,
        created: Timestamp::now(),
    }
}

/// Commits a stack of layers, as far as they are not there.
pub fn add_stack(store: &Store, names: &[&str]) {
    store
        .write(|tx| {
            for height in 1..=names.len() {
                let new = layer(&names[..height]);
                if tx.layer(DRIVER, &new.chain_id)?.is_none() {
                    tx.add_layer(&new)?;
                }
            }
            Ok(())
        })
        .unwrap();
}

pub fn image(id: ImageId, names: &[&str]) -> NewImage {
    NewImage {
        id,
        created: Some(Timestamp::UNIX_EPOCH),
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        size: 20,
        layers: names.iter().map(|name| diff(name)).collect(),
    }
}

/// An image with its configuration and its layers.
pub fn add_image(store: &Store, config: &str, names: &[&str]) -> ImageId {
    add_stack(store, names);
    let publishing = store.publish().unwrap();
    let id = ImageId::new(publishing.put(config.as_bytes()).unwrap());
    store.durable(|tx| tx.add_image(&image(id, names), DRIVER)).unwrap();
    id
}

pub fn container(name: Option<&str>, image: Option<ImageId>, names: &[&str]) -> NewContainer {
    NewContainer {
        id: ContainerId::random().unwrap(),
        name: name.map(str::to_owned),
        image,
        image_ref: "debian".to_owned(),
        driver: DRIVER.to_owned(),
        dir: LayerId::random().unwrap(),
        parent: ChainId::stack(names.iter().map(|name| diff(name))),
        config: serde_json::json!({ "command": ["sh"] }),
        created: Timestamp::now(),
    }
}

/// Runs the test `child` of this binary in another process, which [`role`] tells what to do.
pub fn spawn(dir: &Path, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env("NACRE_TEST_ROLE", role)
        .env("NACRE_TEST_DIR", dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What this process was spawned to do, and where; none in the tests' own process.
pub fn role() -> Option<(String, std::path::PathBuf)> {
    let role = std::env::var("NACRE_TEST_ROLE").ok()?;
    Some((role, std::env::var_os("NACRE_TEST_DIR")?.into()))
}

/// The lines that a child prints begin with this, to tell them from the test harness's.
pub const SAYS: &str = "child:";

/// Waits for the child's next line.
pub fn hear(child: &mut Child) -> String {
    use std::io::Read;
    let stdout = child.stdout.as_mut().unwrap();
    loop {
        let mut line = Vec::new();
        let mut byte = [0];
        while byte[0] != b'\n' {
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "the child ended before it said anything");
            line.push(byte[0]);
        }
        // The harness prints `test child ... ` without a line end before.
        if let Some((_, said)) = String::from_utf8(line).unwrap().trim_end().split_once(SAYS) {
            return said.to_owned();
        }
    }
}
