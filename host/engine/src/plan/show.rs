//! Plans for people: what `--explain` prints.

use std::path::PathBuf;

use nacre_plugin::plan::{
    Limit, MountAufs, MountUnion, OverlayOption, OverlayUpper, PoolStorage, Sharing, Step,
};
use nacre_plugin::types::Place;

use super::Roots;
use super::run::zfs;
use crate::types::ExplainedStep;
use serde_json::Value;

/// One step with its paths made absolute.
pub(crate) fn explain(step: &Step, roots: &Roots) -> ExplainedStep {
    let (path, detail) = match step {
        Step::MakeDir(s) => (roots.absolute(&s.at), format!("mode {:04o}", s.mode)),
        Step::EnsureDir(s) => (roots.absolute(&s.at), format!("mode {:04o}, unless it is there", s.mode)),
        Step::WriteFile(s) => (roots.absolute(&s.at), written(&s.content)),
        Step::Symlink(s) => (roots.absolute(&s.at), format!("-> {}", s.target)),
        Step::Rename(s) => (roots.absolute(&s.source), format!("to {}", roots.absolute(&s.target).display())),
        Step::CopyTree(s) => {
            let how = match s.sharing {
                Sharing::Data => "",
                Sharing::Files => ", as hard links",
            };
            (roots.absolute(&s.target), format!("from {}{how}", roots.absolute(&s.source).display()))
        }
        Step::SubvolumeCreate(s) => (roots.absolute(&s.at), format!("mode {:04o}", s.mode)),
        Step::SubvolumeSnapshot(s) => {
            (roots.absolute(&s.target), format!("of {}", roots.absolute(&s.source).display()))
        }
        Step::Limit(s) => (roots.absolute(&s.at), limits(s)),
        Step::RemoveTree(place) | Step::SubvolumeDelete(place) => (roots.absolute(place), String::new()),
        Step::MountOverlay(s) => (roots.absolute(&s.target), overlay(s)),
        Step::MountBind(s) => (
            roots.absolute(&s.target),
            format!(
                "{}{}",
                roots.absolute(&s.source).display(),
                if s.read_only { ", read-only" } else { "" }
            ),
        ),
        Step::MountTmpfs(s) => {
            (roots.absolute(&s.target), s.size.map_or_else(String::new, |n| format!("at most {n} bytes")))
        }
        Step::ZfsCreate(name) | Step::ZfsDestroy(name) => (dataset(roots, name), String::new()),
        Step::ZfsSnapshot(s) => (dataset(roots, &zfs::snapshot_name(s)), String::new()),
        Step::ZfsDestroySnapshot(s) => {
            (dataset(roots, &zfs::snapshot_name(s)), "once it has no clone".to_owned())
        }
        Step::ZfsClone(s) => (dataset(roots, &s.target), format!("of {}", zfs::snapshot_name(&s.source))),
        Step::ZfsSet(s) => {
            let (property, value) = zfs::property(&s.property);
            (dataset(roots, &s.at), format!("{property}={value}"))
        }
        Step::MountZfs(s) => {
            let source = dataset(roots, &s.source).display().to_string();
            (roots.absolute(&s.target), if s.read_only { format!("{source}, read-only") } else { source })
        }
        Step::MountAufs(s) => (roots.absolute(&s.target), branches(s)),
        Step::MountUnion(s) => (roots.absolute(&s.target), union(s)),
        Step::Unmount(place) => (roots.absolute(place), String::new()),
        Step::SetState(s) => (PathBuf::from(&s.key), format!("{} bytes", s.value.len())),
        Step::RemoveState(key) => (PathBuf::from(key), String::new()),
        Step::ThinPool(s) => (roots.home().path().to_owned(), pool(s)),
        Step::ThinCreate(s) => {
            (PathBuf::from(&s.volume), format!("{} bytes, {}", s.bytes, kebab(&format!("{:?}", s.format))))
        }
        Step::ThinSnapshot(s) => {
            let size = s.bytes.map_or_else(String::new, |n| format!(", {n} bytes"));
            (PathBuf::from(&s.volume), format!("of {}{size}", s.origin))
        }
        Step::ThinActivate(volume) | Step::ThinDeactivate(volume) | Step::ThinDelete(volume) => {
            (PathBuf::from(volume), String::new())
        }
        Step::ThinMount(s) => {
            let read_only = if s.read_only { ", read-only" } else { "" };
            (roots.absolute(&s.target), format!("volume {}{read_only}", s.volume))
        }
        Step::ThinSync(s) => {
            (roots.absolute(&s.at), if s.required { "" } else { "as far as there is room" }.to_owned())
        }
    };
    ExplainedStep {
        step: step.name().to_owned(),
        path: path.display().to_string(),
        detail,
        raw: in_contract_words(step),
    }
}

