//! The driver devicemapper on real thin pools. Where the kernel has no device-mapper, `scripts/lane` runs these under
//! one that has: `scripts/lane target/debug/deps/suite-… devicemapper::`.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nacre_tests::craft::{Image, Packing, Tar};
use nacre_tests::{Nacre, Outcome, is_too_long, mounts_below, program, scratch, shell, skip};
use tempfile::TempDir;

mod crash;

/// Small, and large enough for XFS.
const BASE_SIZE: &str = "basesize=512M";

/// nacre with the driver and some of its options. When it is dropped, its pool and loop devices are.
struct Bed {
    nacre: Nacre,
    options: Vec<String>,
    files: TempDir,
}

impl Bed {
    fn new(options: &[&str]) -> Option<Self> {
        Self::with([BASE_SIZE].iter().chain(options))
    }

    fn with<'a>(options: impl Iterator<Item = &'a &'a str>) -> Option<Self> {
        let has_pools = Path::new("/dev/mapper/control").exists() && program("dmsetup").is_some();
        assert!(has_pools || std::env::var_os("NACRE_LANE").is_none(), "the lane's kernel has thin pools");
        if !has_pools {
            skip("this kernel has no thin pools, or dmsetup is missing; scripts/lane has them");
            return None;
        }
        let options =
            options.flat_map(|o| ["--storage-opt".to_owned(), format!("devicemapper.{o}")]).collect();
        Some(Self { nacre: Nacre::new().with_driver("devicemapper"), options, files: scratch() })
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        self.nacre.command(self.options.iter().map(String::as_str).chain(args.iter().copied()))
    }

    fn run(&self, args: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(args))
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        self.run(args).succeeded().trim().to_owned()
    }

    fn archive(&self, image: &Image) -> String {
        let path = self.files.path().join(image.reference.replace(':', "-"));
        std::fs::write(&path, image.oci_layout(Packing::Plain).tar()).unwrap();
        path.display().to_string()
    }

    #[track_caller]
    fn load(&self, image: &Image) {
        self.ok(&["load", "-q", "-i", &self.archive(image)]);
    }

    fn home(&self) -> PathBuf {
        self.nacre.root().join("devicemapper")
    }

    /// What the names of its devices begin with.
    fn prefix(&self) -> String {
        let home = std::fs::metadata(self.home()).unwrap();
        let (major, minor) = (rustix::fs::major(home.dev()), rustix::fs::minor(home.dev()));
        format!("nacre-{major}:{minor}-{}-", home.ino())
    }

    /// Its devices but for the pool.
    fn volumes_active(&self) -> Vec<String> {
        let (all, prefix) = (shell("dmsetup ls"), self.prefix());
        let names = all.lines().filter_map(|line| line.split_whitespace().next());
        names.filter(|n| n.starts_with(&prefix) && !n.ends_with("-pool")).map(str::to_owned).collect()
    }

    /// What a reboot does to devices.
    fn lose_devices(&self) {
        for volume in self.volumes_active() {
            shell(&format!("dmsetup remove --retry {volume}"));
        }
        let pool = format!("{}pool", self.prefix());
        shell(&format!("! dmsetup info {pool} >/dev/null 2>&1 || dmsetup remove --retry {pool}"));
        for file in ["data", "metadata"] {
            let file = self.home().join("devicemapper").join(file).display().to_string();
            shell(&format!("losetup -j {file} -O NAME -n | xargs -r losetup -d"));
        }
    }

    /// The numbers of the volumes by the pool's own tables, which are checked.
    fn numbers_in_pool(&self) -> BTreeSet<u64> {
        self.lose_devices();
        let tables = self.home().join("devicemapper/metadata").display().to_string();
        shell(&format!("thin_check -q {tables}"));
        let dump = shell(&format!("thin_dump {tables}"));
        let numbers = dump.split("dev_id=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        numbers.map(|number| number.parse().unwrap()).collect()
    }

    /// Every volume with its number by the records.
    fn records(&self) -> Vec<(String, u64)> {
        let mut records = Vec::new();
        for entry in std::fs::read_dir(self.home().join("metadata")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !name.contains(['-', '.']) {
                let text = std::fs::read(self.home().join("metadata").join(&name)).unwrap();
                let record: serde_json::Value = serde_json::from_slice(&text).unwrap();
                records.push((name, record["device_id"].as_u64().unwrap()));
            }
        }
        records.sort();
        records
    }

    /// The pool, the records and nacre say the same.
    #[track_caller]
    fn assert_agreed(&self, layers: usize, when: &str) {
        let check = self.run(&["system", "check"]);
        assert!(check.code == 0, "{when}: not in order\n{check}");
        let records = self.records();
        let recorded: BTreeSet<u64> = records.iter().map(|(_, number)| *number).collect();
        assert_eq!(recorded.len(), records.len(), "{when}: a number that two volumes have: {records:?}");
        let layers_recorded = records.iter().filter(|(name, _)| name != "base").count();
        assert_eq!(layers_recorded, layers, "{when}: {records:?}");
        assert_eq!(self.numbers_in_pool(), recorded, "{when}: the pool and the records");
        assert!(mounts_below(self.nacre.root()).is_empty(), "{when}: something is mounted");
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if self.home().exists() {
            nacre_tests::unmount_below(self.nacre.root());
            self.lose_devices();
        }
    }
}

