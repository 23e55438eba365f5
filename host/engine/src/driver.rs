//! A storage driver that is ready for use: its component, its folders, and what it may do.
//!
//! Every method asks the component for a plan and checks it. Nothing here changes anything; see
//! [`crate::journal`] for what happens to a plan.

use std::ffi::OsString;
use std::sync::Arc;

use nacre_plugin::description::{Grant, OptionSpec};
use nacre_plugin::plan::Step;
use nacre_plugin::storage::{
    CommitRequest, CreateRequest, Difference, Example, HomeLayout, MountRequest, Suitability,
};
use nacre_plugin::types::{Facts, LayerKind, Place, Setting, Whiteouts};
use nacre_plugin::{Component, StateView, StorageDriver};
use nacre_store::Tx;
use nacre_sys::dir::Dir;

use crate::Error;
use crate::components::{Found, Origin};
use crate::plan::check::{PlanFault, Rules, check, check_place, is_kept};
use crate::plan::run::zfs::Base;
use crate::plan::{Plan, Roots};

/// What a plan does to a layer. What becomes of the plan after a crash follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Create,
    Commit,
    Mount,
    Unmount,
    Remove,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Commit => "commit",
            Self::Mount => "mount",
            Self::Unmount => "unmount",
            Self::Remove => "remove",
        }
    }

    /// The one of that name, as the journal has it.
    pub(crate) fn named(name: &str) -> Self {
        let all = [Self::Commit, Self::Mount, Self::Unmount, Self::Remove];
        all.into_iter().find(|one| one.name() == name).unwrap_or(Self::Create)
    }

    /// What the operation removes is gone from the records before its plan is run, so the plan is to be
    /// completed. What it makes is recorded after, so the plan is to be undone.
    pub(crate) fn is_completed_after_crash(self) -> bool {
        matches!(self, Self::Unmount | Self::Remove)
    }
}

/// A checked plan.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub operation: Operation,
    /// The layer that it is about.
    pub layer: String,
    pub steps: Plan,
    /// What the server of a union that it mounts is told beside its directories ([`Engine::serving`]).
    ///
    /// [`Engine::serving`]: crate::Engine
    pub serving: OsString,
}

/// A checked plan for a new layer.
#[derive(Debug)]
pub(crate) struct NewLayer {
    pub plan: Prepared,
    pub content: Place,
    pub format: Whiteouts,
}

/// A checked plan for a mount.
#[derive(Debug)]
pub(crate) struct NewMount {
    pub plan: Prepared,
    pub target: Place,
}

/// A layer together with the chain below it, newest first.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub layer: String,
    pub kind: LayerKind,
    pub parents: Vec<String>,
}

/// A driver on a storage root.
#[derive(Debug)]
pub(crate) struct Driver {
    component: Component,
    grants: Vec<Grant>,
    origin: Origin,
    instance: Box<dyn StorageDriver>,
    roots: Roots,
    facts: Facts,
    layout: HomeLayout,
    settings: Vec<Setting>,
    /// Those that are not what the component itself has for a default: the user's words.
    chosen: Vec<Setting>,
}

impl Driver {
    /// Make a component ready for the storage root `root`.
    pub(crate) fn new(
        found: Found,
        (root, run): (&Dir, &Dir),
        facts: impl FnOnce(&Dir) -> Result<Facts, Error>,
        state: Arc<dyn StateView>,
        settings: Vec<Setting>,
    ) -> Result<Self, Error> {
        let Found { component, grants, origin } = found;
        let own_words = |setting: &&Setting| {
            let is_it = |option: &&OptionSpec| option.name == setting.name && option.default == setting.value;
            !component.description().options.iter().any(|option| is_it(&option))
        };
        let chosen: Vec<_> = settings.iter().filter(own_words).cloned().collect();
        let mut roots = Roots::open(root, run, &component.description().name)?;
        let mut facts = facts(roots.home())?;
        if grants.contains(&Grant::Zfs)
            && let Some(base) = Base::find(roots.home(), &component.description().name, &chosen)?
        {
            facts.zfs = Some(base.facts()?);
            roots = roots.with_datasets(base);
        }
        facts.thin_pools = grants.contains(&Grant::Thin) && nacre_sys::dm::is_available();
        let instance: Box<dyn StorageDriver> = Box::new(component.driver(state)?);
        let layout = instance.layout()?;
        Ok(Self { facts, component, grants, origin, instance, roots, layout, settings, chosen })
    }

