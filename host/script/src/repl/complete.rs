//! Which words can stand at the end of a line: names of globals and what is in them, options of the function that is
//! being called, and keywords.

use mlua::{Lua, Table, Value};

use crate::api::{AREAS, CLASSES, FUNCTIONS};
use crate::registry::{Function, Kind};
use crate::twins;

const KEYWORDS: &[&str] = &[
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local",
    "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
];

/// Where the last word of a text begins, and what it can become.
pub(super) fn complete(lua: &Lua, text: &str) -> (usize, Vec<String>) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == ':';
    let start =
        text.rfind(|c| !is_part(c)).map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let path = text.get(start..).unwrap_or_default();
    let cut = path.rfind(['.', ':']).map_or(0, |at| at + 1);
    let (owner, word) = path.split_at_checked(cut).unwrap_or(("", path));
    let mut names = match owner.is_empty() {
        true => free(lua, text.get(..start).unwrap_or_default()),
        false => members(lua, owner),
    };
    names.retain(|name| name.starts_with(word) && name != word);
    names.sort();
    names.dedup();
    (start + cut, names)
}

/// What can stand where nothing stands before it.
fn free(lua: &Lua, before: &str) -> Vec<String> {
    let mut names: Vec<String> = keys(&lua.globals());
    names.extend(KEYWORDS.iter().map(|word| (*word).to_owned()));
    if let Some(function) = called(before) {
        let options = function.params.iter().flat_map(|param| match param.kind {
            Kind::Options(options) => options,
            _ => &[],
        });
        names.extend(options.map(|option| format!("{} =", option.name)));
    }
    names
}

/// The function of the API whose table of options is open at the end of a text.
fn called(before: &str) -> Option<&'static Function> {
    let (head, inside) = before.rsplit_once('{')?;
    let head = head.trim_end().trim_end_matches('(').trim_end();
    // A further argument: `nacre.image.save(file, images, {`.
    let head = if head.ends_with(',') { head.rsplit_once('(')?.0.trim_end() } else { head };
    let name = head.rsplit(|c: char| !(c.is_ascii_alphanumeric() || "_.:".contains(c))).next()?;
    if inside.contains('}') {
        return None;
    }
    twins::named(name).or_else(|| {
        let (_, method) = name.split_once(':')?;
        CLASSES.iter().flat_map(|class| class.methods).find(|known| known.name == method)
    })
}

/// What is in the value that a path names. It is looked at without running code of the script's.
fn members(lua: &Lua, path: &str) -> Vec<String> {
    let mut parts = path.split(['.', ':']).filter(|part| !part.is_empty());
    let mut value: Value = match parts.next() {
        Some(first) => lua.globals().raw_get(first).unwrap_or(Value::Nil),
        None => return Vec::new(),
    };
    for part in parts {
        value = match value {
            Value::Table(table) => table.raw_get(part).unwrap_or(Value::Nil),
            _ => Value::Nil,
        };
    }
    match value {
        Value::Table(table) => {
            let mut names = keys(&table);
            names.extend(registered(path));
            names
        }
        Value::String(_) => {
            lua.globals().raw_get::<Table>("string").map(|table| keys(&table)).unwrap_or_default()
        }
        Value::UserData(_) => CLASSES
            .iter()
            .flat_map(|class| {
                let fields = class.fields.iter().map(|field| field.name).filter(|_| path.ends_with('.'));
                fields.chain(class.methods.iter().map(|method| method.name))
            })
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

/// What the API has at a path, whatever the script made of its tables.
fn registered(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(['.', ':']);
    let names: Vec<&str> = match path.strip_prefix("nacre") {
        Some("") => AREAS.iter().map(|area| area.name).chain(FUNCTIONS.iter().map(|one| one.name)).collect(),
        Some(area) => {
            let area = AREAS.iter().find(|known| area.strip_prefix('.') == Some(known.name));
            area.map(|area| {
                let functions = area.functions.iter().map(|one| one.name);
                functions.chain(area.fields.iter().map(|one| one.name)).collect()
            })
            .unwrap_or_default()
        }
        None => Vec::new(),
    };
    names.into_iter().map(str::to_owned).collect()
}

/// The keys of a table that are names.
fn keys(table: &Table) -> Vec<String> {
    let mut names = Vec::new();
    let _ = table.for_each(|key: Value, _: Value| {
        if let Value::String(name) = key {
            names.push(name.to_string_lossy());
        }
        Ok(())
    });
    names
}