fn two_layers() -> Image {
    Image::new("app:1")
        .layer(Tar::new().dir("d").file("d/kept", b"1").file("d/gone", b"2").finish())
        .layer(Tar::new().file("d/.wh.gone", b"").file("top", b"3").finish())
}

/// The main job: what is in an image is seen, what is changed is told and committed, and all of it goes.
fn main_job(bed: &Bed) {
    bed.load(&two_layers());
    assert!(bed.volumes_active().is_empty(), "an image that nobody uses needs no device");
    bed.ok(&["create", "--name", "box", "app:1", "/x"]);
    let tree = PathBuf::from(bed.ok(&["mount", "box"]));
    assert!(tree.ends_with("rootfs") && tree.starts_with(bed.home().join("mnt")), "{tree:?}");
    assert_eq!(std::fs::read(tree.join("d/kept")).unwrap(), b"1");
    assert!(!tree.join("d/gone").exists());
    std::fs::write(tree.join("d/new"), "new").unwrap();
    std::fs::remove_file(tree.join("top")).unwrap();
    bed.ok(&["umount", "box"]);
    assert!(bed.volumes_active().is_empty());
    let mut told: Vec<_> = bed.ok(&["diff", "box"]).lines().map(str::to_owned).collect();
    told.sort();
    assert_eq!(told, ["A /d/new", "C /d", "D /top"]);

    bed.ok(&["commit", "box", "app:2"]);
    bed.ok(&["create", "--name", "next", "app:2", "/x"]);
    let tree = PathBuf::from(bed.ok(&["mount", "next"]));
    assert_eq!(std::fs::read(tree.join("d/new")).unwrap(), b"new");
    assert!(!tree.join("top").exists());
    bed.ok(&["umount", "next"]);
    bed.assert_agreed(5, "all is there");
    bed.ok(&["rm", "box", "next"]);
    bed.ok(&["rmi", "app:1", "app:2"]);
    bed.assert_agreed(0, "all is gone");
}

#[test]
fn the_main_job_is_done_by_devicemapper() {
    let Some(bed) = Bed::with([].iter()) else { return };
    if is_too_long("devicemapper's main job with Debian and python3 (five minutes)") {
        return;
    }
    super::drivers::main_job_of(&bed.nacre, "devicemapper with its defaults");
}

#[test]
fn images_and_containers_live_in_a_pool_on_files() {
    for fs in ["ext4", "xfs"] {
        let Some(bed) = Bed::new(&[&format!("fs={fs}")]) else { return };
        main_job(&bed);
        for file in
            ["devicemapper/data", "devicemapper/metadata", "metadata/base", "metadata/deviceset-metadata"]
        {
            assert!(bed.home().join(file).is_file(), "{file}");
        }
    }
}

