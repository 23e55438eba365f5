//! The component that ships, through the host.
// clippy takes only the functions marked #[test] for tests.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::{capable, host, overlay2};
use nacre_plugin::description::{Grant, Role};
use nacre_plugin::storage::{Call, CreateRequest, Example};
use nacre_plugin::types::{LayerKind, Refusal};
use nacre_plugin::{Error, NoState, StorageDriver};

#[test]
fn every_worked_example_gives_its_plan() {
    let component = overlay2(&host());
    let driver = component.driver(Arc::new(NoState)).unwrap();
    let facts = capable();
    let examples = driver.examples().unwrap();
    assert!(examples.len() >= 9);
    for Example { title, call, steps } in examples {
        let plan = match call {
            Call::Create(request) => driver.create_layer(&facts, &request).unwrap().steps,
            Call::Commit(request) => driver.commit(&facts, &request).unwrap(),
            Call::Mount(request) => driver.mount(&facts, &request).unwrap().steps,
            Call::Unmount(id) => driver.unmount(&id).unwrap(),
            Call::Remove(id) => driver.remove(&id).unwrap(),
        };
        assert_eq!(plan, steps, "{title}");
        for step in plan {
            let granted = &component.description().grants;
            assert!(
                step.needs_one_of().iter().any(|grant| granted.contains(grant)),
                "{title}: {}",
                step.name()
            );
        }
    }
}

#[test]
fn it_is_small_and_can_reach_nothing() {
    let wasm = nacre_drivers::find("overlay2").unwrap().wasm;
    assert!((15_000..100_000).contains(&wasm.len()), "{} bytes", wasm.len());
    let report = host().check("built in", wasm);
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(!report.uses_wasi && report.foreign_imports.is_empty());
    assert!(report.imports.iter().all(|import| import.starts_with("nacre:storage/")), "{:?}", report.imports);
    let description = report.description.unwrap();
    assert_eq!((description.name.as_str(), description.roles), ("overlay2", vec![Role::StorageDriver]));
    assert_eq!(description.grants, [Grant::Tree, Grant::MountOverlay, Grant::MountBind, Grant::Limit]);
}

#[test]
fn a_refusal_is_data_and_a_clear_sentence() {
    let component = overlay2(&host());
    let driver = component.driver(Arc::new(NoState)).unwrap();
    let refused = driver.remove("../etc").unwrap_err();
    assert_eq!(refused.to_string(), "overlay2: `../etc` is not a layer id");
    let request = CreateRequest {
        id: "e".repeat(64),
        kind: LayerKind::Container,
        parents: Some((0..500).map(|number| format!("{number:064x}")).collect()),
        settings: component.settings(&[]).unwrap(),
    };
    let refused = driver.create_layer(&capable(), &request).unwrap_err();
    assert!(
        matches!(&refused, Error::Refused { refusal: Refusal::TooDeep(fault), .. } if fault.limit == 500)
    );
    assert_eq!(
        refused.to_string(),
        "overlay2: a chain of 501 layers is too long: it can mount at most 500 here, the writable one included"
    );
}

#[test]
fn settings_come_from_its_description() {
    let component = overlay2(&host());
    let settings = component.settings(&["overlay2.volatile=on".into()]).unwrap();
    assert_eq!((settings[0].name.as_str(), settings[0].value.as_str()), ("volatile", "true"));
    let error = component.settings(&["overlay2.volatil=on".into()]).unwrap_err();
    assert_eq!(error.to_string(), "overlay2 has no option `volatil`; did you mean `volatile`?");
}

#[test]
fn threads_can_share_a_driver() {
    let driver = overlay2(&host()).driver(Arc::new(NoState)).unwrap();
    std::thread::scope(|scope| {
        for digit in ["1", "2", "3", "4"] {
            let driver = &driver;
            scope.spawn(move || {
                for _ in 0..200 {
                    assert_eq!(
                        driver.usage(&digit.repeat(64)).unwrap().path,
                        format!("{}/diff", digit.repeat(64))
                    );
                }
            });
        }
    });
    assert_eq!(driver.spent().calls, 800);
}

#[test]
fn plans_survive_serde() {
    let driver = overlay2(&host()).driver(Arc::new(NoState)).unwrap();
    for example in driver.examples().unwrap() {
        let json = serde_json::to_string(&example).unwrap();
        assert_eq!(serde_json::from_str::<Example>(&json).unwrap(), example);
    }
}
