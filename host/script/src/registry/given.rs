//! What a function was called with, checked against what it takes.

use std::collections::BTreeMap;

use mlua::{MultiValue, Table, Value};

use super::{Kind, Param};
use crate::Fault;
use crate::similar::did_you_mean;

/// Values by the names of parameters and options.
pub(super) type Given = BTreeMap<&'static str, Value>;

/// Checks the arguments of `function`, which is its full name.
pub(super) fn check(function: &str, params: &'static [Param], args: MultiValue) -> Result<Given, Fault> {
    let mut given = Given::new();
    let mut args = args.into_iter();
    for (i, param) in params.iter().enumerate() {
        let value = args.next().unwrap_or(Value::Nil);
        let place = format!("argument {} of {function}, {},", i + 1, param.name);
        match (value, &param.kind) {
            (Value::Nil, _) if param.required => {
                return Err(Fault::usage(format!("{place} is missing")).with_hint(param.doc));
            }
            (Value::Nil, Kind::Options(options)) => require(function, options, &given)?,
            (Value::Nil, _) => {}
            (Value::Table(table), Kind::Options(options)) => {
                take_options(function, options, &table, &mut given)?;
            }
            (value, kind) => {
                given.insert(param.name, checked(&place, kind, value)?);
            }
        }
    }
    match args.next() {
        Some(_) => Err(too_many(function)),
        None => Ok(given),
    }
}

fn too_many(function: &str) -> Fault {
    Fault::usage(format!("{function} was given too many arguments"))
}

fn take_options(
    function: &str,
    options: &'static [Param],
    table: &Table,
    given: &mut Given,
) -> Result<(), Fault> {
    // Whatever a metatable may do: what is in the table counts.
    for (key, value) in raw_pairs(table)? {
        let Value::String(key) = &key else {
            return Err(Fault::usage(format!("the options of {function} are names with values, not a list")));
        };
        let key = key.to_string_lossy();
        let Some(option) = options.iter().find(|option| option.name == key) else {
            let names = options.iter().map(|option| option.name);
            let all: Vec<&str> = names.clone().collect();
            return Err(Fault::usage(format!("unknown option '{key}'{}", did_you_mean(&key, names)))
                .with_hint(format!("the options of {function} are {}", all.join(", "))));
        };
        let place = format!("option '{key}' of {function}");
        given.insert(option.name, checked(&place, &option.kind, value)?);
    }
    require(function, options, given)
}

fn require(function: &str, options: &'static [Param], given: &Given) -> Result<(), Fault> {
    match options.iter().find(|option| option.required && !given.contains_key(option.name)) {
        Some(option) => {
            Err(Fault::usage(format!("option '{}' of {function} is missing", option.name))
                .with_hint(option.doc))
        }
        None => Ok(()),
    }
}

fn raw_pairs(table: &Table) -> Result<Vec<(Value, Value)>, Fault> {
    let mut pairs = Vec::new();
    table.for_each(|key: Value, value: Value| {
        pairs.push((key, value));
        Ok(())
    })?;
    Ok(pairs)
}

/// The value, if it is of that kind.
fn checked(place: &str, kind: &Kind, value: Value) -> Result<Value, Fault> {
    let fits = match (kind, &value) {
        (Kind::Any | Kind::Other(_), _) => true,
        (Kind::Text, Value::String(text)) => text.to_str().is_ok(),
        // As Lua itself does where a text is wanted.
        (Kind::Text, Value::Integer(_) | Value::Number(_)) => true,
        (Kind::Count, Value::Integer(n)) => *n >= 0,
        (Kind::Count, Value::Number(n)) => n.fract() == 0.0 && (0.0..9e15).contains(n),
        (Kind::Number, Value::Integer(_) | Value::Number(_)) | (Kind::Flag, Value::Boolean(_)) => true,
        (Kind::Texts, Value::Table(table)) => {
            let (all, own) = (raw_pairs(table)?, table.raw_len());
            all.len() == own && all.iter().all(|(_, value)| is_text(value))
        }
        (Kind::Pairs, Value::Table(table)) => raw_pairs(table)?
            .iter()
            .all(|(key, value)| matches!(key, Value::String(_)) && is_text(key) && is_text(value)),
        (Kind::Choice(words), Value::String(text)) => {
            let text = text.to_string_lossy();
            if !words.contains(&text.as_str()) {
                return Err(Fault::usage(format!("{place} cannot be '{text}'"))
                    .with_hint(format!("it is one of {}", words.join(", "))));
            }
            true
        }
        _ => false,
    };
    if fits {
        return Ok(value);
    }
    let wanted = match kind {
        Kind::Text | Kind::Choice(_) => "a text",
        Kind::Count => "a whole number that is not negative",
        Kind::Number => "a number",
        Kind::Flag => "true or false",
        Kind::Texts => "a list of texts",
        Kind::Pairs => "a table of texts by name",
        Kind::Options(_) => "a table of options",
        Kind::Any | Kind::Other(_) => "another thing",
    };
    Err(Fault::usage(format!("{place} must be {wanted}, not {}", told(&value))))
}

fn is_text(value: &Value) -> bool {
    match value {
        Value::String(text) => text.to_str().is_ok(),
        Value::Integer(_) | Value::Number(_) => true,
        _ => false,
    }
}

fn told(value: &Value) -> String {
    match value {
        Value::String(text) if text.to_str().is_err() => "bytes that are no text".to_owned(),
        Value::Integer(n) => n.to_string(),
        Value::Number(n) => n.to_string(),
        other => format!("a {}", other.type_name()),
    }
}
