//! The form of answers: sizes that the contract bounds. What a step means is checked by whoever runs it.

use crate::contract::plan::{OverlayUpper, Plan, PoolStorage, Step, UnionPolicy};
use crate::contract::storage::{Difference, Example, HomeLayout, Planned, Suitability};
use crate::contract::types::Place;

/// `wit/plan.wit`: the most steps of a plan.
const STEPS: usize = 4096;
/// The most bytes of a path, as the kernel's PATH_MAX.
const PATH: usize = 4095;
/// `wit/plan.wit`: the most bytes of a small file, and of a saved value.
const SMALL: usize = 64 << 10;
/// `wit/plan.wit`: the most bytes of a key.
const KEY: usize = 256;
/// `wit/plan.wit`: the most bytes of a dataset's name.
const DATASET: usize = 128;
/// The most lower layers of a mount, of the entries of a footprint, and so on.
const ENTRIES: usize = 4096;

/// An answer of a component, with rules of its own.
pub(crate) trait Answer {
    /// The rule that is broken, in words.
    fn fault(&self) -> Option<String>;
}

impl Answer for Plan {
    fn fault(&self) -> Option<String> {
        if self.len() > STEPS {
            return Some(format!("a plan of {} steps: the most is {STEPS}", self.len()));
        }
        let faulty = |(at, step): (usize, &Step)| {
            step_fault(step).map(|fault| format!("step {} ({}): {fault}", at + 1, step.name()))
        };
        self.iter().enumerate().find_map(faulty)
    }
}

fn step_fault(step: &Step) -> Option<String> {
    match step {
        Step::MakeDir(it) => it.at.fault().or_else(|| mode(it.mode)),
        Step::EnsureDir(it) => it.at.fault().or_else(|| mode(it.mode)),
        Step::WriteFile(it) => {
            it.at.fault().or_else(|| mode(it.mode)).or_else(|| longer("content", it.content.len(), SMALL))
        }
        Step::Symlink(it) => it.at.fault().or_else(|| longer("a link's target", it.target.len(), PATH)),
        Step::Rename(it) => it.source.fault().or_else(|| it.target.fault()),
        Step::CopyTree(it) => it.source.fault().or_else(|| it.target.fault()),
        Step::RemoveTree(at) | Step::Unmount(at) | Step::SubvolumeDelete(at) => at.fault(),
        Step::SubvolumeCreate(it) => it.at.fault().or_else(|| mode(it.mode)),
        Step::SubvolumeSnapshot(it) => it.source.fault().or_else(|| it.target.fault()),
        Step::Limit(it) => it.at.fault(),
        Step::MountOverlay(it) => {
            let upper = |OverlayUpper { upper, work }: &OverlayUpper| upper.fault().or_else(|| work.fault());
            let lowers = || longer("the lower directories", it.lowers.len(), ENTRIES);
            let options = || longer("the options", it.options.len(), ENTRIES);
            let place = || it.lowers.iter().find_map(Place::fault);
            it.target
                .fault()
                .or_else(|| it.upper.as_ref().and_then(upper))
                .or_else(lowers)
                .or_else(options)
                .or_else(place)
        }
        Step::MountBind(it) => it.source.fault().or_else(|| it.target.fault()),
        Step::MountTmpfs(it) => it.target.fault().or_else(|| mode(it.mode)),
        Step::ZfsCreate(name) | Step::ZfsDestroy(name) => dataset(name),
        Step::ZfsSnapshot(it) | Step::ZfsDestroySnapshot(it) => dataset(&it.of).or_else(|| dataset(&it.name)),
        Step::ZfsClone(it) => {
            dataset(&it.source.of).or_else(|| dataset(&it.source.name)).or_else(|| dataset(&it.target))
        }
        Step::ZfsSet(it) => dataset(&it.at),
        Step::MountZfs(it) => dataset(&it.source).or_else(|| it.target.fault()),
        Step::MountAufs(it) => {
            let places = || it.lowers.iter().chain(&it.upper).chain([&it.target]).find_map(Place::fault);
            longer("the lower branches", it.lowers.len(), ENTRIES).or_else(places)
        }
        Step::MountUnion(it) => {
            let upper = |OverlayUpper { upper, work }: &OverlayUpper| upper.fault().or_else(|| work.fault());
            let places = || it.lowers.iter().chain([&it.target]).find_map(Place::fault);
            longer("the lower directories", it.lowers.len(), ENTRIES)
                .or_else(|| it.upper.as_ref().and_then(upper))
                .or_else(places)
                .or_else(|| {
                    let name = |policy: &UnionPolicy| policy.name().len();
                    let longest = it.policies.iter().map(name).max().unwrap_or(0);
                    longer("a policy's name", longest, PATH)
                })
        }
        Step::SetState(it) => key(&it.key).or_else(|| longer("the value", it.value.len(), SMALL)),
        Step::RemoveState(name) => key(name),
        Step::ThinPool(it) => match &it.storage {
            PoolStorage::Files(_) => None,
            PoolStorage::Devices(on) => longer("a device", on.data.len().max(on.metadata.len()), PATH),
            PoolStorage::Pool(name) => longer("a pool's name", name.len(), PATH),
        },
        Step::ThinCreate(it) => key(&it.volume)
            .or_else(|| longer("the arguments", it.arguments.len(), 64))
            .or_else(|| it.arguments.iter().find_map(|a| longer("an argument", a.len(), KEY))),
        Step::ThinSnapshot(it) => key(&it.origin).or_else(|| key(&it.volume)),
        Step::ThinActivate(name) | Step::ThinDeactivate(name) | Step::ThinDelete(name) => key(name),
        Step::ThinMount(it) => key(&it.volume)
            .or_else(|| it.target.fault())
            .or_else(|| longer("the options", it.options.len(), PATH)),
        Step::ThinSync(it) => it.at.fault(),
    }
}