/// A value of the contract as JSON with the names that `wit/` has: `mount-overlay`, not `MountOverlay`.
pub(crate) fn in_contract_words(value: &impl serde::Serialize) -> Value {
    rename(serde_json::to_value(value).unwrap_or_default(), false)
}

/// `name` tells that a text is the name of a case and no text of the component's.
fn rename(value: Value, name: bool) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| {
                    let key = kebab(&key);
                    let name = matches!(
                        key.as_str(),
                        "root" | "kind" | "format" | "sharing" | "options" | "grants" | "roles"
                    );
                    (key, rename(value, name))
                })
                .collect(),
        ),
        Value::Array(items) => items.into_iter().map(|item| rename(item, name)).collect(),
        Value::String(text) if name => Value::String(kebab(&text)),
        other => other,
    }
}

fn kebab(name: &str) -> String {
    name.char_indices().fold(String::new(), |mut word, (at, c)| {
        if c == '_' || (c.is_uppercase() && at > 0) {
            word.push('-');
        }
        word.extend(c.to_lowercase().filter(|c| *c != '_'));
        word
    })
}

/// A dataset's full name, where its base is known.
fn dataset(roots: &Roots, name: &str) -> PathBuf {
    roots.datasets().map_or_else(|| name.to_owned(), |base| base.name(name)).into()
}

fn branches(s: &MountAufs) -> String {
    let upper = s.upper.as_ref().map(|place| format!("{}=rw", place.path));
    let lowers = s.lowers.iter().map(|place| format!("{}=ro+wh", place.path));
    upper.into_iter().chain(lowers).collect::<Vec<_>>().join(":")
}

fn stack(lowers: &[Place], upper: Option<&OverlayUpper>) -> Vec<String> {
    let lowers = match lowers {
        [one] => format!("lower {}", one.path),
        [first, .., last] => format!("{} lowers {} … {}", lowers.len(), first.path, last.path),
        [] => "no lower".to_owned(),
    };
    vec![lowers, upper.map_or_else(|| "read-only".to_owned(), |upper| format!("upper {}", upper.upper.path))]
}

fn union(s: &MountUnion) -> String {
    let mut words = stack(&s.lowers, s.upper.as_ref());
    words.extend(s.policies.iter().map(|policy| format!("{} {}", policy.role(), policy.name())));
    words.join(", ")
}

fn limits(s: &Limit) -> String {
    let bytes = s.bytes.map(|n| format!("at most {n} bytes"));
    let inodes = s.inodes.map(|n| format!("at most {n} files"));
    bytes.into_iter().chain(inodes).collect::<Vec<_>>().join(", ")
}

fn written(content: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(content);
    let start: String = text.chars().take(SHOWN).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{} bytes: {start:?}{more}", content.len())
}

fn pool(s: &nacre_plugin::plan::ThinPool) -> String {
    match &s.storage {
        PoolStorage::Files(on) => format!("files of {} and {} bytes", on.data_bytes, on.metadata_bytes),
        PoolStorage::Devices(on) => format!("devices {} and {}", on.data, on.metadata),
        PoolStorage::Pool(name) => format!("pool {name}"),
    }
}

fn overlay(s: &nacre_plugin::plan::MountOverlay) -> String {
    let mut words = stack(&s.lowers, s.upper.as_ref());
    words.extend(s.options.iter().map(|option| match option {
        OverlayOption::Index(on) => format!("index={}", on_off(*on)),
        OverlayOption::Metacopy(on) => format!("metacopy={}", on_off(*on)),
        OverlayOption::RedirectDir(on) => format!("redirect_dir={}", on_off(*on)),
        OverlayOption::Volatile => "volatile".to_owned(),
        OverlayOption::Userxattr => "userxattr".to_owned(),
    }));
    words.join(", ")
}

/// As overlayfs writes a flag.
fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
