//! Components that misbehave: each is told apart in clear words, and the host goes on with the next one.
// clippy takes only the functions marked #[test] for tests.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{capable, host, hostile, impatient, overlay2};
use nacre_plugin::plan::Step;
use nacre_plugin::storage::CreateRequest;
use nacre_plugin::types::{LayerKind, Setting};
use nacre_plugin::{ComponentHost, Error, NoState, StateError, StateView, StorageDriver, Trap, TrapReason};

/// The trap of one bad call. Then the same driver, and another component, must still work.
fn trap(host: &ComponentHost, how: &str) -> Trap {
    let driver = hostile(host);
    let error = driver.remove(how).unwrap_err();
    assert_eq!(driver.remove("x").unwrap().len(), 1, "the driver is of no use after `{how}`");
    assert_eq!(overlay2(host).driver(Arc::new(NoState)).unwrap().remove(&"a".repeat(64)).unwrap().len(), 2);
    match error {
        Error::Trap(trap) => {
            assert_eq!((trap.component.as_str(), trap.export), ("hostile", "remove"));
            *trap
        }
        other => panic!("`{how}` gave {other}"),
    }
}

fn answer(how: &str) -> Error {
    hostile(&host()).remove(how).unwrap_err()
}

#[test]
fn an_endless_loop_is_stopped_in_time() {
    let trap = trap(&impatient(), "loop");
    assert_eq!(trap.reason, TrapReason::TimeOut { limit: Duration::from_secs(1) });
    assert!(trap.to_string().starts_with("hostile failed in `remove`: it ran longer than 1s"), "{trap}");
}

#[test]
fn a_memory_hog_meets_its_limit() {
    let trap = trap(&host(), "memory");
    assert_eq!(trap.reason, TrapReason::Memory { limit: 64 << 20 });
    assert_eq!(trap.reason.to_string(), "it used more than 64 MiB of memory");
}

#[test]
fn a_stack_overflow_is_named() {
    assert_eq!(trap(&host(), "stack").reason, TrapReason::StackOverflow);
}

#[test]
fn a_panic_brings_its_message_and_the_guests_own_stack() {
    let trap = trap(&host(), "panic");
    assert_eq!(trap.reason, TrapReason::Panic);
    let last = trap.log.last().unwrap();
    assert!(last.contains("the pearl is gone") && last.contains("hostile/src/lib.rs"), "{last}");
    assert!(trap.backtrace.iter().any(|frame| frame.contains("nacre_guest_hostile::act")), "{trap}");
}

#[test]
fn a_bare_trap_is_named() {
    let trap = trap(&host(), "trap");
    assert_eq!(trap.reason, TrapReason::Unreachable);
    assert!(trap.backtrace.iter().any(|frame| frame.contains("nacre_guest_hostile")), "{trap}");
}

#[test]
fn a_gibibyte_in_an_answer_does_not_reach_the_host() {
    let before = peak_memory();
    assert_eq!(trap(&host(), "bytes").reason, TrapReason::AnswerTooLarge { limit: 16 << 20 });
    assert!(peak_memory() - before < 256 << 20, "{} MiB", (peak_memory() - before) >> 20);
}

fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn a_plan_of_too_many_steps_is_no_answer() {
    let error = answer("steps");
    assert!(matches!(error, Error::InvalidAnswer { .. }), "{error}");
    let words = "hostile gave an invalid answer to `remove`: a plan of 100000 steps: the most is 4096";
    assert_eq!(error.to_string(), words);
}

#[test]
fn a_path_that_no_kernel_takes_is_no_answer() {
    let error = answer("path");
    assert!(matches!(error, Error::InvalidAnswer { .. }), "{error}");
    assert!(error.to_string().contains("step 1 (make-dir): the bytes of a path: 100000"), "{error}");
}

#[test]
fn a_flood_of_messages_is_cut_and_the_answer_still_comes() {
    assert_eq!(hostile(&host()).remove("log").unwrap().len(), 2);
}

#[test]
fn steps_are_handed_on_as_they_are_for_whoever_checks_them() {
    let driver = hostile(&host());
    let Step::MakeDir(escape) = &driver.remove("escape").unwrap()[0] else { panic!() };
    assert_eq!(escape.at.to_string(), "home:../x");
    assert_eq!(driver.remove("ungranted").unwrap()[0].name(), "mount-tmpfs");
}

