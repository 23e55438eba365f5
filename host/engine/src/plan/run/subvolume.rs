//! Subvolumes of btrfs, and limits on what trees take up.

use nacre_plugin::plan::{Limit, SubvolumeCreate, SubvolumeSnapshot};
use nacre_plugin::types::Place;
use nacre_sys::{btrfs, quota};

use super::{Done, is_there};
use crate::plan::Roots;

pub(super) fn create(roots: &Roots, s: &SubvolumeCreate) -> Done {
    btrfs::create_subvolume(roots.own(&s.at)?, &s.at.path, s.mode)
}

pub(super) fn snapshot(roots: &Roots, s: &SubvolumeSnapshot) -> Done {
    btrfs::snapshot(&roots.open_place(&s.source)?, roots.own(&s.target)?, &s.target.path)
}

/// One that is gone is no error.
pub(super) fn delete(roots: &Roots, place: &Place) -> Done {
    btrfs::delete_subvolume(roots.own(place)?, &place.path)
}

/// Undo what made a subvolume, if it was made.
pub(super) fn discard(roots: &Roots, place: &Place) -> Done {
    if is_there(roots, place)? { delete(roots, place) } else { Ok(()) }
}

pub(super) fn limit(roots: &Roots, s: &Limit) -> Done {
    quota::limit(&roots.open_own(&s.at)?, s.bytes, s.inodes)
}
