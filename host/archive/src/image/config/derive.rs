use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::digest::DiffId;

use super::super::source::Platform;
use super::super::{Error, MAX_LAYERS, Result};
use super::{Change, diff_ids};

/// What a new image is made of.
#[derive(Debug, Clone)]
pub struct Derivation<'a> {
    /// The configuration of the image that it is based on; none for an imported tree.
    pub parent: Option<&'a [u8]>,
    /// What is different, in this order.
    pub changes: &'a [Change],
    /// The new layer; none if no file changed.
    pub diff_id: Option<DiffId>,
    /// Who made it. The parent's author stays when there is none.
    pub author: Option<&'a str>,
    /// A remark for the history.
    pub comment: Option<&'a str>,
    /// The command that made the layer, for the history.
    pub created_by: Option<&'a str>,
    /// When.
    pub created: Timestamp,
}

/// What a configuration says about the container or the build that it came from. It is not true of a new
/// image.
const OF_A_CONTAINER: [&str; 8] =
    ["container", "container_config", "docker_version", "id", "parent", "parent_id", "throwaway", "Size"];
/// The same within `config`.
const OF_A_CONTAINER_RUN: [&str; 11] = [
    "Hostname",
    "Domainname",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Image",
    "MacAddress",
    "NetworkDisabled",
];

/// The configuration of a new image. Fields that nacre does not know are kept. The same input gives the
/// same bytes.
pub fn derive(derivation: &Derivation<'_>) -> Result<Vec<u8>> {
    let mut config = match derivation.parent {
        Some(bytes) => parent(bytes)?,
        None => blank(),
    };
    for field in OF_A_CONTAINER {
        config.remove(field);
    }
    let created = derivation.created.to_string();
    config.insert("created".to_owned(), json!(created));
    if let Some(author) = derivation.author {
        config.insert("author".to_owned(), json!(author));
    }
    edit_object(&mut config, "config", |run| change(run, derivation.changes));
    add_layer(&mut config, derivation.diff_id)?;
    let mut entry = Map::from_iter([("created".to_owned(), json!(created))]);
    let texts = [
        ("author", derivation.author),
        ("comment", derivation.comment),
        ("created_by", derivation.created_by),
    ];
    entry.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?)))));
    if derivation.diff_id.is_none() {
        entry.insert("empty_layer".to_owned(), json!(true));
    }
    edit_list(&mut config, "history", |history| history.push(Value::Object(entry)));
    serde_json::to_vec(&config)
        .map_err(|source| Error::Json { name: "the new configuration".to_owned(), source })
}

fn parent(bytes: &[u8]) -> Result<Map<String, Value>> {
    let name = "the parent's configuration";
    diff_ids(name, bytes)?;
    serde_json::from_slice(bytes).map_err(|source| Error::Json { name: name.to_owned(), source })
}

fn blank() -> Map<String, Value> {
    let Platform { os, architecture, variant } = Platform::host();
    let mut config = Map::from_iter([
        ("architecture".to_owned(), json!(architecture)),
        ("os".to_owned(), json!(os)),
        ("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": [] })),
    ]);
    if !variant.is_empty() {
        config.insert("variant".to_owned(), json!(variant));
    }
    config
}

fn add_layer(config: &mut Map<String, Value>, diff_id: Option<DiffId>) -> Result<()> {
    let mut count = 0;
    edit_object(config, "rootfs", |rootfs| {
        rootfs.insert("type".to_owned(), json!("layers"));
        edit_list(rootfs, "diff_ids", |layers| {
            layers.extend(diff_id.map(|diff_id| json!(diff_id)));
            count = layers.len();
        });
    });
    if count > MAX_LAYERS {
        return Err(Error::TooManyLayers { name: "the new image".to_owned(), layers: count });
    }
    Ok(())
}

/// Edit the object under a key; an empty one where there is none, or something else.
fn edit_object(parent: &mut Map<String, Value>, key: &str, edit: impl FnOnce(&mut Map<String, Value>)) {
    let mut map = match parent.remove(key) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    edit(&mut map);
    parent.insert(key.to_owned(), Value::Object(map));
}

/// Edit the list under a key; an empty one where there is none, or something else.
fn edit_list(parent: &mut Map<String, Value>, key: &str, edit: impl FnOnce(&mut Vec<Value>)) {
    let mut list = match parent.remove(key) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    edit(&mut list);
    parent.insert(key.to_owned(), Value::Array(list));
}

fn change(run: &mut Map<String, Value>, changes: &[Change]) {
    for field in OF_A_CONTAINER_RUN {
        run.remove(field);
    }
    let mut command_set = false;
    for change in changes {
        match change {
            Change::Cmd(words) => {
                command_set = true;
                run.insert("Cmd".to_owned(), json!(words));
            }
            Change::Entrypoint(words) => {
                if !command_set {
                    run.remove("Cmd");
                }
                run.insert("Entrypoint".to_owned(), json!(words));
            }
            Change::Env { name, value } => {
                edit_list(run, "Env", |env| set_variable(env, name, value));
            }
            Change::WorkingDir(path) => {
                let present = run.get("WorkingDir").and_then(Value::as_str).unwrap_or("/");
                let path = joined(present, path);
                run.insert("WorkingDir".to_owned(), json!(path));
            }
            Change::User(user) => {
                run.insert("User".to_owned(), json!(user));
            }
            Change::Label { key, value } => {
                edit_object(run, "Labels", |map| {
                    map.insert(key.clone(), json!(value));
                });
            }
            Change::Expose(port) => {
                edit_object(run, "ExposedPorts", |map| {
                    map.insert(port.clone(), json!({}));
                });
            }
            Change::Volume(path) => {
                edit_object(run, "Volumes", |map| {
                    map.insert(path.clone(), json!({}));
                });
            }
            Change::StopSignal(signal) => {
                run.insert("StopSignal".to_owned(), json!(signal));
            }
            Change::OnBuild(instruction) => edit_list(run, "OnBuild", |list| list.push(json!(instruction))),
        }
    }
}

/// A variable that is set already keeps its place.
fn set_variable(env: &mut Vec<Value>, name: &str, value: &str) {
    let pair = json!(format!("{name}={value}"));
    let is_it = |slot: &&mut Value| {
        let known = slot.as_str().and_then(|text| text.strip_prefix(name));
        known.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    match env.iter_mut().find(is_it) {
        Some(slot) => *slot = pair,
        None => env.push(pair),
    }
}

/// A path inside the image, seen from another one, without `.` and `..`.
fn joined(from: &str, path: &str) -> String {
    let start = if path.starts_with('/') { "" } else { from };
    let mut parts = Vec::new();
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
