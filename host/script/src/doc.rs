//! The reference and the annotations for editors, made of what is registered.

use std::fmt::Write as _;

use crate::api::{AREAS, CLASSES, FUNCTIONS};
use crate::registry::{Function, Kind, Param};
use crate::{CODES, twins};

/// What is passed around as plain tables: the classes of the annotations with their fields.
const TABLES: &[(&str, &str)] = &[
    (
        "nacre.Image",
        "id: string, references: string[], created: integer?, size: integer, containers: integer, labels: table<string, string>",
    ),
    (
        "nacre.ContainerSummary",
        "id: string, name: string, image: string, image_id: string?, command: string, created: integer, state: string, started: integer?, finished: integer?, exit_code: integer?, pid: integer?, labels: table<string, string>, mounted: boolean, driver: string, size: { writable: integer, virtual_size: integer }?",
    ),
    (
        "nacre.Layer",
        "chain_id: string, diff_id: string, parent: string?, driver: string, dir: string, size: integer, created: integer, images: string[], containers: integer",
    ),
    (
        "nacre.Driver",
        "name: string, version: string, summary: string, roles: string[], origin: string, digest: string, size: integer, grants: string[], layers: integer, containers: integer, fault: string?, current: boolean",
    ),
    ("nacre.Entry", "name: string, kind: string, layer: string?"),
    (
        "nacre.Stat",
        "kind: string, size: integer, mode: integer, uid: integer, gid: integer, modified: integer, target: string?",
    ),
    (
        "nacre.Node",
        "path: string, kind: string, size: integer, mode: integer, uid: integer, gid: integer, modified: integer, layer: string?, target: string?",
    ),
    (
        "nacre.TarEntry",
        "name: string, kind: string, size: integer, mode: integer, uid: integer, gid: integer, modified: integer, target: string?",
    ),
    (
        "nacre.UnionMount",
        "name: string, container?: string, driver: string, target: string, counters: table<string, integer>",
    ),
    (
        "nacre.TraceRecord",
        "operation: string, path: string, to?: string, time: number, error: integer, fields: table<string, string>",
    ),
    ("nacre.LayerChange", "path: string, kind: string, size: integer, hidden: integer"),
    (
        "nacre.Mount",
        "path: string, container: string?, image: string?, driver: string, since: integer, by_user: boolean",
    ),
    ("nacre.LogLine", "text: string, stream: string, time: number"),
    ("nacre.Removed", "untagged: string[], deleted: string[], bytes: integer"),
    ("nacre.DfRow", "kind: string, total: integer, active: integer, size: integer, reclaimable: integer"),
    ("nacre.Space", "total: integer, available: integer"),
    ("nacre.Finding", "kind: string, message: string, repaired: boolean"),
    ("nacre.Event", "event: string, refuse: fun(self: nacre.Event, reason: string?)"),
    ("nacre.EventKind", "name: string, doc: string, fields: string[], refusable: boolean, locked: boolean"),
    ("nacre.Exit", "code: integer, stdout: string, stderr: string"),
    (
        "nacre.Plan",
        "operation: string, subject: string, driver: string, after_crash: string, steps: { step: string, path: string, detail: string, raw: any }[]",
    ),
    ("nacre.Error", "code: string, exit_code: integer, message: string, hint: string?"),
];

