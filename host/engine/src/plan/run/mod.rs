//! Running steps, and undoing them.

mod subvolume;
mod thin;
mod union;
pub(crate) mod zfs;

use std::collections::BTreeSet;
use std::ffi::OsStr;

use nacre_plugin::plan::{CopyTree, MountAufs, MountOverlay, OverlayOption, Sharing, Step};
use nacre_plugin::types::{Place, Root};
use nacre_sys::mount::{self, OverlayMount, OverlayOptions};

use rustix::fs::{Mode, OFlags};

use super::Roots;
use super::check::is_layer_id;

/// A step that failed.
#[derive(Debug)]
pub(crate) struct StepFault {
    /// Counted from 1.
    pub number: usize,
    /// Its kind.
    pub kind: &'static str,
    /// What the kernel said.
    pub source: nacre_sys::Error,
}

pub(crate) use union::settled;

pub(crate) use thin::{delete as delete_volume, has_pool, layers as volumes, release as release_pool};

/// Each lower directory of a mount is held open; above this many the usual limit may be too low.
const MANY_LOWERS: usize = 200;

type Done = Result<(), nacre_sys::Error>;

/// Run all steps. `serving` is for the server of a union; `boundary` is called before the first one, and after each.
pub(crate) fn run(
    steps: &[Step],
    roots: &Roots,
    serving: &OsStr,
    mut boundary: impl FnMut(usize),
) -> Result<(), StepFault> {
    boundary(0);
    for (i, step) in steps.iter().enumerate() {
        run_step(step, roots, serving).map_err(|source| StepFault {
            number: i + 1,
            kind: step.name(),
            source,
        })?;
        boundary(i + 1);
    }
    Ok(())
}

/// Undo steps, the last one first. Steps that were never run are undone as well, so each undo is content
/// with finding nothing.
pub(crate) fn undo(steps: &[Step], roots: &Roots) -> Result<(), StepFault> {
    steps.iter().enumerate().rev().try_for_each(|(i, step)| {
        undo_step(step, roots).map_err(|source| StepFault { number: i + 1, kind: step.name(), source })
    })
}

