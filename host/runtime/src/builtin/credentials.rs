//! Turns the helper, which is all-powerful root, into the container's user.

use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::defaults;
use crate::error::{Error, Result};
use crate::user::User;

/// Switches to `user` with no more than the default capabilities. They are in the bounding set, so that
/// root has them after the program is executed and another user gets them from a setuid program only.
pub(super) fn become_user(user: &User) -> Result<()> {
    let allowed = default_capabilities();
    let failed = |error: rustix::io::Errno| Error::system("drop capabilities", error);
    for capability in CapabilitySet::all().iter().filter(|capability| !allowed.contains(*capability)) {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // This kernel is older than that capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    rustix::thread::clear_ambient_capability_set().map_err(failed)?;
    switch_ids(user)?;
    if user.uid == 0 {
        let sets =
            CapabilitySets { effective: allowed, permitted: allowed, inheritable: CapabilitySet::empty() };
        rustix::thread::set_capabilities(None, sets).map_err(failed)?;
    }
    Ok(())
}

fn switch_ids(user: &User) -> Result<()> {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
    let failed = |error: nix::errno::Errno| Error::system("switch to the container's user", error);
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    setgroups(&groups).map_err(failed)?;
    setresgid(gid, gid, gid).map_err(failed)?;
    setresuid(uid, uid, uid).map_err(failed)
}

fn default_capabilities() -> CapabilitySet {
    defaults::CAPABILITIES
        .iter()
        .filter_map(|name| CapabilitySet::from_name(name.strip_prefix("CAP_")?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_capability_is_known() {
        assert_eq!(default_capabilities().iter().count(), defaults::CAPABILITIES.len());
    }
}
