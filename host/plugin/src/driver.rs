//! A storage driver, as the rest of nacre sees it.

use std::fmt;
use std::time::Duration;

use crate::contract::description::Description;
use crate::contract::plan::Plan;
use crate::contract::storage::{
    CommitRequest, CreateRequest, Created, Difference, Example, HomeLayout, MountRequest, Mounted,
    Suitability,
};
use crate::contract::types::{Facts, Place, Setting};
use crate::error::Result;

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
