//! Loop devices, and thin pools on them. Where the kernel has no device-mapper, `scripts/lane` runs this under one
//! that has.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use common::{Scratch, root};
use nacre_sys::dm::{self, Device, Features, Filesystem, Pool, PoolMode};
use nacre_sys::{Error, loop_device, mount};

/// Enough for a file system of either kind.
const VOLUME: u64 = 400 << 20;

/// A thin pool in a scratch directory. Nothing of it remains.
struct Bed {
    scratch: Scratch,
    pool: Pool,
    loops: Vec<PathBuf>,
    volumes: Vec<Device>,
}

impl Bed {
    fn new(name: &str, data_bytes: u64) -> Option<Self> {
        if !root() || !has_thin_pools() {
            return None;
        }
        let scratch = Scratch::new();
        let loops = [("metadata", 8 << 20), ("data", data_bytes)]
            .map(|(name, bytes)| attach(&scratch.path().join(name), bytes))
            .to_vec();
        let pool = Pool::named(format!("nacre-test-{name}-{}", std::process::id()));
        let bed = Self { scratch, pool, loops, volumes: Vec::new() };
        bed.activate();
        Some(bed)
    }

    fn activate(&self) {
        let [metadata, data] = &self.loops[..] else { panic!("two loop devices") };
        self.pool.activate(metadata, data, &Features { block_sectors: 128 }).unwrap();
    }

    fn volume(&mut self, number: u32) -> Device {
        let device = Device::named(format!("{}-{number}", self.pool.device().name()));
        self.pool.activate_thin(&device, number, VOLUME).unwrap();
        self.volumes.push(device.clone());
        device
    }

    fn mount(&self, kind: Filesystem, device: &Device, name: &str) {
        self.scratch.make(&[name]);
        let target = self.scratch.dir.sub(name).unwrap();
        dm::mount(kind, &device.node().unwrap(), &target, false, "").unwrap();
    }

    fn unmount(&self, name: &str) {
        assert!(mount::unmount(&self.scratch.dir, name).unwrap(), "{name} was mounted");
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for found in mount::below(self.scratch.path()).unwrap() {
            let rel = found.mount_point.strip_prefix(self.scratch.path()).unwrap();
            let _ = mount::detach(&self.scratch.dir, rel);
        }
        for volume in &self.volumes {
            volume.remove().unwrap();
        }
        self.pool.device().remove().unwrap();
        for device in &self.loops {
            loop_device::detach(device).unwrap();
        }
    }
}

fn has_thin_pools() -> bool {
    let has = dm::is_available();
    assert!(has || std::env::var_os("NACRE_LANE").is_none(), "the lane's kernel has thin pools");
    if !has {
        nacre_skip::skip("this kernel has no thin pools; scripts/lane has");
    }
    has
}

fn attach(path: &Path, bytes: u64) -> PathBuf {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    file.set_len(bytes).unwrap();
    loop_device::attach(&file, path, true).unwrap()
}

