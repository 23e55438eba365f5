//! The plans: right but for the lie.
//!
//! ```text
//! <id>/diff     what the layer holds
//! <id>/work     overlayfs's own (containers)
//! <id>/merged   the mount
//! <id>/empty    nothing, to be told of where there is something
//! <id>/ram      a file system in memory (loses-writes)
//! common/upper  one upper for all (shares-an-upper)
//! ```

use nacre_driver_sdk::{
    CreateRequest, Facts, LayerKind, MountRequest, Mounted, OverlayOption, OverlayUpper, Place, Plan,
    Refusal, ensure_dir, home, layer_id, link_tree, make_dir, mount_overlay, mount_tmpfs, remove_state,
    remove_tree, rename, set_state, state, unmount as unmount_step,
};

use crate::is_container;
use crate::lie::{KEY, Lie};

/// A folder that layers share.
pub(crate) const COMMON: &str = "common";

pub(crate) fn common_upper() -> Place {
    home(COMMON).join("upper")
}

/// Where a container that exists is remembered.
fn memory(id: &str) -> String {
    format!("containers/{id}")
}

/// Where a new layer's content goes.
pub(crate) fn content(id: &str, kind: LayerKind, lie: &Lie) -> Result<Place, Refusal> {
    let own = home(layer_id(id)?);
    Ok(if is_container(kind) && lie.is("shares-an-upper") { common_upper() } else { own.join("diff") })
}

/// Where the changes of a layer that exists are.
pub(crate) fn changes(id: &str, lie: &Lie) -> Result<Place, Refusal> {
    let kind = if state::get(&memory(id)).is_some() { LayerKind::Container } else { LayerKind::Image };
    content(id, kind, lie)
}

pub(crate) fn create(request: &CreateRequest, lie: &Lie) -> Result<Plan, Refusal> {
    let own = home(layer_id(&request.id)?);
    let newest = request.parents.iter().flatten().next();
    let container = is_container(request.kind);
    let mode = if lie.is("wrong-root-mode") { 0o700 } else { 0o755 };
    let mut steps = vec![
        if lie.is("leaves-half-made") {
            ensure_dir(own.clone(), 0o710)
        } else {
            make_dir(own.clone(), 0o710)
        },
        match newest {
            Some(parent) if container && lie.is("changes-parents") => {
                link_tree(home(parent).join("diff"), own.join("diff"))
            }
            _ => make_dir(own.join("diff"), mode),
        },
        make_dir(own.join("empty"), 0o700),
    ];
    if container {
        steps.push(make_dir(own.join("work"), 0o700));
        steps.push(set_state(memory(&request.id), "there"));
        if lie.is("shares-an-upper") {
            steps.push(ensure_dir(home(COMMON), 0o710));
            steps.push(ensure_dir(common_upper(), 0o755));
        }
    }
    steps.push(set_state(KEY, lie.word()));
    Ok(steps)
}

pub(crate) fn mount(facts: &Facts, request: &MountRequest, lie: &Lie) -> Result<Mounted, Refusal> {
    let own = home(layer_id(&request.id)?);
    let known = memory(&request.id);
    if is_container(request.kind) && state::get(&known).is_none() {
        return Err(Refusal::DamagedState(known));
    }
    let target = own.join("merged");
    let mut steps = vec![ensure_dir(target.clone(), 0o700)];
    let mut lowers: Vec<Place> = request.parents.iter().map(|parent| home(parent).join("diff")).collect();
    if lie.is("reorders-layers") {
        lowers.reverse();
    }
    if lie.is("drops-a-parent") && lowers.len() > 1 {
        lowers.pop();
    }
    let upper = if lie.is("mounts-read-only") {
        lowers.insert(0, own.join("diff"));
        None
    } else if lie.is("loses-writes") {
        let ram = own.join("ram");
        steps.push(ensure_dir(ram.clone(), 0o700));
        steps.push(mount_tmpfs(&ram, None, 0o700));
        steps.push(make_dir(ram.join("upper"), 0o755));
        steps.push(make_dir(ram.join("work"), 0o700));
        Some(OverlayUpper { upper: ram.join("upper"), work: ram.join("work") })
    } else {
        Some(OverlayUpper { upper: content(&request.id, request.kind, lie)?, work: own.join("work") })
    };
    steps.push(mount_overlay(lowers, upper, &target, options(facts, lie)));
    let target = if lie.is("wrong-target") { own.join("diff") } else { target };
    Ok(Mounted { steps, target })
}

fn options(facts: &Facts, lie: &Lie) -> Vec<OverlayOption> {
    if lie.is("forgets-opaque") {
        // The attribute that is looked for is then another one.
        return vec![OverlayOption::Userxattr];
    }
    if lie.is("copies-up-metadata-only") {
        return vec![OverlayOption::Metacopy(true), OverlayOption::RedirectDir(true)];
    }
    if lie.is("renames-by-reference") {
        return vec![OverlayOption::RedirectDir(true)];
    }
    let known = facts.overlay.as_ref();
    let off = [
        (known.is_some_and(|o| o.index), OverlayOption::Index(false)),
        (known.is_some_and(|o| o.metacopy), OverlayOption::Metacopy(false)),
        (known.is_some_and(|o| o.redirect_dir), OverlayOption::RedirectDir(false)),
    ];
    off.into_iter().filter(|(known, _)| *known).map(|(_, option)| option).collect()
}

pub(crate) fn unmount(id: &str, lie: &Lie) -> Result<Plan, Refusal> {
    let own = home(layer_id(id)?);
    if lie.is("leaks-a-mount") {
        return Ok(vec![]);
    }
    let mut steps = vec![unmount_step(own.join("merged")), remove_tree(own.join("merged"))];
    if lie.is("loses-writes") {
        steps.extend([unmount_step(own.join("ram")), remove_tree(own.join("ram"))]);
    }
    Ok(steps)
}

pub(crate) fn remove(id: &str, lie: &Lie) -> Result<Plan, Refusal> {
    let own = home(layer_id(id)?);
    let mut steps = vec![remove_state(memory(id))];
    if lie.is("loses-state") {
        steps = state::keys("containers/").into_iter().map(remove_state).collect();
    }
    if lie.is("removes-only-once") {
        // Once it has its new name, it does not have the old one any more.
        steps.push(rename(own.join("diff"), own.join("gone")));
    }
    if lie.is("shares-an-upper") {
        steps.push(remove_tree(common_upper()));
    }
    steps.push(remove_tree(if lie.is("leaks-a-folder") { own.join("diff") } else { own }));
    Ok(steps)
}
