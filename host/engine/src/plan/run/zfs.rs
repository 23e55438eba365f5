//! Datasets of ZFS: where a driver has them, and the steps that make, mount and destroy them.

use nacre_plugin::plan::{MountZfs, ZfsClone, ZfsProperty, ZfsSet, ZfsSnapshot};
use nacre_plugin::types::{Setting, ZfsFacts};
use nacre_sys::dir::Dir;
use nacre_sys::{xattr, zfs};

use super::Done;
use crate::Error;
use crate::plan::Roots;

/// The option that names the base dataset (`wit/types.wit`, `zfs-facts`), as dockerd's `zfs.fsname`.
const OPTION: &str = "fsname";

/// Where the base dataset is kept once it was used: on the driver's home. Later commands must find the layers,
/// whatever options they are given.
const KEPT: &[u8] = b"trusted.nacre.zfs";

/// The dataset that a driver's own are below.
#[derive(Debug, Clone)]
pub(crate) struct Base(String);

impl Base {
    /// The base dataset of a driver; none where there is none, or ZFS cannot be used.
    pub(crate) fn find(home: &Dir, driver: &str, settings: &[Setting]) -> Result<Option<Self>, Error> {
        let asked =
            settings.iter().find(|setting| setting.name == OPTION).map(|setting| setting.value.as_str());
        let asked = asked.filter(|name| !name.is_empty()).map(str::to_owned);
        let kept = xattr::get(home, KEPT)?.and_then(|name| String::from_utf8(name).ok());
        if let (Some(kept), Some(asked)) = (&kept, &asked)
            && kept != asked
        {
            return Err(Error::Conflict {
                what: format!("the layers of the driver {driver} are in the dataset {kept}, not in {asked}"),
                help: format!("leave {driver}.{OPTION} out, or use another storage root"),
            });
        }
        let base = match asked.or(kept) {
            Some(name) => Some(name),
            None => zfs::dataset_of(home)?,
        };
        Ok(base.filter(|name| is_usable(name)).map(Self))
    }

    pub(crate) fn facts(&self) -> Result<ZfsFacts, Error> {
        Ok(ZfsFacts { base: self.0.clone(), legacy_mounts: zfs::has_legacy_mounts()? })
    }

    /// A dataset's full name.
    pub(crate) fn name(&self, dataset: &str) -> String {
        format!("{}/{dataset}", self.0)
    }
}

fn is_usable(dataset: &str) -> bool {
    zfs::exists(dataset).unwrap_or_else(|error| {
        tracing::debug!(%error, "ZFS cannot be used");
        false
    })
}

/// `tank/nacre/<dataset>@<name>`.
pub(crate) fn snapshot_name(snapshot: &ZfsSnapshot) -> String {
    format!("{}@{}", snapshot.of, snapshot.name)
}

fn full(roots: &Roots, dataset: &str) -> Result<String, nacre_sys::Error> {
    let lacks = || nacre_sys::Error::Lacks { path: roots.home().path().to_owned(), what: "dataset of ZFS" };
    Ok(roots.datasets().ok_or_else(lacks)?.name(dataset))
}

pub(super) fn create(roots: &Roots, dataset: &str) -> Done {
    let name = full(roots, dataset)?;
    let kept_now = match roots.datasets() {
        Some(Base(base)) => keep(roots.home(), base)?,
        None => false,
    };
    // It is kept before anything is in it, for whoever undoes this after a crash.
    zfs::create(&name).inspect_err(|_| {
        if kept_now && let Err(error) = xattr::remove(roots.home(), KEPT) {
            tracing::warn!(%error, "the dataset that was named is kept, and holds nothing");
        }
    })
}

/// Tells whether it was not kept before. A home that takes no such attribute leaves it to the user to name the dataset
/// each time.
fn keep(home: &Dir, base: &str) -> Result<bool, nacre_sys::Error> {
    if xattr::get(home, KEPT)?.is_some() {
        return Ok(false);
    }
    match xattr::set(home, KEPT, base.as_bytes()) {
        Err(e) if e.io_kind() == Some(std::io::ErrorKind::Unsupported) => Ok(false),
        done => done.map(|()| true),
    }
}

pub(super) fn snapshot(roots: &Roots, snapshot: &ZfsSnapshot) -> Done {
    zfs::snapshot(&full(roots, &snapshot_name(snapshot))?)
}

pub(super) fn clone(roots: &Roots, s: &ZfsClone) -> Done {
    zfs::clone(&full(roots, &snapshot_name(&s.source))?, &full(roots, &s.target)?)
}

pub(super) fn set(roots: &Roots, s: &ZfsSet) -> Done {
    let (property, value) = property(&s.property);
    zfs::set(&full(roots, &s.at)?, property, &value)
}

/// A property's name and value, as the `zfs` program takes them.
pub(crate) fn property(property: &ZfsProperty) -> (&'static str, String) {
    let size = |bytes: u64| if bytes == 0 { "none".to_owned() } else { bytes.to_string() };
    match property {
        ZfsProperty::Quota(bytes) => ("quota", size(*bytes)),
        ZfsProperty::Refquota(bytes) => ("refquota", size(*bytes)),
    }
}

/// One that is gone is no error.
pub(super) fn destroy(roots: &Roots, dataset: &str) -> Done {
    zfs::destroy(&full(roots, dataset)?).map(drop)
}

/// One that is gone is no error.
pub(super) fn destroy_snapshot(roots: &Roots, snapshot: &ZfsSnapshot) -> Done {
    zfs::destroy_snapshot(&full(roots, &snapshot_name(snapshot))?).map(drop)
}

pub(super) fn mount(roots: &Roots, s: &MountZfs) -> Done {
    zfs::mount(&full(roots, &s.source)?, &roots.open_own(&s.target)?, s.read_only)
}
