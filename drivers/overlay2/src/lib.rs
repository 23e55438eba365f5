//! Docker's overlay2, as a nacre component.
//!
//! A layer is a folder, and overlayfs stacks them. The home looks as dockerd 20.10 and later lay it out:
//!
//! ```text
//! l/                                   short names, so that many layers fit into one mount's options
//!   J7WQXVQ4SUCG2YHVZVQZQ6K2FA      -> ../<id>/diff
//! <id>/
//!   diff/                              what the layer holds, whiteouts as overlayfs writes them
//!   link                               its short name
//!   lower                              the short names below it, newest first: l/A:l/B (not in a base layer)
//!   work/                              overlayfs's own (not in a base layer)
//!   committed                          empty: the layer is complete, and may be a parent
//!   merged/                            the mount, while it is mounted
//! ```
//!
//! The short name follows from the id, so this driver keeps no state.
//!
//! Image layers are detached: what a layer holds does not depend on its parents, so a whole chain can be
//! filled at once. Their `lower` and `work` are written when they are committed.

mod depth;
mod examples;
mod layer;
pub mod limit;
mod mount;

use nacre_driver_sdk::{
    CommitRequest, CreateRequest, Created, Description, Difference, Example, Facts, Grant, HomeLayout,
    LayerKind, MountRequest, Mounted, Place, Plan, Refusal, Requirement, Role, Setting, Settings,
    StorageDriver, Suitability, Whiteouts, ensure_dir, flag, home, make_dir, remove_tree, symlink,
    unavailable, unmount, write_file,
};

use layer::{LINKS, Layer};
use limit::Limits;

/// The driver.
#[derive(Debug)]
pub struct Overlay2;

/// What an upper layer cannot be on, whatever else the file system can do: the kernel refuses it, or breaks.
const NO_UPPER: [&str; 5] = ["overlay", "aufs", "ecryptfs", "nfs", "nfs4"];

impl StorageDriver for Overlay2 {
    fn describe() -> Description {
        Description {
            name: "overlay2".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "One folder for each layer, in Docker's layout, stacked by the kernel's overlayfs."
                .into(),
            roles: vec![Role::StorageDriver],
            grants: vec![Grant::Tree, Grant::MountOverlay, Grant::MountBind, Grant::Limit],
            options: [flag(
                "volatile",
                false,
                "Never sync what containers write: faster, and lost with the machine's power.",
            )]
            .into_iter()
            .chain(limit::options())
            .collect(),
        }
    }

    fn layout() -> HomeLayout {
        HomeLayout { detached: true, shared: vec![LINKS.into()] }
    }

    fn probe(facts: &Facts, settings: &[Setting]) -> Result<Suitability, Refusal> {
        let missing = |requirement| Err(Refusal::Unsupported(requirement));
        if !facts.privileged {
            return missing(Requirement::Privilege);
        }
        let Some(overlay) = &facts.overlay else { return missing(Requirement::Overlay) };
        if NO_UPPER.contains(&facts.home.name.as_str()) {
            return missing(Requirement::OtherFilesystem);
        }
        if !facts.home.d_type {
            return missing(Requirement::DType);
        }
        if !facts.home.trusted_xattrs {
            return missing(Requirement::TrustedXattrs);
        }
        if settings.flag("volatile")? && !overlay.volatile {
            return Err(unavailable("volatile"));
        }
        limit::limits(facts, settings)?;
        Ok(Suitability { max_depth: depth::limit(overlay), how: None })
    }

    fn create_layer(facts: &Facts, request: &CreateRequest) -> Result<Created, Refusal> {
        let layer = Layer::new(&request.id)?;
        let parents = request.parents.as_deref().unwrap_or_default();
        let lower = layer::lower(parents)?;
        depth::check(facts, parents.len(), request.kind)?;
        let mut steps = vec![ensure_dir(home(LINKS), 0o700), make_dir(layer.dir(), 0o710)];
        if request.kind == LayerKind::Container
            && let Some(Limits { bytes, inodes }) = limit::limits(facts, &request.settings)?
        {
            // Before anything is in the folder: what is made there is then counted.
            steps.push(nacre_driver_sdk::limit(layer.dir(), bytes, inodes));
        }
        steps.extend([
            make_dir(layer.diff(), 0o755),
            symlink(layer.link(), format!("../{}/diff", layer.id)),
            write_file(layer.file("link"), layer.short.as_bytes(), 0o644),
        ]);
        if request.kind == LayerKind::Container && !parents.is_empty() {
            steps.push(make_dir(layer.work(), 0o700));
            steps.push(write_file(layer.file("lower"), lower, 0o644));
        }
        Ok(Created { steps, content: layer.diff(), format: Whiteouts::Overlay })
    }

    fn commit(facts: &Facts, request: &CommitRequest) -> Result<Plan, Refusal> {
        let layer = Layer::new(&request.id)?;
        let lower = layer::lower(&request.parents)?;
        depth::check(facts, request.parents.len(), LayerKind::Image)?;
        let mut steps = vec![];
        if !request.parents.is_empty() {
            steps.push(make_dir(layer.work(), 0o700));
            steps.push(write_file(layer.file("lower"), lower, 0o644));
        }
        steps.push(write_file(layer.file("committed"), "", 0o600));
        Ok(steps)
    }

    fn mount(facts: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
        mount::plan(facts, request)
    }

    fn unmount(id: &str) -> Result<Plan, Refusal> {
        let layer = Layer::new(id)?;
        let merged = layer.merged();
        // A volatile mount leaves a mark that refuses the next one.
        Ok(vec![
            unmount(merged.clone()),
            remove_tree(layer.file("work/work/incompat/volatile")),
            remove_tree(merged),
        ])
    }

    fn remove(id: &str) -> Result<Plan, Refusal> {
        let layer = Layer::new(id)?;
        Ok(vec![remove_tree(layer.link()), remove_tree(layer.dir())])
    }

    fn usage(id: &str) -> Result<Place, Refusal> {
        Ok(Layer::new(id)?.diff())
    }

    fn diff(id: &str) -> Result<Difference, Refusal> {
        Ok(Difference::Changes((Layer::new(id)?.diff(), Whiteouts::Overlay)))
    }

    fn footprint(id: &str) -> Result<Vec<Place>, Refusal> {
        let layer = Layer::new(id)?;
        Ok(vec![layer.dir(), layer.link()])
    }

    fn examples() -> Vec<Example> {
        examples::all()
    }
}

#[cfg(feature = "component")]
nacre_driver_sdk::export!(Overlay2);
