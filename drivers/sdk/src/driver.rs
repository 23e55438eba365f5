//! The one trait of a storage driver, and what connects it to the generated bindings.

use std::marker::PhantomData;
use std::sync::Once;

use crate::bindings::described::exports::nacre::storage::component;
use crate::bindings::storage_driver::exports::nacre::storage::storage_driver;
use crate::{
    Call, CommitRequest, CreateRequest, Description, Difference, Example, Facts, HomeLayout, MountRequest,
    Place, Plan, Planned, Refusal, Setting, Suitability, Whiteouts,
};

/// A new layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The steps that make it. Undone if the layer is not finished.
    pub steps: Plan,
    /// Where an image layer's content goes. For a container layer: where its changes are.
    pub content: Place,
    /// How deleted names are to be written there.
    pub format: Whiteouts,
}

/// A chain shown as one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// The steps that mount it. Undone if the mount is not finished.
    pub steps: Plan,
    /// Where the tree is then.
    pub target: Place,
}

/// A storage driver. What each function must answer is in `wit/storage-driver.wit`, with the life of a layer.
///
/// Every function is pure: the same facts, state and request give the same answer.
pub trait StorageDriver {
    /// Describe this component: its name, the steps that it needs to be granted, its options.
    fn describe() -> Description;

    /// What the host must know before it uses this driver.
    fn layout() -> HomeLayout;

    /// Say whether this driver can work here. The first requirement that is missing is the error.
    ///
    /// # Errors
    /// A requirement that is missing, or an option that cannot be used here.
    fn probe(facts: &Facts, settings: &[Setting]) -> Result<Suitability, Refusal>;

    /// Plan a new layer. A chain that could not be mounted later is refused here.
    ///
    /// # Errors
    /// The chain is too deep, or an id is none.
    fn create_layer(facts: &Facts, request: &CreateRequest) -> Result<Created, Refusal>;

    /// Plan the end of an image layer's filling.
    ///
    /// # Errors
    /// The chain is too deep, or an id is none.
    fn commit(facts: &Facts, request: &CommitRequest) -> Result<Plan, Refusal>;

    /// Plan a mount.
    ///
    /// # Errors
    /// The chain is too deep, or an id is none.
    fn mount(facts: &Facts, request: &MountRequest) -> Result<Mounted, Refusal>;

    /// Plan the end of a mount that this driver planned.
    ///
    /// # Errors
    /// The id is none.
    fn unmount(id: &str) -> Result<Plan, Refusal>;

    /// Plan the removal of a layer; also of one whose creation was cut short.
    ///
    /// # Errors
    /// The id is none.
    fn remove(id: &str) -> Result<Plan, Refusal>;

    /// The directory whose bytes a layer is charged with.
    ///
    /// # Errors
    /// The id is none.
    fn usage(id: &str) -> Result<Place, Refusal>;

    /// Say how the changes of a layer are found.
    ///
    /// # Errors
    /// The id is none.
    fn diff(id: &str) -> Result<Difference, Refusal>;

    /// The entries of the home, and of its shared folders, that belong to a layer.
    ///
    /// # Errors
    /// The id is none.
    fn footprint(id: &str) -> Result<Vec<Place>, Refusal>;

    /// Worked examples, at least one for each call. They are run as tests.
    fn examples() -> Vec<Example>;
}

/// Make a type that implements [`StorageDriver`] what this component is. Once for each crate.
///
/// The exports exist only in WebAssembly: no native linker takes their names. Elsewhere the crate is an
/// ordinary library, to be tested.
#[macro_export]
macro_rules! export {
    ($driver:ty) => {
        #[cfg(target_arch = "wasm32")]
        type NacreExportedDriver = $crate::Exported<$driver>;
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::described::__export_described!(
            NacreExportedDriver with_types_in $crate::bindings::described
        );
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::storage_driver::__export_storage_driver!(
            NacreExportedDriver with_types_in $crate::bindings::storage_driver
        );
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::Description = <$driver as $crate::StorageDriver>::describe;
    };
}

/// A [`StorageDriver`] in the form that the generated bindings want.
#[doc(hidden)]
#[derive(Debug)]
pub struct Exported<D>(PhantomData<D>);

impl<D: StorageDriver> component::Guest for Exported<D> {
    fn describe() -> Description {
        report_panics();
        D::describe()
    }
}

impl<D: StorageDriver> storage_driver::Guest for Exported<D> {
    fn layout() -> HomeLayout {
        report_panics();
        D::layout()
    }

    fn probe(facts: Facts, settings: Vec<Setting>) -> Result<Suitability, Refusal> {
        report_panics();
        D::probe(&facts, &settings)
    }

    fn plan_for(facts: Option<Facts>, call: Call) -> Result<Planned, Refusal> {
        report_panics();
        // The contract promises them with these calls.
        #[allow(clippy::expect_used)]
        let facts = || facts.as_ref().expect("the host gave no facts");
        let steps = match call {
            Call::Create(request) => {
                let Created { steps, content, format } = D::create_layer(facts(), &request)?;
                return Ok(Planned { steps, at: Some(content), format: Some(format) });
            }
            Call::Mount(request) => {
                let Mounted { steps, target } = D::mount(facts(), &request)?;
                return Ok(Planned { steps, at: Some(target), format: None });
            }
            Call::Commit(request) => D::commit(facts(), &request),
            Call::Unmount(id) => D::unmount(&id),
            Call::Remove(id) => D::remove(&id),
        };
        Ok(Planned { steps: steps?, at: None, format: None })
    }

    fn usage(id: String) -> Result<Place, Refusal> {
        report_panics();
        D::usage(&id)
    }

    fn diff(id: String) -> Result<Difference, Refusal> {
        report_panics();
        D::diff(&id)
    }

    fn footprint(id: String) -> Result<Vec<Place>, Refusal> {
        report_panics();
        D::footprint(&id)
    }

    fn examples() -> Vec<Example> {
        report_panics();
        D::examples()
    }
}

/// A panic's message is the last thing that the component says: nacre puts it into its report.
pub(crate) fn report_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| std::panic::set_hook(Box::new(|panic| crate::log::warn(&panic.to_string()))));
}
