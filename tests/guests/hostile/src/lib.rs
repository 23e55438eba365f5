//! A storage driver that does what it is told, all of it bad. The words are in `nacre-test-guests`.
// Misbehaving is what it is for.
#![allow(clippy::panic, clippy::infinite_loop, unconditional_recursion)]

use nacre_driver_sdk::{
    CommitRequest, CreateRequest, Created, Description, Difference, Example, Facts, Grant, HomeLayout,
    MountRequest, Mounted, Place, Plan, Refusal, Role, Setting, Settings, Step, StorageDriver, Suitability,
    Whiteouts, choice, home, log, make_dir, mount_bind, mount_tmpfs, remove_tree, set_state, state, symlink,
    unmount,
};

const WORDS: [&str; 18] = [
    "none",
    "loop",
    "memory",
    "stack",
    "panic",
    "trap",
    "escape",
    "absolute",
    "link",
    "ungranted",
    "foreign",
    "reach",
    "content",
    "steps",
    "bytes",
    "path",
    "log",
    "state",
];

/// The driver.
#[derive(Debug)]
pub struct Hostile;

fn act(how: &str, id: &str, parents: &[String]) -> Plan {
    match how {
        "loop" => loop {
            std::hint::black_box(how);
        },
        "memory" => {
            let mut hog: Vec<Vec<u8>> = Vec::new();
            loop {
                hog.push(std::hint::black_box(vec![1; 1 << 20]));
            }
        }
        "stack" => vec![make_dir(home(deeper(1).to_string()), 0o700)],
        "panic" => panic!("the pearl is gone"),
        "trap" => give_up(),
        "escape" => vec![make_dir(home("../x"), 0o700)],
        "absolute" => vec![make_dir(home("/etc/x"), 0o700)],
        "link" => vec![make_dir(home(id), 0o700), symlink(home(id).join("link"), "../../../etc")],
        "ungranted" => vec![mount_tmpfs(&home(id), None, 0o700)],
        "foreign" => vec![remove_tree(home("0".repeat(64)))],
        "reach" => reach(id, parents),
        "steps" => vec![remove_tree(home("x")); 100_000],
        "bytes" => gibibyte(),
        "path" => vec![make_dir(home("x".repeat(100_000)), 0o700)],
        "log" => {
            let message = "noise ".repeat(1700);
            (0..100_000).for_each(|_| log::info(&message));
            good(id)
        }
        "state" => vec![set_state("keys", state::keys("a/").join(",")), set_state("b", count())],
        _ => good(id),
    }
}

/// One more than what is saved.
fn count() -> Vec<u8> {
    let saved = state::get("b").and_then(|value| value.first().copied());
    vec![saved.unwrap_or(0) + 1]
}

fn good(id: &str) -> Plan {
    vec![make_dir(home(id), 0o700), make_dir(home(id).join("diff"), 0o755)]
}

/// Through a link, a name of the layer's own leads into its parent.
fn reach(id: &str, parents: &[String]) -> Plan {
    let (way, parent) = (home(id).join("way"), parents.first().map_or("", String::as_str));
    let begin = if parents.is_empty() { good(id) } else { vec![] };
    let steps = [symlink(way.clone(), format!("../{parent}")), remove_tree(way.join("diff"))];
    begin.into_iter().chain(steps).collect()
}

fn deeper(depth: u64) -> u64 {
    std::hint::black_box(deeper(std::hint::black_box(depth) + 1)) + 1
}

fn give_up() -> Plan {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort()
}

/// A thousand steps that all point at the same mebibyte: what the host would have to copy is a gibibyte, though
/// the guest has one. (The guest frees nothing: it never gets so far.)
#[allow(unsafe_code, clippy::undocumented_unsafe_blocks)]
fn gibibyte() -> Plan {
    let text: &'static str = Box::leak("x".repeat(1 << 20).into_boxed_str());
    let again = || unsafe { String::from_raw_parts(text.as_ptr().cast_mut(), text.len(), text.len()) };
    (0..1024).map(|_| Step::RemoveTree(home(again()))).collect()
}

impl StorageDriver for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile".into(),
            version: "0.1.0".into(),
            summary: "Does what it is told, all of it bad.".into(),
            roles: vec![Role::StorageDriver],
            grants: vec![Grant::Tree, Grant::MountBind, Grant::State],
            options: vec![choice("how", &WORDS, "none", "What it does.")],
        }
    }

    fn layout() -> HomeLayout {
        HomeLayout { detached: true, shared: vec![] }
    }

    fn probe(_: &Facts, _: &[Setting]) -> Result<Suitability, Refusal> {
        Ok(Suitability { max_depth: 500, how: None })
    }

    fn create_layer(_: &Facts, request: &CreateRequest) -> Result<Created, Refusal> {
        let how = request.settings.text("how")?;
        let steps = act(how, &request.id, &[]);
        let content = if how == "content" { home("elsewhere") } else { home(&request.id).join("diff") };
        Ok(Created { steps, content, format: Whiteouts::Overlay })
    }

    fn commit(_: &Facts, _: &CommitRequest) -> Result<Plan, Refusal> {
        Ok(vec![])
    }

    fn mount(_: &Facts, request: &MountRequest) -> Result<Mounted, Refusal> {
        let target = home(&request.id).join("merged");
        let mut steps = vec![make_dir(target.clone(), 0o700)];
        match request.settings.text("how")? {
            "none" => steps.push(mount_bind(home(&request.id).join("diff"), &target, request.read_only)),
            how => steps = act(how, &request.id, &request.parents),
        }
        Ok(Mounted { steps, target })
    }

    fn unmount(id: &str) -> Result<Plan, Refusal> {
        let merged = home(id).join("merged");
        Ok(vec![unmount(merged.clone()), remove_tree(merged)])
    }

    fn remove(id: &str) -> Result<Plan, Refusal> {
        if WORDS.contains(&id) { Ok(act(id, id, &[])) } else { Ok(vec![remove_tree(home(id))]) }
    }

    fn usage(id: &str) -> Result<Place, Refusal> {
        Ok(home(id).join("diff"))
    }

    fn diff(id: &str) -> Result<Difference, Refusal> {
        Ok(Difference::Changes((home(id).join("diff"), Whiteouts::Overlay)))
    }

    fn footprint(id: &str) -> Result<Vec<Place>, Refusal> {
        Ok(vec![home(id)])
    }

    fn examples() -> Vec<Example> {
        vec![]
    }
}

nacre_driver_sdk::export!(Hostile);
