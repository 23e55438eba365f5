//! A storage driver that is wrong in one way at a time, to show that the conformance suite finds it out.
//!
//! Without a lie it is a good driver, much as `drivers/plain`. The option `how` chooses the lie; because half of
//! the functions get no options, the first plan saves the word. Each word is told in `nacre-test-guests`.

mod lie;
mod plan;

use nacre_driver_sdk::{
    Call, CommitRequest, CreateRequest, Created, DepthFault, Description, Difference, Example, Facts, Grant,
    HomeLayout, LayerKind, MountRequest, Mounted, Place, Plan, Refusal, Requirement, Role, Setting,
    StorageDriver, Suitability, Whiteouts, choice, home, layer_id, remove_tree,
};

use lie::Lie;

/// The driver.
#[derive(Debug)]
pub struct Broken;

impl StorageDriver for Broken {
    fn describe() -> Description {
        Description {
            name: "broken".into(),
            version: "0.1.0".into(),
            summary: "Is wrong in the way that it is told to be.".into(),
            roles: vec![Role::StorageDriver],
            grants: vec![Grant::Tree, Grant::MountOverlay, Grant::MountTmpfs, Grant::State],
            options: vec![choice("how", &lie::WORDS, lie::NONE, "How it is wrong.")],
        }
    }

    fn layout() -> HomeLayout {
        HomeLayout { detached: true, shared: vec![plan::COMMON.into()] }
    }

    fn probe(facts: &Facts, settings: &[Setting]) -> Result<Suitability, Refusal> {
        let lie = Lie::of(settings)?;
        Ok(Suitability {
            max_depth: limit(facts)? + if lie.is("promises-too-much") { 20 } else { 0 },
            how: None,
        })
    }

    fn create_layer(facts: &Facts, request: &CreateRequest) -> Result<Created, Refusal> {
        let lie = Lie::of(&request.settings)?;
        let below = request.parents.as_ref().map_or(0, Vec::len);
        let (depth, limit) = (u32::try_from(below + 1).unwrap_or(u32::MAX), limit(facts)?);
        if depth > limit && !lie.is("promises-too-much") {
            return Err(Refusal::TooDeep(DepthFault { depth, limit }));
        }
        let format = if lie.is("loses-whiteouts") { Whiteouts::None } else { Whiteouts::Overlay };
        let content = plan::content(&request.id, request.kind, &lie)?;
        Ok(Created { steps: plan::create(request, &lie)?, content, format })
    }

    fn commit(_: &Facts, _: &CommitRequest) -> Result<Plan, Refusal> {
        Ok(vec![])
    }

    fn mount(facts: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
        plan::mount(facts, request, &Lie::of(&request.settings)?)
    }

    fn unmount(id: &str) -> Result<Plan, Refusal> {
        plan::unmount(id, &Lie::saved())
    }

    fn remove(id: &str) -> Result<Plan, Refusal> {
        plan::remove(id, &Lie::saved())
    }

    fn usage(id: &str) -> Result<Place, Refusal> {
        let lie = Lie::saved();
        let own = home(layer_id(id)?);
        Ok(if lie.is("wrong-usage") { own.join("empty") } else { plan::changes(id, &lie)? })
    }

    fn diff(id: &str) -> Result<Difference, Refusal> {
        let lie = Lie::saved();
        let own = home(layer_id(id)?);
        let place = if lie.is("wrong-difference") { own.join("empty") } else { plan::changes(id, &lie)? };
        Ok(Difference::Changes((place, Whiteouts::Overlay)))
    }

    fn footprint(id: &str) -> Result<Vec<Place>, Refusal> {
        let own = home(layer_id(id)?);
        Ok(if Lie::saved().is("disowns-layers") { vec![] } else { vec![own, plan::common_upper()] })
    }

    fn examples() -> Vec<Example> {
        let id = "a".repeat(64);
        vec![Example {
            title: "one folder is all that a layer has".into(),
            call: Call::Remove(id.clone()),
            steps: vec![remove_tree(home(id))],
        }]
    }
}

fn limit(facts: &Facts) -> Result<u32, Refusal> {
    Ok(facts.overlay.as_ref().ok_or(Refusal::Unsupported(Requirement::Overlay))?.max_lowers)
}

/// Whether a layer is a container's: only these are remembered.
fn is_container(kind: LayerKind) -> bool {
    kind == LayerKind::Container
}

nacre_driver_sdk::export!(Broken);