#[test]
fn a_file_keeps_its_loop_device_until_it_is_detached() {
    if !root() {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    let device = attach(&path, 1 << 20);
    assert_eq!(attach(&path, 1 << 20), device, "attached once");
    let file = File::open(&path).unwrap();
    assert_eq!(loop_device::find(&file, &path).unwrap(), Some(device.clone()));
    let other = File::create(scratch.path().join("other")).unwrap();
    assert_eq!(loop_device::find(&other, &path).unwrap(), None);

    fs::write(&device, b"through the device").unwrap();
    assert!(fs::read(&path).unwrap().starts_with(b"through the device"));

    loop_device::detach(&device).unwrap();
    assert_eq!(loop_device::find(&file, &path).unwrap(), None);
    loop_device::detach(&device).unwrap();
}

#[test]
fn a_volume_holds_a_file_system_and_a_snapshot_goes_its_own_way() {
    for (kind, number) in [(Filesystem::Ext4, 1), (Filesystem::Xfs, 2)] {
        let Some(mut bed) = Bed::new(kind.name(), 1 << 30) else { return };
        bed.pool.create_thin(number).unwrap();
        let taken = bed.pool.create_thin(number).unwrap_err();
        assert!(taken.already_exists(), "{taken}");
        let base = bed.volume(number);
        let node = base.node().unwrap();
        assert_eq!(dm::identify(&node).unwrap(), None);
        dm::make(kind, &node, &[]).unwrap();
        let (found, bytes) = dm::identify(&node).unwrap().unwrap();
        assert_eq!(found, kind);
        assert!(bytes <= VOLUME && bytes > VOLUME - (1 << 20), "{bytes}");

        bed.mount(kind, &base, "base");
        bed.scratch.write("base/kept", "below");
        // Of a mounted origin: suspending it freezes the file system.
        base.suspend().unwrap();
        bed.pool.create_snap(number + 10, number).unwrap();
        base.resume().unwrap();
        bed.scratch.write("base/later", "base only");
        let snapshot = bed.volume(number + 10);
        bed.mount(kind, &snapshot, "snapshot");
        assert_eq!(bed.scratch.read("snapshot/kept"), "below");
        bed.scratch.write("snapshot/kept", "changed");
        assert_eq!(bed.scratch.read("base/kept"), "below");
        assert!(!bed.scratch.path().join("snapshot/later").exists());

        let busy = snapshot.remove().unwrap_err();
        assert!(matches!(busy, Error::Busy { .. }), "{busy}");
        bed.unmount("snapshot");
        snapshot.remove().unwrap();
        snapshot.remove().unwrap();
        assert!(!snapshot.exists().unwrap());
        bed.pool.delete(number + 10).unwrap();
        bed.pool.delete(number + 10).unwrap();
    }
}

#[test]
fn a_file_system_grows_to_the_size_of_its_volume() {
    for kind in [Filesystem::Ext4, Filesystem::Xfs] {
        let Some(mut bed) = Bed::new(&format!("grow-{}", kind.name()), 1 << 30) else { return };
        bed.pool.create_thin(1).unwrap();
        let small = bed.volume(1);
        dm::make(kind, &small.node().unwrap(), &[]).unwrap();
        small.remove().unwrap();
        bed.pool.activate_thin(&small, 1, 2 * VOLUME).unwrap();
        bed.mount(kind, &small, "mnt");
        let target = bed.scratch.dir.sub("mnt").unwrap();
        dm::grow(kind, &small.node().unwrap(), &target).unwrap();
        let (_, bytes) = dm::identify(&small.node().unwrap()).unwrap().unwrap();
        let held = mounted_bytes(&bed.scratch.path().join("mnt"));
        assert!(held > VOLUME + VOLUME / 2, "{held} of {bytes}");
    }
}

/// The size of a mounted file system, in bytes.
fn mounted_bytes(path: &Path) -> u64 {
    let output = std::process::Command::new("stat").args(["-f", "-c", "%b %S"]).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(|n| n.parse::<u64>().unwrap()).product()
}

#[test]
fn a_pools_state_has_a_number_and_survives_its_device() {
    let Some(bed) = Bed::new("state", 256 << 20) else { return };
    assert_eq!(bed.pool.status().unwrap().transaction, 0);
    bed.pool.create_thin(7).unwrap();
    bed.pool.set_transaction(0, 1).unwrap();
    let wrong = bed.pool.set_transaction(0, 2).unwrap_err();
    assert_eq!(wrong.errno(), Some(22), "{wrong}");
    bed.pool.device().remove().unwrap();
    assert!(!bed.pool.device().is_active().unwrap());
    bed.activate();
    let status = bed.pool.status().unwrap();
    assert_eq!((status.transaction, status.mode), (1, PoolMode::Writable));
    assert!(bed.pool.create_thin(7).unwrap_err().already_exists());
}

#[test]
fn a_full_pool_fails_writes_at_once_and_goes_on_when_space_is_freed() {
    let Some(mut bed) = Bed::new("full", 16 << 20) else { return };
    bed.pool.create_thin(1).unwrap();
    bed.pool.create_thin(2).unwrap();
    let (first, second) = (bed.volume(1), bed.volume(2));
    let fill = |device: &Device, bytes: usize| {
        let file = File::options().write(true).open(device.node().unwrap()).unwrap();
        let mut outcome = std::io::Write::write_all(&mut &file, &vec![7; bytes]);
        if outcome.is_ok() {
            outcome = file.sync_all();
        }
        outcome
    };
    fill(&first, 8 << 20).unwrap();
    fill(&second, 16 << 20).unwrap_err();
    let full = bed.pool.status().unwrap();
    assert_eq!(full.mode, PoolMode::OutOfDataSpace, "{full:?}");
    assert_eq!(full.data.0, full.data.1);
    second.remove().unwrap();
    bed.pool.delete(2).unwrap();
    fill(&first, 12 << 20).unwrap();
    assert_eq!(bed.pool.status().unwrap().mode, PoolMode::Writable);
}

#[test]
fn metadata_that_is_no_pools_is_refused_and_leaves_no_device() {
    let Some(bed) = Bed::new("noise", 64 << 20) else { return };
    bed.pool.device().remove().unwrap();
    fs::write(&bed.loops[0], vec![0x5a; 8192]).unwrap();
    let [metadata, data] = &bed.loops[..] else { panic!("two loop devices") };
    let refused = bed.pool.activate(metadata, data, &Features { block_sectors: 128 }).unwrap_err();
    assert!(refused.to_string().contains("/dev/mapper/nacre-test-noise"), "{refused}");
    assert!(!bed.pool.device().exists().unwrap());
}
