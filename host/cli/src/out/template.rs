//! Go templates over JSON values, with the functions that Docker adds to Go's own: `json`, `join`, `split`,
//! `upper`, `lower`, `title`, `truncate`, `pad`.

use std::collections::BTreeMap;

use gtmpl_ng::{Context, Func, FuncError, Number, NumberKind, Value};
use serde_json::Value as Json;

use crate::failure::Failure;

/// Objects under these names are maps whose keys are the user's: a key that is not there is no mistake.
const FREE_MAPS: [&str; 6] = ["Labels", "Annotations", "ExposedPorts", "Volumes", "Options", "Data"];

/// A template that was parsed.
pub struct Template {
    source: String,
    template: gtmpl_ng::Template,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("source", &self.source).finish()
    }
}

impl Template {
    /// Parses a template. As in Docker, `\t` and `\n` outside of actions are a tab and a line break.
    pub fn parse(source: &str) -> Result<Self, Failure> {
        let mut template = gtmpl_ng::Template::default();
        template.add_funcs(FUNCTIONS);
        template.parse(unescape(source)).map_err(|e| {
            Failure::usage(format!("`{source}` is not a template")).caused_by(e).with_help(
                "use json, table, or a Go template such as '{{.ID}}' or 'table {{.ID}}\\t{{.Size}}'",
            )
        })?;
        Ok(Self { source: source.to_owned(), template })
    }

    /// Fills the template in. A field that `data` does not have is a usage error that lists those it has.
    pub fn render(&self, data: &Json) -> Result<String, Failure> {
        self.template.render(&Context::from(value(data, false))).map_err(|e| self.explain(&e, data))
    }

    fn explain(&self, error: &gtmpl_ng::ExecError, data: &Json) -> Failure {
        let message = error.as_structured().map_or_else(|| error.to_string(), |e| e.message.clone());
        let unknown = message.strip_prefix("no field `").and_then(|rest| rest.split_once('`'));
        let Some((field, _)) = unknown else {
            return Failure::usage(format!("cannot fill in `{}`: {message}", self.source));
        };
        let failure = Failure::usage(format!("`{}`: there is no field `{field}`", self.source));
        let fields = fields_beside(&self.source, field, data);
        match fields.is_empty() {
            true => failure,
            false => failure.with_help(format!("the fields are {}", fields.join(", "))),
        }
    }
}

/// The fields of the object in which `field` was looked for, as far as the template's text says which.
fn fields_beside(source: &str, field: &str, data: &Json) -> Vec<String> {
    let chain = source
        .match_indices(&format!(".{field}"))
        .map(|(at, _)| {
            let before = &source[..at];
            let start =
                before.rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).map_or(0, |i| i + 1);
            &before[start..]
        })
        .next()
        .unwrap_or_default();
    let place =
        chain.split('.').filter(|name| !name.is_empty()).try_fold(data, |place, name| place.get(name));
    let object = place.and_then(Json::as_object).or_else(|| data.as_object());
    object.map(|object| object.keys().map(|key| format!(".{key}")).collect()).unwrap_or_default()
}

/// Inside of an action the same letters are in quotes, and Go's own rules hold for them.
fn unescape(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    for (i, part) in source.split("{{").enumerate() {
        let (action, rest) = match part.split_once("}}") {
            Some((action, rest)) if i > 0 => (format!("{{{{{action}}}}}"), rest),
            _ if i > 0 => (format!("{{{{{part}"), ""),
            _ => (String::new(), part),
        };
        text.push_str(&action);
        text.push_str(&rest.replace("\\t", "\t").replace("\\n", "\n"));
    }
    text
}

fn value(json: &Json, free: bool) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(b) => Value::Bool(*b),
        Json::String(s) => Value::String(s.clone()),
        Json::Array(items) => Value::Array(items.iter().map(|item| value(item, false)).collect()),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => Value::from(n),
            (_, Some(n)) => Value::from(n),
            _ => Value::from(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::Object(object) => {
            let entries = object
                .iter()
                .map(|(key, item)| (key.clone(), value(item, FREE_MAPS.contains(&key.as_str()))))
                .collect();
            if free { Value::Map(entries) } else { Value::Object(entries) }
        }
    }
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Nil | Value::NoValue | Value::Function(_) => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::String(s) => Json::String(s.clone()),
        Value::Number(n) => number(n),
        Value::Array(items) => Json::Array(items.iter().map(json_of).collect()),
        // Sorted, as Go's encoder sorts the keys of a map.
        Value::Map(entries) | Value::Object(entries) => {
            let sorted: BTreeMap<&String, &Value> = entries.iter().collect();
            Json::Object(sorted.into_iter().map(|(key, item)| (key.clone(), json_of(item))).collect())
        }
    }
}

fn number(number: &Number) -> Json {
    match number.kind() {
        NumberKind::Signed(n) => n.into(),
        NumberKind::Unsigned(n) => n.into(),
        NumberKind::Float(n) => n.into(),
    }
}

const FUNCTIONS: &[(&str, Func)] = &[
    ("json", |args| match args {
        [value] => Ok(Value::String(json_of(value).to_string())),
        _ => Err(FuncError::ExactlyXArgs("json".to_owned(), 1)),
    }),
    ("join", |args| match args {
        [Value::Array(items), Value::String(with)] => {
            Ok(items.iter().map(ToString::to_string).collect::<Vec<_>>().join(with).into())
        }
        [Value::Nil | Value::NoValue, _] => Ok(String::new().into()),
        _ => Err(FuncError::Generic("join takes a list and a text".to_owned())),
    }),
    ("split", |args| match args {
        [Value::String(s), Value::String(at)] => {
            Ok(Value::Array(s.split(at.as_str()).map(Value::from).collect()))
        }
        _ => Err(FuncError::Generic("split takes two texts".to_owned())),
    }),
    ("upper", |args| on_text("upper", args, |s| s.to_uppercase())),
    ("lower", |args| on_text("lower", args, |s| s.to_lowercase())),
    ("title", |args| on_text("title", args, title)),
    ("truncate", |args| match args {
        [Value::String(s), Value::Number(n)] => {
            Ok(s.chars().take(n.as_u64().unwrap_or(0) as usize).collect::<String>().into())
        }
        _ => Err(FuncError::Generic("truncate takes a text and a number".to_owned())),
    }),
    ("pad", |args| match args {
        [Value::String(s), Value::Number(before), Value::Number(after)] => {
            let spaces = |n: &Number| " ".repeat(n.as_u64().unwrap_or(0).min(1000) as usize);
            Ok(format!("{}{s}{}", spaces(before), spaces(after)).into())
        }
        _ => Err(FuncError::Generic("pad takes a text and two numbers".to_owned())),
    }),
];

fn on_text(name: &str, args: &[Value], change: fn(&str) -> String) -> Result<Value, FuncError> {
    match args {
        [value] => Ok(change(&value.to_string()).into()),
        _ => Err(FuncError::ExactlyXArgs(name.to_owned(), 1)),
    }
}

fn title(text: &str) -> String {
    let mut at_start = true;
    text.chars()
        .flat_map(|c| {
            let upper = std::mem::replace(&mut at_start, c.is_whitespace());
            if upper { c.to_uppercase().collect::<Vec<_>>() } else { vec![c] }
        })
        .collect()
}
