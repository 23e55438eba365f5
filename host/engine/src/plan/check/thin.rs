//! What a plan may ask of a thin pool: the volumes of its own layer, and no file or device that the user did not
//! name.

use nacre_plugin::description::Grant;
use nacre_plugin::plan::{PoolStorage, Step, VolumeFormat};
use nacre_plugin::types::{Place, Root};

use super::{PlanFault, Rules, StepCheck, is_layer_id};

/// The folder of a home in which the host records a pool and its volumes (`wit/plan.wit`).
pub(crate) const KEPT_RECORDS: &str = "metadata";
/// dm-thin's bounds of a block, in sectors (drivers/md/dm-thin.c: `DATA_DEV_BLOCK_SIZE_*`).
const BLOCK: std::ops::RangeInclusive<u32> = 128..=2_097_152;
/// The most characters in the name of a volume that layers share.
const MAX_NAME: usize = 32;

/// Whether the host keeps an entry of a home for a component with the grant `thin`: that of the records, and that of a
/// pool's files, which has the driver's name.
pub(crate) fn is_kept(entry: &str, driver: &str) -> bool {
    entry == KEPT_RECORDS || entry == driver
}

/// What the host keeps can be touched by no other step, and belongs to no footprint.
pub(super) fn not_kept(place: &Place, rules: &Rules<'_>) -> Result<(), &'static str> {
    let first = place.path.split('/').next().unwrap_or_default();
    let kept =
        rules.grants.contains(&Grant::Thin) && place.root == Root::Home && is_kept(first, rules.driver);
    if kept { Err("it is a folder that the host keeps") } else { Ok(()) }
}

impl StepCheck<'_> {
    /// The steps that need the grant `thin`.
    pub(super) fn thin(&self) -> Result<(), PlanFault> {
        match self.step {
            Step::ThinPool(s) => {
                let block = BLOCK.contains(&s.block_sectors) && s.block_sectors.is_multiple_of(128);
                self.value(block, "a block of a size that thin pools do not have")?;
                match &s.storage {
                    PoolStorage::Files(on) => {
                        self.value(on.data_bytes > 0 && on.metadata_bytes > 0, "an empty file")
                    }
                    PoolStorage::Devices(on) => self.named(&on.data).and_then(|()| self.named(&on.metadata)),
                    PoolStorage::Pool(name) => self.named(name),
                }
            }
            Step::ThinCreate(s) => {
                let shared = !is_layer(&s.volume) && is_shared_name(&s.volume);
                self.value(
                    shared || s.volume == self.rules.layer,
                    "it is another layer's volume, or no name",
                )?;
                self.value(s.bytes > 0, "an empty volume")?;
                self.value(s.reserve < 100, "a reserve of 100 percent or more")?;
                self.value(are_harmless(s.format, &s.arguments), "an argument of mkfs that is not allowed")
            }
            Step::ThinSnapshot(s) => {
                let origin = is_layer(&s.origin) || is_shared_name(&s.origin);
                self.value(origin, "an origin that is no volume's name")?;
                self.value(s.reserve < 100, "a reserve of 100 percent or more")?;
                self.own_volume(&s.volume)
            }
            Step::ThinMount(s) => {
                self.value(s.options.split(',').all(is_mount_option), "a mount option that is not allowed")?;
                self.own_volume(&s.volume)?;
                self.own_tree(&s.target)
            }
            Step::ThinSync(s) => self.owned(&s.at),
            Step::ThinActivate(volume) | Step::ThinDeactivate(volume) | Step::ThinDelete(volume) => {
                self.own_volume(volume)
            }
            _ => Ok(()),
        }
    }

    fn own_volume(&self, volume: &str) -> Result<(), PlanFault> {
        self.value(volume == self.rules.layer, "it is the volume of another layer")
    }

    /// A device of the machine, in the user's own words.
    fn named(&self, device: &str) -> Result<(), PlanFault> {
        let mut values = self.rules.settings.iter().map(|setting| setting.value.as_str());
        let names = |value: &str| value == device || value.strip_prefix("/dev/mapper/") == Some(device);
        let named = !device.is_empty() && values.any(names);
        self.value(named, "it names a device that no option names")
    }
}

fn is_layer(name: &str) -> bool {
    is_layer_id(name) && !name.bytes().any(|b| b.is_ascii_uppercase())
}