/// Wait until what the steps made is on the disk: files, and the directories that name them.
pub(crate) fn sync(steps: &[Step], roots: &Roots) -> Done {
    let mut made: BTreeSet<(u8, &str)> = BTreeSet::new();
    for step in steps {
        let (at, is_file) = match step {
            Step::MakeDir(s) => (&s.at, false),
            Step::EnsureDir(s) => (&s.at, false),
            Step::Symlink(s) => (&s.at, false),
            Step::WriteFile(s) => (&s.at, true),
            // What these bring may be of any size.
            Step::CopyTree(_)
            | Step::Rename(_)
            | Step::SubvolumeCreate(_)
            | Step::SubvolumeSnapshot(_)
            | Step::Limit(_) => return nacre_sys::sync::syncfs(roots.home()),
            _ => continue,
        };
        let parent = at.path.rsplit_once('/').map_or(".", |(parent, _)| parent);
        made.insert((at.root as u8, parent));
        if is_file {
            made.insert((at.root as u8, &at.path));
        }
    }
    for (root, path) in made {
        let dir = roots.dir(if root == Root::Home as u8 { Root::Home } else { Root::Run });
        nacre_sys::sync::fsync(&dir.open_beneath(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)?;
    }
    Ok(())
}

fn run_step(step: &Step, roots: &Roots, serving: &OsStr) -> Done {
    match step {
        Step::MakeDir(s) => roots.own(&s.at)?.make_dir(&s.at.path, s.mode).map(drop),
        Step::EnsureDir(s) => roots.own(&s.at)?.ensure_dir(&s.at.path, s.mode).map(drop),
        Step::WriteFile(s) => roots.own(&s.at)?.write_atomic(&s.at.path, &s.content, s.mode),
        Step::Symlink(s) => roots.own(&s.at)?.symlink(&s.at.path, &s.target),
        Step::Rename(s) => rename(roots, &s.source, &s.target),
        Step::CopyTree(s) => copy_tree(roots, s),
        Step::SubvolumeCreate(s) => subvolume::create(roots, s),
        Step::SubvolumeSnapshot(s) => subvolume::snapshot(roots, s),
        Step::SubvolumeDelete(place) => subvolume::delete(roots, place),
        Step::Limit(s) => subvolume::limit(roots, s),
        Step::RemoveTree(place) => remove(roots, place),
        Step::MountOverlay(s) => mount_overlay(roots, s),
        Step::MountBind(s) => {
            let source =
                if s.read_only { roots.open_place(&s.source)? } else { roots.open_own(&s.source)? };
            mount::bind(&source, &roots.open_own(&s.target)?, s.read_only)
        }
        Step::MountTmpfs(s) => mount::tmpfs(&roots.open_own(&s.target)?, s.size, s.mode),
        Step::ZfsCreate(dataset) => zfs::create(roots, dataset),
        Step::ZfsSnapshot(s) => zfs::snapshot(roots, s),
        Step::ZfsClone(s) => zfs::clone(roots, s),
        Step::ZfsSet(s) => zfs::set(roots, s),
        Step::ZfsDestroy(dataset) => zfs::destroy(roots, dataset),
        Step::ZfsDestroySnapshot(s) => zfs::destroy_snapshot(roots, s),
        Step::MountZfs(s) => zfs::mount(roots, s),
        Step::MountAufs(s) => mount_aufs(roots, s),
        Step::MountUnion(s) => union::mount(roots, s, serving),
        Step::Unmount(place) => unmount(roots, place),
        // Committed with the records that name the plan's outcome, see `journal`.
        Step::SetState(_) | Step::RemoveState(_) => Ok(()),
        Step::ThinPool(s) => thin::pool(roots, s),
        Step::ThinCreate(s) => thin::create(roots, s),
        Step::ThinSnapshot(s) => thin::snapshot(roots, s),
        Step::ThinActivate(volume) => thin::activate(roots, volume),
        Step::ThinMount(s) => thin::mount(roots, s),
        Step::ThinSync(s) => thin::sync(roots, s),
        Step::ThinDeactivate(volume) => thin::deactivate(roots, volume),
        Step::ThinDelete(volume) => thin::delete(roots, volume),
    }
}

fn undo_step(step: &Step, roots: &Roots) -> Done {
    match step {
        Step::MakeDir(s) => discard(roots, &s.at),
        Step::WriteFile(s) => {
            discard(roots, &s.at)?;
            let parent = s.at.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            roots.dir(s.at.root).sweep_temporary(parent)
        }
        Step::Symlink(s) => discard(roots, &s.at),
        Step::CopyTree(s) => discard(roots, &s.target),
        Step::SubvolumeCreate(s) => subvolume::discard(roots, &s.at),
        Step::SubvolumeSnapshot(s) => subvolume::discard(roots, &s.target),
        Step::Rename(s) => {
            if is_there(roots, &s.target)? && !is_there(roots, &s.source)? {
                rename(roots, &s.target, &s.source)?;
            }
            Ok(())
        }
        Step::MountOverlay(s) => end_mount(roots, &s.target),
        Step::MountBind(s) => end_mount(roots, &s.target),
        Step::MountTmpfs(s) => end_mount(roots, &s.target),
        Step::ZfsCreate(dataset) => zfs::destroy(roots, dataset),
        Step::ZfsSnapshot(s) => zfs::destroy_snapshot(roots, s),
        Step::ZfsClone(s) => zfs::destroy(roots, &s.target),
        Step::MountZfs(s) => end_mount(roots, &s.target),
        Step::MountAufs(s) => end_mount(roots, &s.target),
        Step::MountUnion(s) => end_mount(roots, &s.target),
        Step::ThinCreate(s) => thin::discard(roots, &s.volume),
        Step::ThinSnapshot(s) => thin::discard(roots, &s.volume),
        Step::ThinActivate(volume) => thin::deactivate(roots, volume),
        Step::ThinMount(s) => end_mount(roots, &s.target),
        Step::EnsureDir(_)
        | Step::ThinPool(_)
        | Step::ThinSync(_)
        | Step::ThinDeactivate(_)
        | Step::ThinDelete(_)
        | Step::RemoveTree(_)
        | Step::SubvolumeDelete(_)
        | Step::Limit(_)
        | Step::ZfsSet(_)
        | Step::ZfsDestroy(_)
        | Step::ZfsDestroySnapshot(_)
        | Step::Unmount(_)
        | Step::SetState(_)
        | Step::RemoveState(_) => Ok(()),
    }
}

/// What is not named after a layer could hold other layers: only a file, a link or an empty directory goes.
fn remove(roots: &Roots, place: &Place) -> Done {
    let dir = roots.own(place)?;
    match place.path.split('/').any(is_layer_id) {
        true => dir.remove_tree(&place.path),
        false => dir.remove(&place.path).map(drop),
    }
}

fn rename(roots: &Roots, source: &Place, target: &Place) -> Done {
    roots.own(target)?;
    roots.own(source)?.rename(&source.path, &target.path)
}

fn copy_tree(roots: &Roots, s: &CopyTree) -> Done {
    let target = roots.own(&s.target)?;
    match s.sharing {
        Sharing::Data => roots.dir(s.source.root).copy_tree(&s.source.path, target, &s.target.path).map(drop),
        // What is linked is named as it was checked.
        Sharing::Files => roots.own(&s.source)?.link_tree(&s.source.path, target, &s.target.path).map(drop),
    }
}

fn unmount(roots: &Roots, place: &Place) -> Done {
    nacre_sys::zfs::unmount(roots.own(place)?, &place.path).map(drop)
}

/// Undo what made a place, if it was made.
fn discard(roots: &Roots, place: &Place) -> Done {
    if is_there(roots, place)? { remove(roots, place) } else { Ok(()) }
}

/// Undo a mount, if it was made.
fn end_mount(roots: &Roots, place: &Place) -> Done {
    if is_there(roots, place)? { unmount(roots, place) } else { Ok(()) }
}

/// Whether there is something. Where a step could not have made anything, there is nothing of its.
fn is_there(roots: &Roots, place: &Place) -> Result<bool, nacre_sys::Error> {
    match roots.own(place) {
        Err(nacre_sys::Error::Escape { .. }) => Ok(false),
        dir => dir?.exists(&place.path),
    }
}

fn mount_overlay(roots: &Roots, s: &MountOverlay) -> Done {
    if s.lowers.len() > MANY_LOWERS {
        nacre_sys::proc::raise_open_files()?;
    }
    let lowers = s.lowers.iter().map(|place| roots.open_place(place)).collect::<Result<Vec<_>, _>>()?;
    let upper = match &s.upper {
        Some(u) => Some((roots.open_own(&u.upper)?, roots.open_own(&u.work)?)),
        None => None,
    };
    let incomplete = |error: nacre_union::Error| nacre_sys::Error::Mount {
        kind: "overlay",
        target: roots.absolute(&s.target),
        step: "complete the writable layer".to_owned(),
        log: Vec::new(),
        source: std::io::Error::other(error.to_string()),
    };
    let settled = s.upper.as_ref().map(|u| union::settle(roots, u, &s.lowers, &s.target));
    let _settled = settled.transpose().map_err(incomplete)?;
    let mut overlay = OverlayMount::new(lowers).options(options(&s.options));
    if let Some((upper, work)) = upper {
        overlay = overlay.upper(upper, work);
    }
    overlay.mount(&roots.open_own(&s.target)?)
}

fn mount_aufs(roots: &Roots, s: &MountAufs) -> Done {
    let lowers = s.lowers.iter().map(|place| roots.open_place(place)).collect::<Result<Vec<_>, _>>()?;
    let upper = s.upper.as_ref().map(|place| roots.open_own(place)).transpose()?;
    mount::aufs(&lowers, upper.as_ref(), &roots.open_own(&s.target)?)
}

fn options(given: &[OverlayOption]) -> OverlayOptions {
    let mut options = OverlayOptions::default();
    for option in given {
        match option {
            OverlayOption::Index(on) => options.index = Some(*on),
            OverlayOption::Metacopy(on) => options.metacopy = Some(*on),
            OverlayOption::RedirectDir(on) => options.redirect_dir = Some(*on),
            OverlayOption::Volatile => options.volatile = true,
            OverlayOption::Userxattr => options.userxattr = true,
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use nacre_sys::dir::Dir;

    use super::*;

    #[test]
    fn a_folder_that_is_not_named_after_a_layer_goes_only_if_nothing_is_in_it() {
        let temp = tempfile::tempdir().unwrap();
        let roots =
            Roots::open(&Dir::open(temp.path()).unwrap(), &Dir::open(temp.path()).unwrap(), "d").unwrap();
        let home = roots.home().path().to_owned();
        let layer = "a".repeat(64);
        std::fs::create_dir_all(home.join("common").join(&layer)).unwrap();
        let place = |path: &str| Place { root: Root::Home, path: path.to_owned() };
        let remove = |path: &str| run_step(&Step::RemoveTree(place(path)), &roots, OsStr::new(""));
        remove("common").unwrap_err();
        remove(&format!("common/{layer}")).unwrap();
        remove("common").unwrap();
        remove("common").unwrap();
        assert!(!home.join("common").exists());
    }
}
