//! A storage driver, as the rest of nacre sees it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::Store;

use crate::answer::Answer;
use crate::bindings::exports::nacre::storage::storage_driver::{Guest as Exports, GuestIndices};
use crate::component::Component;
use crate::contract::description::Description;
use crate::contract::plan::Plan;
use crate::contract::storage::{
    Call, CommitRequest, CreateRequest, Created, Difference, Example, HomeLayout, MountRequest, Mounted,
    Planned, Suitability,
};
use crate::contract::types::{Facts, Place, Refusal, Setting};
use crate::error::{Error, Result};
use crate::instance::{Guest, Warm};
use crate::state::StateView;

/// The interface `storage-driver` of the contract. Every call is pure: it answers with data, and nothing has
/// happened when it returns.
///
/// An `Err` is a trap, a refusal, or an answer that the contract forbids ([`Error`](crate::Error)). Steps are
/// *not* checked against roots and grants here: whoever runs a plan does that.
pub trait StorageDriver: Send + Sync + fmt::Debug {
    /// What the component said of itself when it was loaded.
    fn description(&self) -> &Description;

    /// What the host must know before it uses this driver. The same at every call.
    fn layout(&self) -> Result<HomeLayout>;

    /// Whether this driver can work here.
    fn probe(&self, facts: &Facts, settings: &[Setting]) -> Result<Suitability>;

    /// Plan a new layer.
    fn create_layer(&self, facts: &Facts, request: &CreateRequest) -> Result<Created>;

    /// Plan the end of an image layer's filling.
    fn commit(&self, facts: &Facts, request: &CommitRequest) -> Result<Plan>;

    /// Plan a mount.
    fn mount(&self, facts: &Facts, request: &MountRequest) -> Result<Mounted>;

    /// Plan the end of a mount.
    fn unmount(&self, id: &str) -> Result<Plan>;

    /// Plan the removal of a layer, also of one whose creation was cut short.
    fn remove(&self, id: &str) -> Result<Plan>;

    /// The directory whose bytes a layer is charged with.
    fn usage(&self, id: &str) -> Result<Place>;

    /// How the changes of a layer are found.
    fn diff(&self, id: &str) -> Result<Difference>;

    /// The entries of the home, and of its shared folders, that belong to a layer.
    fn footprint(&self, id: &str) -> Result<Vec<Place>>;

    /// Worked examples.
    fn examples(&self) -> Result<Vec<Example>>;

    /// What the calls of this value have cost so far.
    fn spent(&self) -> Spent;
}

/// What calls have cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Calls that were made.
    pub calls: u64,
    /// Time from handing a request over to holding the answer, new instances included.
    pub time: Duration,
}

/// A [`StorageDriver`] that is a component.
pub struct Driver {
    component: Component,
    role: GuestIndices,
    state: Arc<dyn StateView>,
    inner: Mutex<Inner>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Driver").field("component", &self.component).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Inner {
    warm: Warm<Exports>,
    spent: Spent,
}

impl Driver {
    pub(crate) fn new(component: Component, role: GuestIndices, state: Arc<dyn StateView>) -> Driver {
        Driver { component, role, state, inner: Mutex::default() }
    }

    /// The component.
    #[must_use]
    pub fn component(&self) -> &Component {
        &self.component
    }

    fn call<R>(
        &self,
        export: &'static str,
        call: impl FnOnce(&mut Store<Guest>, &Exports) -> wasmtime::Result<R>,
    ) -> Result<R> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let answer = inner.warm.call(&self.component.caller(&self.role), &self.state, export, call);
        inner.spent.calls += 1;
        inner.spent.time += begun.elapsed();
        answer
    }

    /// A call that may be refused, and whose answer has rules.
    fn ask<R: Answer>(
        &self,
        export: &'static str,
        call: impl FnOnce(&mut Store<Guest>, &Exports) -> wasmtime::Result<Result<R, Refusal>>,
    ) -> Result<R> {
        let component = || self.component.name().to_string();
        match self.call(export, call)? {
            Ok(answer) => match answer.fault() {
                None => Ok(answer),
                Some(reason) => Err(Error::InvalidAnswer { component: component(), export, reason }),
            },
            Err(refusal) => Err(Error::Refused { component: component(), export, refusal }),
        }
    }

    /// A call of `plan-for`. In reports it has the name of what is asked for.
    fn plan(&self, facts: Option<&Facts>, asked: &Call) -> Result<Planned> {
        self.ask(name_of(asked), |store, driver| driver.call_plan_for(store, facts, asked))
    }

    /// A part that the contract wants in the answer to a call.
    fn must<T>(&self, part: Option<T>, of: &'static str, what: &str) -> Result<T> {
        part.ok_or_else(|| Error::InvalidAnswer {
            component: self.component.name().to_string(),
            export: of,
            reason: format!("it does not say {what}"),
        })
    }
}

fn name_of(call: &Call) -> &'static str {
    match call {
        Call::Create(_) => "create",
        Call::Commit(_) => "commit",
        Call::Mount(_) => "mount",
        Call::Unmount(_) => "unmount",
        Call::Remove(_) => "remove",
    }
}

impl StorageDriver for Driver {
    fn description(&self) -> &Description {
        self.component.description()
    }

    fn layout(&self) -> Result<HomeLayout> {
        self.ask("layout", |store, driver| driver.call_layout(store).map(Ok))
    }

    fn probe(&self, facts: &Facts, settings: &[Setting]) -> Result<Suitability> {
        self.ask("probe", |store, driver| driver.call_probe(store, facts, settings))
    }

    fn create_layer(&self, facts: &Facts, request: &CreateRequest) -> Result<Created> {
        let Planned { steps, at, format } = self.plan(Some(facts), &Call::Create(request.clone()))?;
        let content = self.must(at, "create", "where the layer's content goes")?;
        let format = self.must(format, "create", "how deleted names are written")?;
        Ok(Created { steps, content, format })
    }

    fn commit(&self, facts: &Facts, request: &CommitRequest) -> Result<Plan> {
        Ok(self.plan(Some(facts), &Call::Commit(request.clone()))?.steps)
    }

    fn mount(&self, facts: &Facts, request: &MountRequest) -> Result<Mounted> {
        let Planned { steps, at, .. } = self.plan(Some(facts), &Call::Mount(request.clone()))?;
        Ok(Mounted { steps, target: self.must(at, "mount", "where the tree is")? })
    }

    fn unmount(&self, id: &str) -> Result<Plan> {
        Ok(self.plan(None, &Call::Unmount(id.to_owned()))?.steps)
    }

    fn remove(&self, id: &str) -> Result<Plan> {
        Ok(self.plan(None, &Call::Remove(id.to_owned()))?.steps)
    }

    fn usage(&self, id: &str) -> Result<Place> {
        self.ask("usage", |store, driver| driver.call_usage(store, &id.to_owned()))
    }

    fn diff(&self, id: &str) -> Result<Difference> {
        self.ask("diff", |store, driver| driver.call_diff(store, &id.to_owned()))
    }

    fn footprint(&self, id: &str) -> Result<Vec<Place>> {
        self.ask("footprint", |store, driver| driver.call_footprint(store, &id.to_owned()))
    }

    fn examples(&self) -> Result<Vec<Example>> {
        self.ask("examples", |store, driver| driver.call_examples(store).map(Ok))
    }

    fn spent(&self) -> Spent {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).spent
    }
}