/// The host's own records have a `-` in their names.
fn is_shared_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Mount options of ext4 (Documentation/admin-guide/ext4.rst) and XFS (Documentation/admin-guide/xfs.rst) that change
/// how fast and how safe a file system is, and nothing beside it: none names a file or a device, and none can stop the
/// machine, as `errors=panic` does.
const MOUNT_OPTIONS: &[&str] = &[
    "acl",
    "allocsize",
    "attr2",
    "auto_da_alloc",
    "barrier",
    "bsddf",
    "commit",
    "data",
    "data_err",
    "delalloc",
    "discard",
    "filestreams",
    "grpid",
    "i_version",
    "ikeep",
    "inode32",
    "inode64",
    "inode_readahead_blks",
    "journal_checksum",
    "journal_ioprio",
    "largeio",
    "lazytime",
    "lifetime",
    "logbsize",
    "logbufs",
    "max_batch_time",
    "max_dir_size_kb",
    "min_batch_time",
    "noacl",
    "noalign",
    "noatime",
    "noattr2",
    "noauto_da_alloc",
    "nobarrier",
    "nodelalloc",
    "nodiratime",
    "nodiscard",
    "nogrpid",
    "noikeep",
    "noinit_itable",
    "nolargeio",
    "nolazytime",
    "noquota",
    "nouser_xattr",
    "nouuid",
    "stripe",
    "sunit",
    "swalloc",
    "swidth",
    "user_xattr",
    "wsync",
];

fn is_mount_option(option: &str) -> bool {
    let name = option.split('=').next().unwrap_or_default();
    option.is_empty() || (MOUNT_OPTIONS.contains(&name) && !option.contains(['/', '\0']))
}

fn names_no_device(options: &str) -> bool {
    !options.contains(['/', '\0']) && !["dev=", "path="].iter().any(|word| options.contains(word))
}

/// Options of one letter with a value, among those that shape a file system and name nothing else. In `-d` XFS has
/// its data section, and ext4 a directory to copy.
fn are_harmless(format: VolumeFormat, arguments: &[String]) -> bool {
    let letters = match format {
        VolumeFormat::Ext4 => "bCEgGiIJmNOT",
        VolumeFormat::Xfs => "bdilmns",
    };
    let mut waits_for_value = false;
    let each = arguments.iter().all(|argument| {
        let harmless = !argument.contains('\0')
            && names_no_device(argument)
            && !["name", "file", "device"].iter().any(|word| argument.contains(word));
        let well_formed = match argument.strip_prefix('-').map(|rest| rest.chars().next()) {
            Some(Some(letter)) => letters.contains(letter) && !waits_for_value,
            _ => waits_for_value,
        };
        waits_for_value = argument.len() == 2 && argument.starts_with('-');
        harmless && well_formed
    });
    each && !waits_for_value
}

#[cfg(test)]
mod tests {
    use nacre_plugin::plan::{
        MakeDir, PoolDevices, PoolFiles, ThinCreate, ThinMount, ThinPool, ThinSnapshot, ThinSync,
    };
    use nacre_plugin::types::Setting;

    use super::super::{Rules, check};
    use super::*;

    fn own() -> String {
        "a".repeat(64)
    }

    fn home(path: &str) -> Place {
        Place { root: Root::Home, path: path.to_owned() }
    }

    fn judge(step: Step) -> Result<(), PlanFault> {
        let own = own();
        let rules = Rules {
            driver: "devicemapper",
            grants: &[Grant::Tree, Grant::Thin],
            layer: &own,
            footprint: &[home(&format!("mnt/{own}"))],
            shared: &["mnt".to_owned()],
            settings: &[Setting { name: "datadev".to_owned(), value: "/dev/sdb".to_owned() }],
            links: false,
        };
        check(&vec![step], &rules)
    }

    #[track_caller]
    fn refused(step: Step, words: &str) {
        let shown = format!("{step:?}");
        let fault = judge(step).expect_err(&shown).to_string();
        assert!(fault.contains(words), "{shown}\n{fault}");
    }

    fn create(volume: &str, format: VolumeFormat, arguments: &[&str]) -> Step {
        let arguments = arguments.iter().map(|&a| a.to_owned()).collect();
        Step::ThinCreate(ThinCreate { volume: volume.to_owned(), bytes: 1, format, arguments, reserve: 10 })
    }

