//! The machine's facts in the words of the contract.

use nacre_plugin::types::{Facts, Filesystem, KernelVersion, OverlayFacts};
use nacre_sys::dir::Dir;
use nacre_sys::facts as found;

use crate::Error;

/// Probe this machine, and the file system under a driver's home.
pub(crate) fn probe(home: &Dir) -> Result<Facts, Error> {
    let found::Facts { kernel, privileged, overlay, home, filesystems, tools } = found::probe(home.path())?;
    Ok(Facts {
        kernel: KernelVersion { major: kernel.major, minor: kernel.minor, patch: kernel.patch },
        privileged,
        overlay: overlay.map(|o| OverlayFacts {
            lowers_one_by_one: o.lowers_one_by_one,
            max_lowers: o.max_lowers,
            max_option_bytes: o.max_option_bytes,
            index: o.index,
            metacopy: o.metacopy,
            redirect_dir: o.redirect_dir,
            volatile: o.volatile,
            userxattr: o.userxattr,
        }),
        home: Filesystem {
            name: home.name,
            magic: home.magic,
            d_type: home.d_type,
            trusted_xattrs: home.trusted_xattrs,
            user_xattrs: home.user_xattrs,
            reflink: home.reflink,
            project_quota: home.project_quota,
        },
        filesystems,
        tools,
        zfs: None,
        thin_pools: false,
    })
}
