//! Mounts.

use nacre_driver_sdk::{
    Facts, LayerKind, MountRequest, Mounted, OverlayFacts, OverlayOption, OverlayUpper, Place, Refusal,
    Requirement, Settings, ensure_dir, mount_bind, mount_overlay,
};

use crate::depth;
use crate::layer::Layer;
use crate::limit::{self, Limits};

/// The chain on `<id>/merged`. A single directory is shown by a bind mount: overlayfs wants two, or an upper
/// one.
pub(crate) fn plan(facts: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
    let layer = Layer::new(&request.id)?;
    let overlay = facts.overlay.as_ref().ok_or(Refusal::Unsupported(Requirement::Overlay))?;
    depth::check(facts, request.parents.len(), LayerKind::Container)?;
    let read_only = request.read_only || request.kind == LayerKind::Image;
    let target = layer.merged();
    let show = if request.parents.is_empty() {
        mount_bind(layer.diff(), &target, read_only)
    } else if read_only {
        let mut lowers = vec![layer.link()];
        lowers.extend(links(&request.parents)?);
        mount_overlay(lowers, None, &target, options(overlay))
    } else {
        let upper = OverlayUpper { upper: layer.diff(), work: layer.work() };
        let mut options = options(overlay);
        if overlay.volatile && request.settings.flag("volatile")? {
            options.push(OverlayOption::Volatile);
        }
        mount_overlay(links(&request.parents)?, Some(upper), &target, options)
    };
    // A reboot ends a mount and leaves its directory.
    let mut steps = vec![ensure_dir(target.clone(), 0o700), show];
    // A file system that can limit no more limits no more.
    if request.kind == LayerKind::Container
        && let Ok(Some(Limits { bytes, inodes })) = limit::limits(facts, &request.settings)
    {
        // One that has used up its limit needs a little for its own mount.
        let (more, many) =
            (bytes.map(|n| n.saturating_add(SPARE_BYTES)), inodes.map(|n| n.saturating_add(SPARE_INODES)));
        steps.insert(0, nacre_driver_sdk::limit(layer.dir(), more, many));
        steps.push(nacre_driver_sdk::limit(layer.dir(), bytes, inodes));
    }
    Ok(Mounted { steps, target })
}

/// What a mount makes in a layer's folder: the directory that it is on, and overlayfs's own below `work`.
const SPARE_BYTES: u64 = 1 << 20;
const SPARE_INODES: u64 = 16;

/// `index=off` as dockerd has it: with an index, an upper directory is tied to the lower ones by file handles.
/// `metacopy` and `redirect_dir` are off so that the upper directory alone holds all that changed, whatever
/// this kernel's defaults are (dockerd leaves the defaults, and compares whole trees where they are on).
fn options(overlay: &OverlayFacts) -> Vec<OverlayOption> {
    let known = [
        (overlay.index, OverlayOption::Index(false)),
        (overlay.metacopy, OverlayOption::Metacopy(false)),
        (overlay.redirect_dir, OverlayOption::RedirectDir(false)),
    ];
    known.into_iter().filter(|(known, _)| *known).map(|(_, option)| option).collect()
}

/// The short names, so that a chain fits into an option string where the kernel takes no other way.
fn links(parents: &[String]) -> Result<Vec<Place>, Refusal> {
    parents.iter().map(|parent| Ok(Layer::new(parent)?.link())).collect()
}
