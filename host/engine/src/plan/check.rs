//! What a plan may contain. A plan is checked as a whole before any of it is run.

use std::collections::BTreeSet;

use nacre_plugin::description::Grant;
use nacre_plugin::plan::{OverlayOption, Sharing, Step};
use nacre_plugin::types::{Place, Root, Setting, Whiteouts};

use super::Plan;

mod dataset;
#[cfg(test)]
mod tests;
mod thin;

pub(crate) use thin::{KEPT_RECORDS, is_kept};

/// The most steps of a plan (`wit/plan.wit`).
const MAX_STEPS: usize = 4096;
/// The most bytes of a file that a step writes, and of a state value (`wit/plan.wit`).
const MAX_CONTENT: usize = 64 * 1024;
/// The most bytes of a state key (`wit/plan.wit`).
const MAX_KEY: usize = 256;
/// PATH_MAX less room for the root's own path.
const MAX_PATH: usize = 2048;
/// NAME_MAX (limits.h).
const MAX_NAME: usize = 255;

/// Why a plan was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanFault {
    /// Too many steps.
    #[error("it has {0} steps, and at most {MAX_STEPS} are allowed")]
    TooManySteps(usize),
    /// The component was not granted this kind of step.
    #[error("step {step} ({kind}) needs the grant `{grant}`, which it was not given")]
    Ungranted {
        /// Counted from 1.
        step: usize,
        /// The step's kind.
        kind: &'static str,
        /// The grant's name.
        grant: &'static str,
    },
    /// A path that leaves its root, or that no step may touch.
    #[error("step {step} ({kind}) names the path `{path}`: {why}")]
    Path {
        /// Counted from 1.
        step: usize,
        /// The step's kind.
        kind: &'static str,
        /// As the component gave it, made printable.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A value out of its bounds.
    #[error("step {step} ({kind}): {why}")]
    Value {
        /// Counted from 1.
        step: usize,
        /// The step's kind.
        kind: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A place outside of a plan is not a plain path.
    #[error("it names the place `{path}`: {why}")]
    Place {
        /// As the component gave it, made printable.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// What a plan is checked against.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    /// The component's name, which its home has too.
    pub driver: &'a str,
    /// What the component was granted.
    pub grants: &'a [Grant],
    /// The layer that the plan is about.
    pub layer: &'a str,
    /// The places that belong to that layer, by the component's own word.
    pub footprint: &'a [Place],
    /// Folders of the home that layers share.
    pub shared: &'a [String],
    /// What the user set: a device of the machine may be named in a plan only as an option's value names it.
    pub settings: &'a [Setting],
    /// It makes an image layer, which is never written to: it may have files in common with others.
    pub links: bool,
}

/// Check every step. The footprint is checked too: it may reach neither into another layer's folder nor
/// around a shared one.
pub(crate) fn check(steps: &Plan, rules: &Rules<'_>) -> Result<(), PlanFault> {
    check_footprint(rules)?;
    if steps.len() > MAX_STEPS {
        return Err(PlanFault::TooManySteps(steps.len()));
    }
    steps.iter().enumerate().try_for_each(|(i, step)| StepCheck { rules, number: i + 1, step }.run())
}

/// What a component says belongs to a layer: nothing that is named after another one, nothing around a folder that
/// layers share, and nothing that the host keeps.
fn check_footprint(rules: &Rules<'_>) -> Result<(), PlanFault> {
    rules.footprint.iter().try_for_each(|place| {
        plain(place)
            .and_then(|()| not_empty(place))
            .and_then(|()| own_folder(place, rules.layer))
            .and_then(|()| not_shared(place, rules.shared))
            .and_then(|()| thin::not_kept(place, rules))
            .map_err(|why| PlanFault::Place { path: printable(&place.path), why })
    })
}

/// Check a place that a component returns beside a plan: a content directory, a mount's target.
pub(crate) fn check_place(place: &Place, rules: &Rules<'_>) -> Result<(), PlanFault> {
    check_footprint(rules)?;
    plain(place)
        .and_then(|()| not_empty(place))
        .and_then(|()| own_folder(place, rules.layer))
        .and_then(|()| within(place, rules.footprint))
        .map_err(|why| PlanFault::Place { path: printable(&place.path), why })
}

struct StepCheck<'a> {
    rules: &'a Rules<'a>,
    number: usize,
    step: &'a Step,
}

impl StepCheck<'_> {
    fn run(&self) -> Result<(), PlanFault> {
        self.granted()?;
        match self.step {
            Step::MakeDir(s) => self.owned(&s.at).and_then(|()| self.mode(s.mode)),
            Step::EnsureDir(s) => self.ensured(&s.at).and_then(|()| self.mode(s.mode)),
            Step::WriteFile(s) => {
                self.owned(&s.at)?;
                self.mode(s.mode)?;
                self.value(s.content.len() <= MAX_CONTENT, "a file of more than 64 KiB")
            }
            Step::Symlink(s) => {
                self.owned(&s.at)?;
                self.path(&s.at, link_stays_below(&s.at.path, &s.target))
            }
            Step::Rename(s) => {
                self.own_tree(&s.source)?;
                self.owned(&s.target)?;
                self.value(s.source.root == s.target.root, "source and target are below different roots")
            }
            Step::CopyTree(s) => {
                self.readable(&s.source)?;
                self.owned(&s.target)?;
                self.value(
                    self.rules.links || s.sharing == Sharing::Data,
                    "files in common with another layer, in a layer that is written to",
                )
            }
            // One that is not named after the layer is removed only if nothing is in it, see `run`.
            Step::RemoveTree(place) => self.owned(place),
            Step::SubvolumeDelete(place) | Step::Unmount(place) => self.own_tree(place),
            Step::SubvolumeCreate(s) => self.owned(&s.at).and_then(|()| self.mode(s.mode)),
            Step::SubvolumeSnapshot(s) => self.readable(&s.source).and_then(|()| self.owned(&s.target)),
            Step::Limit(s) => {
                self.owned(&s.at)?;
                self.value(s.bytes.is_some() || s.inodes.is_some(), "no limit at all")
            }
            Step::MountOverlay(s) => self.overlay(s),
            Step::MountBind(s) => {
                // Whoever writes into the mount writes into its source.
                if s.read_only { self.readable(&s.source) } else { self.owned(&s.source) }?;
                self.own_tree(&s.target)
            }
            Step::MountTmpfs(s) => self.own_tree(&s.target).and_then(|()| self.mode(s.mode)),
            Step::ZfsCreate(dataset) | Step::ZfsDestroy(dataset) => self.own_dataset(dataset),
            Step::ZfsSnapshot(s) | Step::ZfsDestroySnapshot(s) => {
                self.name(&s.of, dataset::snapshot(s))?;
                self.own_dataset(&s.name)
            }
            Step::ZfsClone(s) => {
                self.name(&s.source.of, dataset::snapshot(&s.source))?;
                self.own_dataset(&s.target)
            }
            Step::ZfsSet(s) => self.own_dataset(&s.at),
            Step::MountZfs(s) => {
                // Whoever writes into the mount writes into the dataset.
                if s.read_only {
                    self.name(&s.source, dataset::named(&s.source))
                } else {
                    self.own_dataset(&s.source)
                }?;
                self.own_tree(&s.target)
            }
            Step::MountAufs(s) => {
                s.lowers.iter().try_for_each(|place| self.readable(place))?;
                s.upper.iter().try_for_each(|place| self.owned(place))?;
                self.own_tree(&s.target)?;
                self.value(!s.lowers.is_empty(), "a union without a lower branch")
            }
            Step::MountUnion(s) => {
                s.lowers.iter().try_for_each(|place| self.readable(place))?;
                self.own_tree(&s.target)?;
                if let Some(upper) = &s.upper {
                    self.owned(&upper.upper)?;
                    self.owned(&upper.work)?;
                }
                self.value(!s.lowers.is_empty(), "a union without a lower directory")?;
                let kinds = [0, 1, 2].map(|kind| s.policies.iter().filter(|it| it.kind() == kind).count());
                self.value(kinds.iter().all(|count| *count <= 1), "two policies of a kind")?;
                self.value(s.format != Whiteouts::None, "a union in which nothing can be deleted")
            }
            Step::SetState(s) => {
                self.key(&s.key)?;
                self.value(s.value.len() <= MAX_CONTENT, "a value of more than 64 KiB")
            }
            Step::RemoveState(key) => self.key(key),
            Step::ThinPool(_)
            | Step::ThinCreate(_)
            | Step::ThinSnapshot(_)
            | Step::ThinActivate(_)
            | Step::ThinMount(_)
            | Step::ThinSync(_)
            | Step::ThinDeactivate(_)
            | Step::ThinDelete(_) => self.thin(),
        }
    }

    fn overlay(&self, s: &nacre_plugin::plan::MountOverlay) -> Result<(), PlanFault> {
        s.lowers.iter().try_for_each(|place| self.readable(place))?;
        self.own_tree(&s.target)?;
        if let Some(upper) = &s.upper {
            self.owned(&upper.upper)?;
            self.owned(&upper.work)?;
        }
        let least = if s.upper.is_some() { 1 } else { 2 };
        self.value(
            s.lowers.len() >= least,
            "an overlay without an upper needs two lowers, one with an upper needs one",
        )?;
        let kinds: BTreeSet<&str> = s.options.iter().map(option_name).collect();
        self.value(kinds.len() == s.options.len(), "an overlay option is given twice")
    }

    fn granted(&self) -> Result<(), PlanFault> {
        let needed = self.step.needs_one_of();
        if needed.iter().any(|g| self.rules.grants.contains(g)) {
            return Ok(());
        }
        let grant = needed.first().map_or("none", |g| g.name());
        Err(PlanFault::Ungranted { step: self.number, kind: self.step.name(), grant })
    }

    /// A place that the step changes: it belongs to the plan's own layer.
    fn owned(&self, place: &Place) -> Result<(), PlanFault> {
        self.readable(place)?;
        self.path(place, within(place, self.rules.footprint))
    }

    /// A place with all that is in it: a folder that is not named after the layer could hold other layers.
    fn own_tree(&self, place: &Place) -> Result<(), PlanFault> {
        self.owned(place)?;
        let named = place.path.split('/').any(|name| name == self.rules.layer);
        self.path(place, if named { Ok(()) } else { Err("it is not named after the layer") })
    }

    /// A place that `ensure-dir` may make: the layer's own, or a shared folder itself.
    fn ensured(&self, place: &Place) -> Result<(), PlanFault> {
        if place.root == Root::Home && self.rules.shared.contains(&place.path) {
            return self.readable(place);
        }
        self.owned(place)
    }

    /// A place that the step only reads.
    fn readable(&self, place: &Place) -> Result<(), PlanFault> {
        let verdict =
            plain(place).and_then(|()| not_empty(place)).and_then(|()| thin::not_kept(place, self.rules));
        self.path(place, verdict)
    }

    /// A dataset that the step changes: it is named after the plan's own layer.
    fn own_dataset(&self, name: &str) -> Result<(), PlanFault> {
        self.name(name, dataset::owned(name, self.rules.layer))
    }

    fn path(&self, place: &Place, verdict: Result<(), &'static str>) -> Result<(), PlanFault> {
        self.name(&place.path, verdict)
    }

    fn name(&self, name: &str, verdict: Result<(), &'static str>) -> Result<(), PlanFault> {
        verdict.map_err(|why| PlanFault::Path {
            step: self.number,
            kind: self.step.name(),
            path: printable(name),
            why,
        })
    }

    fn mode(&self, mode: u32) -> Result<(), PlanFault> {
        self.value(mode <= 0o7777, "a mode beyond 0o7777")
    }

    fn key(&self, key: &str) -> Result<(), PlanFault> {
        self.value((1..=MAX_KEY).contains(&key.len()), "a state key that is empty or longer than 256 bytes")
    }

    fn value(&self, good: bool, why: &'static str) -> Result<(), PlanFault> {
        if good { Ok(()) } else { Err(PlanFault::Value { step: self.number, kind: self.step.name(), why }) }
    }
}

