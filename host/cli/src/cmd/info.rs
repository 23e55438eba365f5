//! `info` and `version`.

use clap::Args;
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out;
use crate::out::template::Template;

/// Show the storage driver and why it was chosen, the file system, the kernel, and what is kept
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre info
  nacre info --format '{{.Driver}}'
  nacre info -f json")]
pub struct Info {
    /// `json` or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Info {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        show(&cx.engine()?.info()?, self.format.as_deref())
    }
}

/// Show the version of nacre and of the contract that drivers are written against
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre version
  nacre version -f '{{.Version}}'")]
pub struct Version {
    /// `json` or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Version {
    /// Runs it.
    pub fn run(self, _: &Context) -> Result<Exit, Failure> {
        let version = json!({
            "Version": env!("CARGO_PKG_VERSION"),
            "Contract": "nacre:storage@0.1.0",
            "Os": std::env::consts::OS,
            "Arch": std::env::consts::ARCH,
        });
        show(&version, self.format.as_deref())
    }
}

fn show(value: &Value, format: Option<&str>) -> Result<Exit, Failure> {
    let text = match format {
        None => people(value, 0),
        Some("json") => value.to_string(),
        Some(template) => Template::parse(template)?.render(value)?,
    };
    out::line(text.trim_end())?;
    Ok(Exit::OK)
}

/// An object as `Name: value` lines, what it holds indented.
pub(crate) fn people(value: &Value, depth: usize) -> String {
    let Value::Object(object) = value else { return String::new() };
    let indent = " ".repeat(depth);
    let mut text = String::new();
    for (name, value) in object {
        let name = spaced(name);
        match value {
            Value::Object(inner) if inner.is_empty() => {}
            Value::Object(_) => text.push_str(&format!("{indent}{name}:\n{}", people(value, depth + 1))),
            Value::Array(items) if items.iter().any(Value::is_object) => {
                text.push_str(&format!("{indent}{name}:\n"));
                text.extend(items.iter().map(|item| listed(item, depth + 1)));
            }
            Value::Array(items) => {
                let words: Vec<String> = items.iter().map(plain).collect();
                text.push_str(&format!("{indent}{name}: {}\n", words.join(" ")));
            }
            _ => text.push_str(&format!("{indent}{name}: {}\n", plain(value))),
        }
    }
    text
}

/// An item of a list: its first line begins with a dash.
fn listed(item: &Value, depth: usize) -> String {
    let text = people(item, depth + 2);
    let indent = " ".repeat(depth);
    match text.get(depth + 2..) {
        Some(rest) => format!("{indent}- {rest}"),
        None => String::new(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// `BackingFilesystem` is `Backing Filesystem`, `DType` is `D Type`, and `OCIRuntime` is `OCI Runtime`.
fn spaced(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut text = String::new();
    for (i, c) in letters.iter().enumerate() {
        let after_lower = i > 0 && letters[i - 1].is_lowercase();
        let before_lower = letters.get(i + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && i > 0 && (after_lower || before_lower) && !text.ends_with(' ') {
            text.push(' ');
        }
        text.push(*c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_indented_lines() {
        let value = json!({
            "Driver": "overlay2",
            "DriverStatus": {"BackingFilesystem": "extfs", "SupportsDType": true},
            "Drivers": [{"Name": "overlay2", "Size": 1}],
            "Grants": ["tree", "state"],
        });
        assert_eq!(
            people(&value, 0),
            "Driver: overlay2\nDriver Status:\n Backing Filesystem: extfs\n Supports D Type: true\n\
             Drivers:\n - Name: overlay2\n   Size: 1\nGrants: tree state\n"
        );
    }
}