#[test]
fn images_and_containers_live_in_a_pool_on_devices() {
    let devices = scratch();
    let attach = |name: &str, size: &str| {
        let file = devices.path().join(name).display().to_string();
        shell(&format!("truncate -s {size} {file} && losetup -f --show {file}")).trim().to_owned()
    };
    let Some(probe) = Bed::new(&[]) else { return };
    drop(probe);
    let (data, metadata) = (attach("data", "2G"), attach("metadata", "16M"));
    let bed = Bed::new(&[&format!("datadev={data}"), &format!("metadatadev={metadata}")]).unwrap();
    for (device, make) in [(&data, "mkfs.ext4 -q -F"), (&metadata, "mkswap -q")] {
        shell(&format!("{make} {device}"));
        let used = bed.run(&["load", "-q", "-i", &bed.archive(&two_layers())]).failed();
        assert!(used.stderr.contains(&format!("{device} holds something already")), "{used}");
        shell(&format!("dd if=/dev/zero of={device} bs=1M count=1 status=none"));
    }
    bed.load(&two_layers());
    bed.ok(&["create", "--name", "box", "app:1", "/x"]);
    let tree = PathBuf::from(bed.ok(&["mount", "box"]));
    assert_eq!(std::fs::read(tree.join("top")).unwrap(), b"3");
    bed.ok(&["umount", "box"]);
    assert!(!bed.home().join("devicemapper/data").exists(), "no file where there are devices");

    // The options need not be said again, and those of another day cannot move the pool.
    bed.nacre.ok(["mount", "box"]);
    bed.nacre.ok(["umount", "box"]);
    let other = format!("dm.datadev={metadata}");
    let elsewhere = bed.nacre.run([
        "--storage-opt",
        &other,
        "--storage-opt",
        &format!("dm.metadatadev={data}"),
        "mount",
        "box",
    ]);
    let elsewhere = elsewhere.failed();
    assert!(elsewhere.stderr.contains(&format!("was made on {data} and {metadata}")), "{elsewhere}");
    bed.ok(&["rm", "box"]);
    bed.ok(&["rmi", "app:1"]);
    drop(bed);
    shell(&format!("losetup -d {data} {metadata}"));
}

#[test]
fn a_pool_comes_back_after_a_reboot() {
    let Some(bed) = Bed::new(&[]) else { return };
    bed.load(&two_layers());
    bed.ok(&["create", "--name", "box", "app:1", "/x"]);
    let write = |text: &str| {
        let tree = PathBuf::from(bed.ok(&["mount", "box"]));
        std::fs::write(tree.join("kept"), text).unwrap();
        bed.ok(&["umount", "box"]);
    };
    write("before");
    bed.lose_devices();
    let tree = PathBuf::from(bed.ok(&["mount", "box"]));
    assert_eq!(std::fs::read(tree.join("kept")).unwrap(), b"before");
    bed.ok(&["umount", "box"]);
    bed.ok(&["rm", "box"]);
}

#[test]
fn what_is_kept_in_the_kernel_is_ended_unless_something_is_mounted() {
    let Some(bed) = Bed::new(&[]) else { return };
    bed.load(&two_layers());
    bed.ok(&["create", "--name", "box", "app:1", "/x"]);
    bed.ok(&["mount", "box"]);
    let refused = bed.run(&["driver", "release"]).failed();
    assert!(refused.stderr.contains("in use"), "{refused}");
    bed.ok(&["umount", "box"]);
    let ended = bed.ok(&["driver", "release"]);
    assert_eq!(ended.lines().count(), 3, "a pool and two loop devices: {ended}");
    assert!(!shell("dmsetup ls").contains(&bed.prefix()));
    assert_eq!(bed.ok(&["driver", "release"]), "");
    let tree = PathBuf::from(bed.ok(&["mount", "box"]));
    assert_eq!(std::fs::read(tree.join("top")).unwrap(), b"3");
    bed.ok(&["umount", "box"]);
    bed.ok(&["rm", "box"]);
}