fn plain(place: &Place) -> Result<(), &'static str> {
    let path = place.path.as_str();
    if path.is_empty() {
        return Ok(());
    }
    if path.starts_with('/') {
        return Err("it is absolute");
    }
    if path.contains('\0') {
        return Err("it contains a NUL");
    }
    if path.len() > MAX_PATH {
        return Err("it is too long");
    }
    path.split('/').try_for_each(|name| match name {
        "" => Err("it has an empty name"),
        "." | ".." => Err("it leaves its root or goes in place, with `.` or `..`"),
        name if name.len() > MAX_NAME => Err("a name in it is too long"),
        _ => Ok(()),
    })
}

fn not_empty(place: &Place) -> Result<(), &'static str> {
    if place.path.is_empty() { Err("it is the root itself") } else { Ok(()) }
}

/// Whatever the component says, a name of the form of a layer ID belongs to that layer, also in a folder that
/// layers share.
fn own_folder(place: &Place, layer: &str) -> Result<(), &'static str> {
    let others = place.path.split('/').any(|name| is_layer_id(name) && name != layer);
    if others { Err("it belongs to another layer") } else { Ok(()) }
}

/// Whether a name has the form of a layer's ID.
pub(crate) fn is_layer_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

fn within(place: &Place, footprint: &[Place]) -> Result<(), &'static str> {
    let inside = footprint.iter().any(|own| own.root == place.root && is_at_or_below(&place.path, &own.path));
    if inside { Ok(()) } else { Err("it is not in the footprint of the layer that the plan is about") }
}

/// A shared folder, or what holds it, belongs to no single layer.
fn not_shared(place: &Place, shared: &[String]) -> Result<(), &'static str> {
    let around = place.root == Root::Home && shared.iter().any(|folder| is_at_or_below(folder, &place.path));
    if around { Err("it is a folder that layers share") } else { Ok(()) }
}

fn is_at_or_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Follow a link's target by its words, from the folder that holds the link.
fn link_stays_below(at: &str, target: &str) -> Result<(), &'static str> {
    if target.is_empty() || target.starts_with('/') || target.contains('\0') || target.len() > MAX_PATH {
        return Err("the link's target is empty, absolute or too long");
    }
    let mut depth = at.split('/').count() as i64 - 1;
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return Err("the link's target leaves the root");
        }
    }
    Ok(())
}

fn printable(path: &str) -> String {
    path.chars().take(200).flat_map(char::escape_debug).collect()
}

fn option_name(option: &OverlayOption) -> &'static str {
    match option {
        OverlayOption::Index(_) => "index",
        OverlayOption::Metacopy(_) => "metacopy",
        OverlayOption::RedirectDir(_) => "redirect_dir",
        OverlayOption::Volatile => "volatile",
        OverlayOption::Userxattr => "userxattr",
    }
}
