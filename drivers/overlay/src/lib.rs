//! Docker's first overlay driver, as a nacre component.
//!
//! It is from when overlayfs took a single lower directory. An image layer is a whole tree whose files are
//! hard links to those of the layer below it; a container is an overlay of one such tree. The layout is that
//! of Docker's daemon/graphdriver/overlay (removed in 24.0, where it can still be read):
//!
//! ```text
//! <id>/           an image layer, or a container on no image
//!   root/         the whole tree
//!   merged/       the mount, while it is mounted
//! <id>/           a container on an image
//!   lower-id      the image layer whose root is the lower directory
//!   upper/        what the container changed, whiteouts as overlayfs writes them
//!   work/         overlayfs's own
//!   merged/       the mount, while it is mounted
//! ```
//!
//! Saved state: the word `root` under the id of each layer that has one.

mod examples;

use nacre_driver_sdk::{
    CommitRequest, CreateRequest, Created, Description, Difference, Example, Facts, Grant, HomeLayout,
    LayerKind, MountRequest, Mounted, OverlayFacts, OverlayOption, OverlayUpper, Place, Plan, Refusal,
    Requirement, Role, Setting, StorageDriver, Suitability, Whiteouts, ensure_dir, home, layer_id, link_tree,
    make_dir, mount_bind, mount_overlay, remove_state, remove_tree, set_state, state, unmount, write_file,
};

/// The driver.
#[derive(Debug)]
pub struct Overlay;

/// What an upper layer cannot be on, whatever else the file system can do: the kernel refuses it, or breaks.
const NO_UPPER: [&str; 5] = ["overlay", "aufs", "ecryptfs", "nfs", "nfs4"];

/// A part of a layer.
fn part(id: &str, name: &str) -> Result<Place, Refusal> {
    Ok(home(layer_id(id)?).join(name))
}

/// Whether a layer is a whole tree.
fn has_root(id: &str) -> bool {
    state::get(id).is_some()
}

impl StorageDriver for Overlay {
    fn describe() -> Description {
        Description {
            name: "overlay".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary:
                "Images as trees of hard links, containers as overlays of one, in Docker's first layout."
                    .into(),
            roles: vec![Role::StorageDriver],
            grants: vec![Grant::Tree, Grant::MountOverlay, Grant::MountBind, Grant::State],
            options: vec![],
        }
    }

    fn layout() -> HomeLayout {
        HomeLayout { detached: false, shared: vec![] }
    }

    fn probe(facts: &Facts, _: &[Setting]) -> Result<Suitability, Refusal> {
        let missing = |requirement| Err(Refusal::Unsupported(requirement));
        if !facts.privileged {
            return missing(Requirement::Privilege);
        }
        if facts.overlay.is_none() {
            return missing(Requirement::Overlay);
        }
        if NO_UPPER.contains(&facts.home.name.as_str()) {
            return missing(Requirement::OtherFilesystem);
        }
        if !facts.home.d_type {
            return missing(Requirement::DType);
        }
        if !facts.home.trusted_xattrs {
            return missing(Requirement::TrustedXattrs);
        }
        // Whatever the chain, the overlay has one lower directory.
        Ok(Suitability { max_depth: u32::MAX, how: None })
    }

    fn create_layer(_: &Facts, request: &CreateRequest) -> Result<Created, Refusal> {
        let id = layer_id(&request.id)?;
        let mut steps = vec![make_dir(home(id), 0o710)];
        let parent = request.parents.as_deref().and_then(<[_]>::first);
        if let (LayerKind::Container, Some(parent)) = (request.kind, parent) {
            let content = part(id, "upper")?;
            steps.push(make_dir(content.clone(), 0o755));
            steps.push(make_dir(part(id, "work")?, 0o700));
            steps.push(write_file(part(id, "lower-id")?, layer_id(parent)?, 0o600));
            return Ok(Created { steps, content, format: Whiteouts::Overlay });
        }
        let content = part(id, "root")?;
        steps.push(match parent {
            Some(parent) => link_tree(part(parent, "root")?, content.clone()),
            None => make_dir(content.clone(), 0o755),
        });
        steps.push(set_state(id, "root"));
        Ok(Created { steps, content, format: Whiteouts::None })
    }

    fn commit(_: &Facts, request: &CommitRequest) -> Result<Plan, Refusal> {
        layer_id(&request.id).map(|_| vec![])
    }

    fn mount(facts: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
        let id = layer_id(&request.id)?;
        let target = part(id, "merged")?;
        let show = match (request.kind, request.parents.first()) {
            (LayerKind::Container, Some(parent)) => on_image(facts, request, parent, &target)?,
            (kind, _) => {
                let read_only = request.read_only || kind == LayerKind::Image;
                mount_bind(part(id, "root")?, &target, read_only)
            }
        };
        Ok(Mounted { steps: vec![ensure_dir(target.clone(), 0o700), show], target })
    }

    fn unmount(id: &str) -> Result<Plan, Refusal> {
        let merged = part(id, "merged")?;
        Ok(vec![unmount(merged.clone()), remove_tree(merged)])
    }

    fn remove(id: &str) -> Result<Plan, Refusal> {
        let id = layer_id(id)?;
        Ok(vec![remove_tree(home(id)), remove_state(id)])
    }

    fn usage(id: &str) -> Result<Place, Refusal> {
        part(id, if has_root(id) { "root" } else { "upper" })
    }

    fn diff(id: &str) -> Result<Difference, Refusal> {
        Ok(if has_root(id) {
            Difference::Tree(part(id, "root")?)
        } else {
            Difference::Changes((part(id, "upper")?, Whiteouts::Overlay))
        })
    }

    fn footprint(id: &str) -> Result<Vec<Place>, Refusal> {
        Ok(vec![home(layer_id(id)?)])
    }

    fn examples() -> Vec<Example> {
        examples::all()
    }
}

/// A container's changes over the tree of an image.
fn on_image(
    facts: &Facts,
    request: &MountRequest,
    parent: &str,
    target: &Place,
) -> Result<nacre_driver_sdk::Step, Refusal> {
    let overlay = facts.overlay.as_ref().ok_or(Refusal::Unsupported(Requirement::Overlay))?;
    let lower = part(parent, "root")?;
    let (upper, work) = (part(&request.id, "upper")?, part(&request.id, "work")?);
    Ok(if request.read_only {
        mount_overlay(vec![upper, lower], None, target, options(overlay))
    } else {
        mount_overlay(vec![lower], Some(OverlayUpper { upper, work }), target, options(overlay))
    })
}

/// All off, so that the upper directory alone holds all that changed, whatever this kernel's defaults are.
/// With an index, an upper directory would be tied to the lower one by file handles.
fn options(overlay: &OverlayFacts) -> Vec<OverlayOption> {
    let known = [
        (overlay.index, OverlayOption::Index(false)),
        (overlay.metacopy, OverlayOption::Metacopy(false)),
        (overlay.redirect_dir, OverlayOption::RedirectDir(false)),
    ];
    known.into_iter().filter(|(known, _)| *known).map(|(_, option)| option).collect()
}

nacre_driver_sdk::export!(Overlay);
