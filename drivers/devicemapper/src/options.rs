//! The options, with Docker's names and defaults (docs: storage drivers, `dm.*`), and what they come to.

use nacre_driver_sdk::{
    Facts, OptionFault, OptionReason, OptionSpec, PoolDevices, PoolFiles, PoolStorage, Refusal, Requirement,
    Setting, Settings, VolumeFormat, bytes, choice, text,
};

const GIB: u64 = 1 << 30;
/// Bytes in a sector.
const SECTOR: u64 = 512;
/// A pool's blocks are multiples of this.
const BLOCK_UNIT: u64 = 64 << 10;
const MAX_BLOCK: u64 = GIB;

pub(crate) fn specs() -> Vec<OptionSpec> {
    vec![
        bytes("basesize", 10 * GIB, "The size of each layer's volume; only what is written takes space."),
        choice(
            "fs",
            &["auto", "xfs", "ext4"],
            "auto",
            "The file system of the layers, from the first one on; `auto` is xfs where it is known, else ext4.",
        ),
        text("mkfsarg", "", "Further options for mkfs."),
        text("mountopt", "", "Further options for mounts, with commas."),
        text("datadev", "", "The block device of the pool's data, in place of a file."),
        text("metadatadev", "", "The block device of the pool's metadata, in place of a file."),
        text("thinpooldev", "", "A thin pool that is there, by its name in /dev/mapper."),
        bytes("loopdatasize", 100 * GIB, "The size of the sparse file of the pool's data, where it is made."),
        bytes("loopmetadatasize", 2 * GIB, "The size of the sparse file of the pool's metadata."),
        bytes("blocksize", BLOCK_UNIT, "The pool's block: a multiple of 64 KiB, at most 1 GiB."),
        text("min_free_space", "10%", "How much of the pool must be free for a new layer; 0% for nothing."),
        choice(
            "blkdiscard",
            &["auto", "true", "false"],
            "auto",
            "Hand the space of removed layers on to what is below the pool; `auto` where that is a file.",
        ),
        bytes("size", 0, "The size of a container's volume, at least `basesize`; 0 for its image's."),
    ]
}

/// The options of a call.
pub(crate) struct Options<'a> {
    settings: &'a [Setting],
    pub(crate) base_size: u64,
    pub(crate) size: Option<u64>,
    pub(crate) format: VolumeFormat,
    pub(crate) mount: &'a str,
    pub(crate) block_sectors: u32,
    pub(crate) reserve: u32,
    pub(crate) discard: bool,
}

impl<'a> Options<'a> {
    pub(crate) fn read(facts: &Facts, settings: &'a [Setting]) -> Result<Self, Refusal> {
        let base_size = settings.bytes("basesize")?;
        let size = Some(settings.bytes("size")?).filter(|size| *size > 0);
        if base_size == 0 || base_size % SECTOR != 0 {
            return Err(out_of_range("basesize"));
        }
        if size.is_some_and(|size| size < base_size || size % SECTOR != 0) {
            return Err(out_of_range("size"));
        }
        let options = Self {
            settings,
            base_size,
            size,
            format: format(facts, settings.text("fs")?)?,
            mount: settings.text("mountopt")?,
            block_sectors: block_sectors(settings.bytes("blocksize")?)?,
            reserve: percent(settings.text("min_free_space")?)
                .ok_or_else(|| out_of_range("min_free_space"))?,
            discard: match settings.text("blkdiscard")? {
                "auto" => settings.text("datadev")?.is_empty() && settings.text("thinpooldev")?.is_empty(),
                given => given == "true",
            },
        };
        options.storage()?;
        Ok(options)
    }

    /// What the pool lies on.
    pub(crate) fn storage(&self) -> Result<PoolStorage, Refusal> {
        let text = |name| self.settings.text(name).map(str::to_owned);
        let (data, metadata, pool) = (text("datadev")?, text("metadatadev")?, text("thinpooldev")?);
        match (data.is_empty(), metadata.is_empty(), pool.is_empty()) {
            (true, true, true) => Ok(PoolStorage::Files(PoolFiles {
                data_bytes: self.at_least("loopdatasize", BLOCK_UNIT)?,
                // Less than 2 MiB holds no pool (thin-provisioning.rst).
                metadata_bytes: self.at_least("loopmetadatasize", 2 << 20)?,
            })),
            (false, false, true) => Ok(PoolStorage::Devices(PoolDevices { data, metadata })),
            (true, true, false) => Ok(PoolStorage::Pool(name_of(&pool).to_owned())),
            (_, _, false) => Err(fault("thinpooldev", OptionReason::Conflict)),
            (true, ..) => Err(fault("metadatadev", OptionReason::Conflict)),
            (false, ..) => Err(fault("datadev", OptionReason::Conflict)),
        }
    }

    pub(crate) fn mkfs_arguments(&self) -> Vec<String> {
        let given = self.settings.text("mkfsarg").unwrap_or_default();
        given.split_whitespace().map(str::to_owned).collect()
    }

    fn at_least(&self, name: &str, least: u64) -> Result<u64, Refusal> {
        let given = self.settings.bytes(name)?;
        if given < least { Err(out_of_range(name)) } else { Ok(given) }
    }
}

/// Docker takes the name with and without its folder.
fn name_of(pool: &str) -> &str {
    pool.strip_prefix("/dev/mapper/").unwrap_or(pool)
}

fn format(facts: &Facts, wanted: &str) -> Result<VolumeFormat, Refusal> {
    let has = |format: &str| {
        facts.tools.iter().any(|tool| tool.strip_prefix("mkfs.") == Some(format))
            && facts.filesystems.iter().any(|known| known == format)
    };
    match wanted {
        "xfs" | "auto" if has("xfs") => Ok(VolumeFormat::Xfs),
        "ext4" | "auto" if has("ext4") => Ok(VolumeFormat::Ext4),
        _ => Err(Refusal::Unsupported(Requirement::FilesystemTools)),
    }
}

fn block_sectors(bytes: u64) -> Result<u32, Refusal> {
    if bytes == 0 || !bytes.is_multiple_of(BLOCK_UNIT) || bytes > MAX_BLOCK {
        return Err(out_of_range("blocksize"));
    }
    u32::try_from(bytes / SECTOR).map_err(|_| out_of_range("blocksize"))
}

/// `10%`, as Docker has it; the sign may be left out.
fn percent(text: &str) -> Option<u32> {
    text.strip_suffix('%').unwrap_or(text).parse().ok().filter(|percent| *percent < 100)
}

fn out_of_range(name: &str) -> Refusal {
    fault(name, OptionReason::OutOfRange)
}

fn fault(name: &str, reason: OptionReason) -> Refusal {
    Refusal::InvalidOption(OptionFault { name: name.into(), reason })
}