/// The names of a function's parameters, as in a call.
fn parameters(function: &Function) -> String {
    let name = |param: &Param| match param.required {
        true => param.name.to_owned(),
        false => format!("[{}]", param.name),
    };
    function.params.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The reference in Markdown.
pub fn markdown() -> String {
    let mut text =
        "# The table `nacre`\n\nMade by `nacre script doc`. What is in brackets may be left out.\n"
            .to_owned();
    text.push_str("\n## nacre\n\nWhat stands in the table itself.\n");
    for function in FUNCTIONS {
        explain(&mut text, &format!("nacre.{}", function.name), function);
    }
    for area in AREAS {
        let _ = write!(text, "\n## nacre.{}\n\n{}\n", area.name, area.doc);
        for field in area.fields {
            let _ = write!(text, "\n### nacre.{}.{}\n\n{}\n", area.name, field.name, field.doc);
        }
        for function in area.functions {
            explain(&mut text, &format!("nacre.{}.{}", area.name, function.name), function);
        }
    }
    for class in CLASSES {
        let _ = write!(text, "\n## {}\n\n{}\n\n| Field | Type | |\n|---|---|---|\n", class.name, class.doc);
        for field in class.fields {
            let _ =
                writeln!(text, "| `{}.{}` | `{}` | {} |", class.variable, field.name, field.kind, field.doc);
        }
        for method in class.methods {
            explain(&mut text, &format!("{}:{}", class.variable, method.name), method);
        }
    }
    text.push_str("\n## Errors\n\nAn error has `code`, `exit_code`, `message` and `hint`.\n\n| `code` | `exit_code` |\n|---|---|\n");
    for code in CODES {
        let _ = writeln!(text, "| `{}` | {} |", code.name, code.number);
    }
    text.push_str(&events());
    text.push_str(&twins::markdown());
    text
}

/// What `nacre.on` tells of.
fn events() -> String {
    let mut text = "\n## Events\n\nWhat `nacre.on` tells of. `event:refuse(reason)` ends what can be refused before anything \
                    of it was done. In handlers of events that are locked, storage cannot be used.\n\n\
                    | Event | | Fields | |\n|---|---|---|---|\n"
        .to_owned();
    for kind in nacre_engine::event::KINDS {
        let marks = match (kind.refusable, kind.locked) {
            (true, true) => "can be refused, locked",
            (true, false) => "can be refused",
            (false, true) => "locked",
            (false, false) => "",
        };
        let _ =
            writeln!(text, "| `{}` | {} | `{}` | {marks} |", kind.name, kind.doc, kind.fields.join("`, `"));
    }
    text
}

/// A function, an area or a class in plain text, by its full name; nothing where there is none of that name.
pub fn text(name: &str) -> Option<String> {
    if let Some(function) = twins::named(name) {
        let mut text = String::new();
        explain(&mut text, name, function);
        return Some(text.trim().trim_start_matches("### ").replace("```lua\n", "  ").replace("\n```", ""));
    }
    let line =
        |name: String, function: &Function| format!("  {name}({})  {}\n", parameters(function), function.doc);
    if name == "nacre" {
        let functions = FUNCTIONS.iter().map(|function| line(format!("nacre.{}", function.name), function));
        let areas = AREAS.iter().map(|area| format!("  nacre.{}  {}\n", area.name, area.doc));
        let classes = CLASSES.iter().map(|class| format!("  {}  {}\n", class.name, class.doc));
        return Some(functions.chain(areas).chain(classes).collect());
    }
    if let Some(class) = CLASSES.iter().find(|class| class.name == name) {
        let fields =
            class.fields.iter().map(|one| format!("  {}.{}  {}\n", class.variable, one.name, one.doc));
        let methods = class.methods.iter().map(|one| line(format!("{}:{}", class.variable, one.name), one));
        return Some(format!("{}\n{}", class.doc, fields.chain(methods).collect::<String>()));
    }
    let area = AREAS.iter().find(|area| name.strip_prefix("nacre.") == Some(area.name))?;
    let functions = area.functions.iter().map(|one| line(format!("{name}.{}", one.name), one));
    Some(format!("{}\n{}", area.doc, functions.collect::<String>()))
}

fn explain(text: &mut String, name: &str, function: &Function) {
    let _ = write!(text, "\n### {name}({})", parameters(function));
    let _ = write!(text, "\n\n{}\n", function.doc);
    for param in function.params {
        let _ = write!(text, "\n- `{}` ({}): {}", param.name, kind(param, name), param.doc);
        if let Kind::Options(options) = param.kind {
            for option in options {
                let must = if option.required { ", needed" } else { "" };
                let _ =
                    write!(text, "\n  - `{}` ({}{must}): {}", option.name, kind(option, name), option.doc);
            }
        }
    }
    if !function.params.is_empty() {
        text.push('\n');
    }
    if !function.returns.is_empty() {
        let _ = write!(text, "\nGives `{}`.\n", function.returns);
    }
    let _ = write!(text, "\n```lua\n{}\n```\n", function.example);
}

fn kind(param: &Param, name: &str) -> String {
    match param.kind {
        Kind::Options(_) => "a table".to_owned(),
        other => format!("`{}`", other.annotation(name)),
    }
}

/// A file of annotations for lua-language-server.
pub fn meta() -> String {
    let mut text = "---@meta nacre\n\n-- Made by `nacre script doc --meta`.\n".to_owned();
    for (name, fields) in TABLES {
        let _ = write!(text, "\n---@class {name}\n");
        // A comma within braces or angles does not end a field.
        for field in split_fields(fields) {
            if let Some((name, kind)) = field.split_once(": ") {
                let _ = writeln!(text, "---@field {name} {kind}");
            }
        }
    }
    text.push_str("\n---@class nacre\nnacre = {}\n");
    for function in FUNCTIONS {
        annotate(&mut text, &format!("nacre.{}", function.name), function);
    }
    for area in AREAS {
        let _ = write!(text, "\n---{}\nnacre.{} = {{}}\n", area.doc, area.name);
        for field in area.fields {
            let _ = write!(
                text,
                "\n---{}\n---@type {}\nnacre.{}.{} = nil\n",
                field.doc, field.kind, area.name, field.name
            );
        }
        for function in area.functions {
            annotate(&mut text, &format!("nacre.{}.{}", area.name, function.name), function);
        }
    }
    for class in CLASSES {
        let _ = write!(text, "\n---{}\n---@class {}\n", class.doc, class.name);
        for field in class.fields {
            let _ = writeln!(text, "---@field {} {} {}", field.name, field.kind, field.doc);
        }
        let _ = writeln!(text, "local {} = {{}}", class.variable);
        for method in class.methods {
            annotate(&mut text, &format!("{}:{}", class.variable, method.name), method);
        }
    }
    text
}

fn annotate(text: &mut String, name: &str, function: &Function) {
    let options = name.replace(':', ".");
    for param in function.params {
        if let Kind::Options(list) = param.kind {
            let _ = write!(text, "\n---@class {options}.options\n");
            for option in list {
                let mark = if option.required { "" } else { "?" };
                let _ = writeln!(
                    text,
                    "---@field {}{mark} {} {}",
                    option.name,
                    option.kind.annotation(&options),
                    option.doc
                );
            }
        }
    }
    let _ = write!(text, "\n---{}\n", function.doc);
    let mut names = Vec::new();
    for param in function.params {
        let mark = if param.required { "" } else { "?" };
        names.push(param.name);
        let _ = writeln!(
            text,
            "---@param {}{mark} {} {}",
            param.name,
            param.kind.annotation(&options),
            param.doc
        );
    }
    if !function.returns.is_empty() {
        let _ = writeln!(text, "---@return {}", function.returns);
    }
    let _ = writeln!(text, "function {name}({}) end", names.join(", "));
}

fn split_fields(fields: &str) -> Vec<&str> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in fields.char_indices() {
        match c {
            '<' | '{' => depth += 1,
            '>' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(fields.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(fields.get(start..).unwrap_or_default().trim());
    found
}
