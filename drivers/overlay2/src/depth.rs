//! How long a chain may be.
//!
//! The longest is counted with a container's writable layer on top, and a layer that would make a longer chain
//! possible only to fail at the mount is refused when it is created.

use nacre_driver_sdk::{DepthFault, Facts, LayerKind, OverlayFacts, Refusal, Requirement};

use crate::layer::{LINKS, SHORT_LEN};

/// dockerd's own limit where the lower layers go through mount(2)'s option string.
const DOCKER_LOWERS: u32 = 128;

/// The longest that the rest of the option string gets: everything that [`crate::mount`] may ask for.
const OTHER_OPTIONS: u32 = (concat!(
    "lowerdir=",
    ",upperdir=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef/diff",
    ",workdir=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef/work",
    ",index=off,metacopy=off,redirect_dir=off,volatile"
))
.len() as u32;

/// One lower directory in the option string, `l/<short name>` and a colon.
const LOWER: u32 = (LINKS.len() + 1 + SHORT_LEN + 1) as u32;

/// The most layers in a chain, the writable one included.
pub(crate) fn limit(overlay: &OverlayFacts) -> u32 {
    if overlay.lowers_one_by_one {
        return overlay.max_lowers;
    }
    let room = overlay.max_option_bytes.saturating_sub(OTHER_OPTIONS);
    (room / LOWER).min(DOCKER_LOWERS).min(overlay.max_lowers)
}

/// Refuse a layer on a chain of `parents` that is too long to be mounted.
pub(crate) fn check(facts: &Facts, parents: usize, kind: LayerKind) -> Result<(), Refusal> {
    let overlay = facts.overlay.as_ref().ok_or(Refusal::Unsupported(Requirement::Overlay))?;
    let writable = match kind {
        LayerKind::Image => 1,
        LayerKind::Container => 0,
    };
    let depth = u32::try_from(parents + 1 + writable).unwrap_or(u32::MAX);
    let limit = limit(overlay);
    if depth > limit { Err(Refusal::TooDeep(DepthFault { depth, limit })) } else { Ok(()) }
}