fn mode(mode: u32) -> Option<String> {
    (mode > 0o7777).then(|| format!("{mode:#o} is no mode: the most is 0o7777"))
}

fn key(key: &str) -> Option<String> {
    if key.is_empty() { Some("an empty key".into()) } else { longer("the key", key.len(), KEY) }
}

fn dataset(name: &str) -> Option<String> {
    longer("the bytes of a dataset's name", name.len(), DATASET)
}

fn longer(what: &str, length: usize, most: usize) -> Option<String> {
    (length > most).then(|| format!("{what}: {length}, and the most is {most}"))
}

impl Answer for Place {
    fn fault(&self) -> Option<String> {
        longer("the bytes of a path", self.path.len(), PATH)
    }
}

impl Answer for Vec<Place> {
    fn fault(&self) -> Option<String> {
        longer("places", self.len(), ENTRIES).or_else(|| self.iter().find_map(Place::fault))
    }
}

impl Answer for HomeLayout {
    fn fault(&self) -> Option<String> {
        let bad = |name: &&String| {
            name.is_empty() || name.len() > 255 || name.contains(['/', '\0']) || *name == ".."
        };
        longer("shared folders", self.shared.len(), 64).or_else(|| {
            let name = self.shared.iter().find(|name| bad(name) || *name == ".")?;
            Some(format!(
                "`{}` is not the name of a folder",
                name.chars().take(64).collect::<String>().escape_debug()
            ))
        })
    }
}

impl Answer for Suitability {
    fn fault(&self) -> Option<String> {
        let none = (self.max_depth == 0).then(|| "a driver that can mount no layer at all".into());
        none.or_else(|| longer("how it works here", self.how.as_ref().map_or(0, String::len), 256))
    }
}

impl Answer for Planned {
    fn fault(&self) -> Option<String> {
        self.at.as_ref().and_then(Place::fault).or_else(|| self.steps.fault())
    }
}

impl Answer for Difference {
    fn fault(&self) -> Option<String> {
        match self {
            Difference::Changes((place, _)) => place.fault(),
            Difference::Tree(place) => place.fault(),
            Difference::Mounted => None,
        }
    }
}

impl Answer for Vec<Example> {
    fn fault(&self) -> Option<String> {
        longer("examples", self.len(), 256).or_else(|| self.iter().find_map(|example| example.steps.fault()))
    }
}