    pub(crate) fn name(&self) -> &str {
        &self.component.description().name
    }

    pub(crate) fn component(&self) -> &Component {
        &self.component
    }

    pub(crate) fn roots(&self) -> &Roots {
        &self.roots
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn layout(&self) -> &HomeLayout {
        &self.layout
    }

    /// Whether the host keeps an entry of the home for it: it belongs to no layer. That of a pool that is there is kept
    /// whatever the component may do today.
    pub(crate) fn keeps(&self, entry: &str) -> Result<bool, Error> {
        Ok(is_kept(entry, self.name()) && (self.keeps_volumes() || crate::plan::run::has_pool(&self.roots)?))
    }

    /// Whether it mounts writable layers that the union can mount too.
    pub(crate) fn overlays(&self) -> bool {
        self.grants().iter().any(|grant| matches!(grant, Grant::MountOverlay | Grant::MountUnion))
    }

    /// Whether its layers may have volumes in a thin pool.
    pub(crate) fn keeps_volumes(&self) -> bool {
        self.grants().contains(&Grant::Thin)
    }

    /// Another component may have taken its place since this one planned, and would end a mount in another way: whoever
    /// installs one looks at the mounts that are recorded.
    pub(crate) fn refuse_if_replaced(&self, tx: &Tx<'_>) -> Result<(), nacre_store::Error> {
        let now = tx.component(self.name())?.map(|installed| installed.digest.to_string());
        let then = (self.origin == Origin::Installed).then(|| self.component.digest().to_string());
        match self.origin == Origin::File || now == then {
            true => Ok(()),
            false => Err(nacre_store::Error::ComponentChanged { name: self.name().to_owned() }),
        }
    }

    /// Time spent in the component so far.
    pub(crate) fn spent(&self) -> nacre_plugin::Spent {
        self.instance.spent()
    }

    pub(crate) fn examples(&self) -> Result<Vec<Example>, Error> {
        Ok(self.instance.examples()?)
    }

    /// Whether it can work here.
    pub(crate) fn probe(&self) -> Result<Suitability, Error> {
        Ok(self.instance.probe(&self.facts, &self.settings)?)
    }

    /// Plan a new layer. `own` are settings for this layer alone, in canonical form.
    pub(crate) fn create(
        &self,
        layer: &str,
        kind: LayerKind,
        parents: Option<Vec<String>>,
        own: &[Setting],
    ) -> Result<NewLayer, Error> {
        let request =
            CreateRequest { id: layer.to_owned(), kind, parents, settings: self.with_settings(own) };
        let made = self.instance.create_layer(&self.facts, &request)?;
        let links = kind == LayerKind::Image;
        let plan = self.checked(Operation::Create, layer, made.steps, Some(&made.content), links)?;
        Ok(NewLayer { plan, content: made.content, format: made.format })
    }

    /// Plan the end of an image layer's filling.
    pub(crate) fn commit(&self, layer: &str, parents: Vec<String>) -> Result<Prepared, Error> {
        let request = CommitRequest { id: layer.to_owned(), parents };
        self.checked(Operation::Commit, layer, self.instance.commit(&self.facts, &request)?, None, true)
    }

    /// Plan a mount.
    pub(crate) fn mount(&self, chain: &Chain, read_only: bool, own: &[Setting]) -> Result<NewMount, Error> {
        let request = MountRequest {
            id: chain.layer.clone(),
            kind: chain.kind,
            parents: chain.parents.clone(),
            read_only,
            settings: self.with_settings(own),
        };
        let mounted = self.instance.mount(&self.facts, &request)?;
        let plan =
            self.checked(Operation::Mount, &chain.layer, mounted.steps, Some(&mounted.target), false)?;
        Ok(NewMount { plan, target: mounted.target })
    }

    /// Plan the end of a mount.
    pub(crate) fn unmount(&self, layer: &str) -> Result<Prepared, Error> {
        self.checked(Operation::Unmount, layer, self.instance.unmount(layer)?, None, false)
    }

    /// Plan the removal of a layer.
    pub(crate) fn remove(&self, layer: &str) -> Result<Prepared, Error> {
        self.checked(Operation::Remove, layer, self.instance.remove(layer)?, None, false)
    }

    /// The directory whose bytes a layer is charged with.
    pub(crate) fn usage(&self, layer: &str) -> Result<Place, Error> {
        let place = self.instance.usage(layer)?;
        self.check_place(&place, layer)?;
        Ok(place)
    }

    /// How the changes of a layer are found.
    pub(crate) fn diff(&self, layer: &str) -> Result<Difference, Error> {
        let difference = self.instance.diff(layer)?;
        match &difference {
            Difference::Changes((place, _)) | Difference::Tree(place) => self.check_place(place, layer)?,
            Difference::Mounted => {}
        }
        Ok(difference)
    }

    /// The directory of a layer, open: it holds just the changes, or with [`Whiteouts::None`] the whole tree. None
    /// where it can be read only while it is mounted ([`crate::tree`]).
    pub(crate) fn content(&self, layer: &str) -> Result<Option<(Dir, Whiteouts)>, Error> {
        let (place, format) = match self.diff(layer)? {
            Difference::Changes(changes) => changes,
            Difference::Tree(place) => (place, Whiteouts::None),
            Difference::Mounted => return Ok(None),
        };
        // Changes are written there too: no link leads elsewhere.
        Ok(Some((self.roots.open_own(&place)?, format)))
    }

    /// The entries of the home that belong to a layer.
    pub(crate) fn footprint(&self, layer: &str) -> Result<Vec<Place>, Error> {
        Ok(self.instance.footprint(layer)?)
    }

    /// Check a plan, and the place that came with it.
    fn checked(
        &self,
        operation: Operation,
        layer: &str,
        steps: Vec<Step>,
        place: Option<&Place>,
        links: bool,
    ) -> Result<Prepared, Error> {
        let footprint = self.instance.footprint(layer)?;
        let rules = Rules { links, ..self.rules(layer, &footprint) };
        check(&steps, &rules)
            .and_then(|()| place.map_or(Ok(()), |place| check_place(place, &rules)))
            .map_err(|source| self.refused(operation.name(), source))?;
        Ok(Prepared { operation, layer: layer.to_owned(), steps, serving: OsString::new() })
    }

    fn check_place(&self, place: &Place, layer: &str) -> Result<(), Error> {
        let footprint = self.instance.footprint(layer)?;
        check_place(place, &self.rules(layer, &footprint)).map_err(|source| self.refused("answer", source))
    }

    fn rules<'a>(&'a self, layer: &'a str, footprint: &'a [Place]) -> Rules<'a> {
        let (driver, grants, shared) = (self.name(), self.grants(), self.layout.shared.as_slice());
        Rules { driver, grants, layer, footprint, shared, settings: &self.chosen, links: false }
    }

    fn refused(&self, operation: &'static str, source: PlanFault) -> Error {
        let driver = self.name().to_owned();
        let asks = |name: &str| self.component.description().grants.iter().any(|grant| grant.name() == name);
        match source {
            PlanFault::Ungranted { step: number, kind: step, grant } if asks(grant) => {
                Error::NotGranted { driver, operation, number, step, grant }
            }
            source => Error::BadPlan { driver, operation, source },
        }
    }

    /// What it may do: what it asks for, and no more than was granted when it was installed.
    pub(crate) fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Whether the user gave this word as an option's value, for all layers or for one whose settings are `own`.
    pub(crate) fn is_word_of_user(&self, word: &str, own: &[Setting]) -> bool {
        self.chosen.iter().chain(own).any(|setting| setting.value == word)
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// The driver's settings with those of one layer on top.
    fn with_settings(&self, own: &[Setting]) -> Vec<Setting> {
        let mut all = self.settings.clone();
        for setting in own {
            match all.iter_mut().find(|s| s.name == setting.name) {
                Some(known) => known.value.clone_from(&setting.value),
                None => all.push(setting.clone()),
            }
        }
        all
    }
}