    fn snapshot(origin: &str, volume: &str) -> Step {
        let (origin, volume) = (origin.to_owned(), volume.to_owned());
        Step::ThinSnapshot(ThinSnapshot { origin, volume, bytes: None, reserve: 0 })
    }

    fn mount(volume: String, options: &str) -> Step {
        let target = home(&format!("mnt/{}", own()));
        Step::ThinMount(ThinMount { volume, target, read_only: false, options: options.to_owned() })
    }

    fn pool(storage: PoolStorage) -> Step {
        Step::ThinPool(ThinPool { storage, block_sectors: 128, discard: true })
    }

    #[test]
    fn a_plan_changes_the_volume_of_its_own_layer_only() {
        let other = "b".repeat(64);
        assert_eq!(judge(snapshot(&other, &own())), Ok(()));
        assert_eq!(judge(snapshot("base", &own())), Ok(()));
        assert_eq!(judge(mount(own(), "noatime,discard")), Ok(()));
        let delete = Step::ThinDelete;
        assert_eq!(judge(delete(own())), Ok(()));
        for foreign in [other.clone(), "base".to_owned(), "../x".to_owned()] {
            refused(snapshot("base", &foreign), "another layer");
            refused(Step::ThinActivate(foreign.clone()), "another layer");
            refused(Step::ThinDeactivate(foreign.clone()), "another layer");
            refused(mount(foreign.clone(), ""), "another layer");
            refused(delete(foreign), "another layer");
        }
        refused(create(&other, VolumeFormat::Ext4, &[]), "another layer");
        refused(snapshot("deviceset-metadata", &own()), "no volume's name");
        refused(Step::ThinSync(ThinSync { at: home("mnt"), required: true }), "footprint");
    }

    #[test]
    fn what_the_host_keeps_is_touched_by_no_other_step() {
        for path in ["metadata", "metadata/base", "devicemapper/data"] {
            refused(Step::RemoveTree(home(path)), "the host keeps");
            refused(Step::MakeDir(MakeDir { at: home(path), mode: 0o700 }), "the host keeps");
        }
        refused(create("transaction-metadata", VolumeFormat::Ext4, &[]), "no name");
    }

    #[test]
    fn a_device_is_named_by_the_user_or_not_at_all() {
        let on = |data: &str, metadata: &str| {
            pool(PoolStorage::Devices(PoolDevices { data: data.to_owned(), metadata: metadata.to_owned() }))
        };
        assert_eq!(judge(on("/dev/sdb", "/dev/sdb")), Ok(()));
        refused(on("/dev/sdb", "/dev/sda"), "no option names");
        refused(on("", ""), "no option names");
        refused(pool(PoolStorage::Pool("vg-pool".to_owned())), "no option names");
        let files = PoolFiles { data_bytes: 1, metadata_bytes: 1 };
        assert_eq!(judge(pool(PoolStorage::Files(files))), Ok(()));
        let odd = ThinPool { storage: PoolStorage::Files(files), block_sectors: 100, discard: true };
        refused(Step::ThinPool(odd), "a block of a size");
    }

    #[test]
    fn arguments_and_options_name_no_file_and_no_device() {
        use VolumeFormat::{Ext4, Xfs};
        for (format, arguments) in [
            (Ext4, &["-i", "8192"][..]),
            (Ext4, &["-O", "^has_journal", "-m0"]),
            (Xfs, &["-d", "agcount=2"]),
            (Xfs, &["-m", "crc=0"]),
        ] {
            assert_eq!(judge(create("base", format, arguments)), Ok(()), "{arguments:?}");
        }
        for (format, arguments) in [
            (Ext4, &["-d", "."][..]),
            (Ext4, &["-d."]),
            (Ext4, &["-J", "device=sda"]),
            (Ext4, &["sda"]),
            (Ext4, &["-i", "8192", "sda"]),
            (Ext4, &["-i"]),
            (Xfs, &["-d", "file,name=x"]),
            (Xfs, &["-l", "logdev=sda"]),
            (Xfs, &["-p", "proto"]),
            (Xfs, &["-m", "../x"]),
        ] {
            refused(create("base", format, arguments), "argument of mkfs");
        }
        for options in ["journal_path=x", "logdev=sda", "data=/x", "discard,errors=panic", "no,such"] {
            refused(mount(own(), options), "mount option");
        }
        assert_eq!(judge(mount(own(), "discard,commit=30")), Ok(()));
    }
}
