//! `inspect`: everything about an object, as JSON.

use std::io::Write;

use clap::{Args, ValueEnum};
use nacre_engine::{Class, Engine, Error};
use serde_json::Value;

use super::each;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out;
use crate::out::template::Template;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A layer.
    Layer,
    /// A storage driver.
    Driver,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Container, Self::Image, Self::Layer, Self::Driver];

    fn look(self, engine: &Engine, name: &str) -> Result<Value, Error> {
        match self {
            Self::Container => engine.inspect_container(name),
            Self::Image => engine.inspect_image(name),
            Self::Layer => engine.inspect_layer(name),
            Self::Driver => engine.inspect_driver(name),
        }
    }
}

/// Show everything about containers, images, layers or drivers, as JSON
///
/// What is not told by --type is looked for in that order.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre inspect web
  nacre inspect --type image debian:latest
  nacre inspect -f '{{.State.Status}} {{.State.ExitCode}}' web
  nacre inspect -f '{{json .RootFS.Layers}}' debian:latest
  nacre inspect -f '{{range .Config.Env}}{{println .}}{{end}}' web")]
pub struct Inspect {
    /// What the objects are
    #[arg(long = "type", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// `json` (an object per line) or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// The objects, by name, ID or the beginning of an ID
    #[arg(required = true, value_name = "OBJECT")]
    objects: Vec<String>,
}

impl Inspect {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let one = self.kind.map(|kind| [kind]);
        let kinds = one.as_ref().map_or(Kind::ALL.as_slice(), <[Kind; 1]>::as_slice);
        show(cx, &self.objects, kinds, self.format.as_deref())
    }
}

/// Shows what is found of `objects`, as one JSON array or a line each as `format` says, and reports those
/// that are not found.
pub(crate) fn show(
    cx: &Context,
    objects: &[String],
    kinds: &[Kind],
    format: Option<&str>,
) -> Result<Exit, Failure> {
    let template = match format {
        None | Some("json") => None,
        Some(format) => Some(Template::parse(format)?),
    };
    let engine = cx.engine()?;
    let mut found = Vec::new();
    let result = each(cx, objects, |name| {
        found.push(look(&engine, name, kinds)?);
        Ok(())
    });
    out::to_stdout(|out| match (template, format) {
        (Some(template), _) => {
            found.iter().try_for_each(|value| Ok(writeln!(out, "{}", template.render(value)?)?))
        }
        (None, Some(_)) => found.iter().try_for_each(|value| Ok(writeln!(out, "{value}")?)),
        (None, None) => Ok(writeln!(out, "{:#}", Value::Array(found))?),
    })?;
    result
}

fn look(engine: &Engine, name: &str, kinds: &[Kind]) -> Result<Value, Failure> {
    for kind in kinds {
        match kind.look(engine, name) {
            Err(e) if e.class() == Class::NotFound && kinds.len() > 1 => {}
            result => return Ok(result?),
        }
    }
    Err(Failure::new(exit::NOT_FOUND, format!("no such object: {name}"))
        .with_help("`nacre ps -a`, `nacre images` and `nacre layer ls` list what there is"))
}