#[test]
fn the_option_how_reaches_the_other_calls() {
    let driver = hostile(&impatient());
    let settings = vec![Setting { name: "how".into(), value: "panic".into() }];
    let request =
        CreateRequest { id: "a".repeat(64), kind: LayerKind::Image, parents: Some(vec![]), settings };
    let error = driver.create_layer(&capable(), &request).unwrap_err();
    assert!(matches!(&error, Error::Trap(trap) if trap.export == "create"), "{error}");
}

#[test]
fn a_description_that_changes_is_refused() {
    let error = host().load("fickle.wasm", nacre_test_guests::FICKLE).unwrap_err();
    let words = "fickle.wasm describes itself wrongly: two calls of `describe` gave different answers";
    assert_eq!(error.to_string(), words);
}

#[test]
fn what_is_no_component_is_told_apart() {
    let load = |wasm: &[u8]| host().load("x.wasm", wasm).unwrap_err();
    let garbage = load(nacre_test_guests::GARBAGE);
    assert!(matches!(garbage, Error::NotAComponent { .. }), "{garbage}");
    assert!(garbage.to_string().contains("not those of WebAssembly"), "{garbage}");
    let module = load(nacre_test_guests::CORE_MODULE);
    assert!(module.to_string().contains("it is a core module"), "{module}");
    assert!(matches!(load(b""), Error::NotAComponent { .. }));
    let wasm = nacre_test_guests::HOSTILE;
    assert!(matches!(load(&wasm[..wasm.len() / 2]), Error::NotAComponent { .. }));
    assert!(matches!(load(nacre_test_guests::EMPTY_COMPONENT), Error::MissingExport { .. }));
}

#[test]
fn a_component_that_wants_wasi_is_refused_by_the_name_of_the_import() {
    let error = host().load("x.wasm", nacre_test_guests::IMPORTS_WASI).unwrap_err();
    let Error::ForeignImport { import, .. } = &error else { panic!("{error}") };
    assert_eq!(import, "wasi:cli/environment@0.2.0");
    let report = host().check("x.wasm", nacre_test_guests::IMPORTS_WASI);
    assert!(report.uses_wasi && report.description.is_none());
    assert_eq!(report.foreign_imports, ["wasi:cli/environment@0.2.0"]);
}

#[test]
fn a_component_larger_than_the_limit_is_not_compiled() {
    let error = host().load("x.wasm", &vec![0; (64 << 20) + 1]).unwrap_err();
    assert!(error.to_string().contains("larger than 64 MiB"), "{error}");
}

#[test]
fn a_component_sees_its_state_and_a_new_value_is_a_step() {
    let saved: BTreeMap<String, Vec<u8>> = [("a/1", 1), ("a/2", 2), ("b", 3)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), vec![value]))
        .collect();
    let component = host().load("hostile.wasm", nacre_test_guests::HOSTILE).unwrap();
    let plan = component.driver(Arc::new(saved)).unwrap().remove("state").unwrap();
    let values: Vec<(&str, &[u8])> = plan
        .iter()
        .map(|step| match step {
            Step::SetState(s) => (s.key.as_str(), s.value.as_slice()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(values, [("keys", b"a/1,a/2".as_slice()), ("b", &[4])]);
}

#[test]
fn state_that_cannot_be_read_ends_the_call_and_nothing_else() {
    let component = host().load("hostile.wasm", nacre_test_guests::HOSTILE).unwrap();
    let driver = component.driver(Arc::new(Unreadable)).unwrap();
    match driver.remove("state").unwrap_err() {
        Error::Trap(trap) => assert_eq!(trap.reason, TrapReason::State("the disk is on fire".to_owned())),
        other => panic!("{other}"),
    }
    assert_eq!(driver.remove("x").unwrap().len(), 1);
}

/// A state that cannot be read.
#[derive(Debug)]
struct Unreadable;

impl StateView for Unreadable {
    fn get(&self, _: &str) -> Result<Option<Vec<u8>>, StateError> {
        Err("the disk is on fire".into())
    }

    fn keys(&self, _: &str, _: usize) -> Result<Vec<String>, StateError> {
        Err("the disk is on fire".into())
    }
}
