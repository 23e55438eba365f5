//! nacre's own union: mounts that it serves, and layers that nobody else can read yet.

use std::ffi::OsStr;
use std::path::PathBuf;

use nacre_plugin::plan::{MountUnion, OverlayUpper, Step};
use nacre_plugin::types::{Place, Whiteouts};
use nacre_sys::dir::Dir;
use nacre_union::Layer;
use nacre_union::fuse::Service;
use nacre_union::live::{Settled, unsettled};

use super::{Done, Roots};

/// The server opens the directories by their paths: it is another process, and outlives this one. `serving` is what it
/// is told beside them.
pub(super) fn mount(roots: &Roots, s: &MountUnion, serving: &OsStr) -> Done {
    // Paths without a symbolic link, of what is there.
    roots.open_own(&s.target)?;
    let service = service(roots, s.upper.as_ref(), &s.lowers, &s.target, s.format)?;
    nacre_union::fuse::start(&service, serving)
}

/// Have a writable layer complete that steps like these mount, and hold it so: of a file that the union copied up in
/// part some data is only below ([`nacre_union::live`]). None where there is no such layer yet.
pub(crate) fn settled(steps: &[Step], roots: &Roots) -> Result<Option<Settled>, nacre_union::Error> {
    let found = steps.iter().find_map(|step| match step {
        Step::MountOverlay(s) => Some((s.upper.as_ref()?, &s.lowers, &s.target)),
        Step::MountUnion(s) if s.format == Whiteouts::Overlay => {
            Some((s.upper.as_ref()?, &s.lowers, &s.target))
        }
        _ => None,
    });
    let Some((upper, lowers, target)) = found else { return Ok(None) };
    match is_there(roots, upper)? {
        true => settle(roots, upper, lowers, target).map(Some),
        false => Ok(None),
    }
}

/// The same for a mount that is about to be made.
pub(super) fn settle(
    roots: &Roots,
    upper: &OverlayUpper,
    lowers: &[Place],
    target: &Place,
) -> Result<Settled, nacre_union::Error> {
    let layer = Layer::new(roots.open_own(&upper.upper)?, nacre_union::Whiteouts::Overlay);
    let held = Settled::hold(&layer)?;
    if !unsettled(&roots.open_own(&upper.work)?)? {
        return Ok(held);
    }
    let service = service(roots, Some(upper), lowers, target, Whiteouts::Overlay)?;
    Ok(service.settle()?.unwrap_or(held))
}

fn is_there(roots: &Roots, upper: &OverlayUpper) -> Result<bool, nacre_sys::Error> {
    let exists = |place: &Place| roots.dir(place.root).exists(&place.path);
    Ok(exists(&upper.upper)? && exists(&upper.work)?)
}

fn service(
    roots: &Roots,
    upper: Option<&OverlayUpper>,
    lowers: &[Place],
    target: &Place,
    format: Whiteouts,
) -> Result<Service, nacre_sys::Error> {
    let real = |dir: Result<Dir, nacre_sys::Error>| dir?.real_path();
    let upper = match upper {
        Some(u) => Some((real(roots.open_own(&u.upper))?, real(roots.open_own(&u.work))?)),
        None => None,
    };
    Ok(Service {
        lowers: lowers
            .iter()
            .map(|place| real(roots.open_place(place)))
            .collect::<Result<Vec<PathBuf>, _>>()?,
        upper,
        at: roots.absolute(target),
        whiteouts: match format {
            Whiteouts::Aufs => nacre_union::Whiteouts::Aufs,
            Whiteouts::Overlay | Whiteouts::None => nacre_union::Whiteouts::Overlay,
        },
    })
}