#[test]
fn a_pool_whose_files_are_away_is_not_made_anew() {
    let Some(bed) = Bed::new(&[]) else { return };
    bed.load(&two_layers());
    bed.ok(&["create", "--name", "box", "app:1", "/x"]);
    for file in ["data", "metadata"] {
        bed.lose_devices();
        let (here, away) = (bed.home().join("devicemapper").join(file), bed.home().join("devicemapper/away"));
        std::fs::rename(&here, &away).unwrap();
        let refused = bed.run(&["mount", "box"]).failed();
        assert!(refused.stderr.contains("is not there") && refused.stderr.contains(file), "{refused}");
        bed.run(&["create", "app:1", "/x"]).failed();
        assert!(!here.exists(), "an empty file was made in its place");
        std::fs::rename(&away, &here).unwrap();
        let tree = PathBuf::from(bed.ok(&["mount", "box"]));
        assert_eq!(std::fs::read(tree.join("top")).unwrap(), b"3");
        bed.ok(&["umount", "box"]);
    }
    bed.assert_agreed(3, "the files are back");
    bed.ok(&["rm", "box"]);
}

#[test]
fn a_container_may_be_larger_than_its_image() {
    for fs in ["ext4", "xfs"] {
        let Some(bed) = Bed::new(&[&format!("fs={fs}")]) else { return };
        bed.load(&two_layers());
        bed.ok(&["create", "--name", "large", "--storage-opt", "size=2G", "app:1", "/x"]);
        let tree = bed.ok(&["mount", "large"]);
        let size: u64 = shell(&format!("df --output=size -B1 {tree} | tail -n 1")).trim().parse().unwrap();
        assert!(size > 1 << 30, "{fs}: {size}");
        bed.ok(&["umount", "large"]);
        let small = bed.run(&["create", "--storage-opt", "size=1M", "app:1", "/x"]).failed();
        assert!(small.stderr.contains("size"), "{small}");
        bed.ok(&["rm", "large"]);
    }
}

#[test]
fn a_pool_with_little_room_refuses_new_layers_and_goes_on_when_there_is_room() {
    let Some(bed) = Bed::new(&["fs=ext4", "loopdatasize=160M", "min_free_space=30%"]) else { return };
    bed.load(&two_layers());
    bed.ok(&["create", "--name", "box", "app:1", "/x"]);
    let tree = PathBuf::from(bed.ok(&["mount", "box"]));
    std::fs::write(tree.join("large"), vec![7; 90 << 20]).unwrap();
    bed.ok(&["umount", "box"]);

    let refused = bed.run(&["create", "--name", "next", "app:1", "/x"]).failed();
    assert!(refused.stderr.contains("30 % must stay free"), "{refused}");
    // Nothing is lost: what is there can be read, and the refused layer has left nothing.
    let tree = PathBuf::from(bed.ok(&["mount", "box"]));
    assert_eq!(std::fs::metadata(tree.join("large")).unwrap().len(), 90 << 20);
    bed.ok(&["umount", "box"]);
    bed.assert_agreed(3, "one was refused");
    bed.ok(&["rm", "box"]);
    bed.ok(&["create", "--name", "next", "app:1", "/x"]);
    bed.ok(&["rm", "next"]);
}

#[test]
fn a_layer_that_the_pool_has_no_room_for_is_refused_whole_and_the_pool_goes_on() {
    for fs in ["ext4", "xfs"] {
        let Some(bed) = Bed::new(&[&format!("fs={fs}"), "loopdatasize=128M", "min_free_space=1%"]) else {
            return;
        };
        bed.load(&two_layers());
        // Not in the memory of this process: the lane has little.
        let files = bed.files.path().display();
        shell(&format!(
            "cd {files}; head -c 130M /dev/zero | tr '\\0' x > large; tar -cf large.tar large; rm large"
        ));
        let refused = bed.run(&["import", &format!("{files}/large.tar"), "large:1"]).failed();
        // Either the file system on it runs full first, or the pool.
        let full = ["No space left", "is full"].iter().any(|why| refused.stderr.contains(why));
        assert!(full, "{fs}: {refused}");
        bed.ok(&["ps", "-a"]);
        bed.assert_agreed(2, fs);
        bed.ok(&["create", "--name", "box", "app:1", "/x"]);
        let tree = PathBuf::from(bed.ok(&["mount", "box"]));
        assert_eq!(std::fs::read(tree.join("top")).unwrap(), b"3");
        bed.ok(&["umount", "box"]);
        bed.ok(&["rm", "box"]);
    }
}
