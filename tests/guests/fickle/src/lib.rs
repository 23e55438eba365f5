//! A storage driver whose description is another one at each call.

use std::sync::atomic::{AtomicU32, Ordering};

use nacre_driver_sdk::{
    CommitRequest, CreateRequest, Created, Description, Difference, Example, Facts, HomeLayout, MountRequest,
    Mounted, Place, Plan, Refusal, Requirement, Role, Setting, StorageDriver, Suitability,
};

/// The driver.
#[derive(Debug)]
pub struct Fickle;

const NO: Refusal = Refusal::Unsupported(Requirement::OtherFilesystem);

impl StorageDriver for Fickle {
    fn describe() -> Description {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        Description {
            name: "fickle".into(),
            version: format!("0.1.{}", CALLS.fetch_add(1, Ordering::Relaxed)),
            summary: "Changes its mind.".into(),
            roles: vec![Role::StorageDriver],
            grants: vec![],
            options: vec![],
        }
    }

    fn layout() -> HomeLayout {
        HomeLayout { detached: false, shared: vec![] }
    }

    fn probe(_: &Facts, _: &[Setting]) -> Result<Suitability, Refusal> {
        Err(NO)
    }

    fn create_layer(_: &Facts, _: &CreateRequest) -> Result<Created, Refusal> {
        Err(NO)
    }

    fn commit(_: &Facts, _: &CommitRequest) -> Result<Plan, Refusal> {
        Err(NO)
    }

    fn mount(_: &Facts, _: &MountRequest) -> Result<Mounted, Refusal> {
        Err(NO)
    }

    fn unmount(_: &str) -> Result<Plan, Refusal> {
        Err(NO)
    }

    fn remove(_: &str) -> Result<Plan, Refusal> {
        Err(NO)
    }

    fn usage(_: &str) -> Result<Place, Refusal> {
        Err(NO)
    }

    fn diff(_: &str) -> Result<Difference, Refusal> {
        Err(NO)
    }

    fn footprint(_: &str) -> Result<Vec<Place>, Refusal> {
        Err(NO)
    }

    fn examples() -> Vec<Example> {
        vec![]
    }
}

nacre_driver_sdk::export!(Fickle);
