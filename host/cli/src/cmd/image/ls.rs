//! `images`, and `image inspect`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use nacre_engine::ImageSummary;

use crate::args::Format;
use crate::cmd::inspect::{self, Kind};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::filter::{Filters, glob};
use crate::out::listing::{Column, Listing};
use crate::out::{self, units};

const FILTERS: [&str; 5] = ["dangling", "reference", "label", "before", "since"];
const NONE: &str = "<none>";

/// List images
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre images
  nacre images -q --filter dangling=true
  nacre images debian
  nacre images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
  nacre images --format json --no-trunc")]
pub struct Ls {
    /// As in Docker, where it adds images that a build left behind; nacre keeps none
    #[arg(short, long)]
    all: bool,
    /// Print only IDs
    #[arg(short, long)]
    quiet: bool,
    /// Cut nothing off
    #[arg(long)]
    no_trunc: bool,
    /// Show the digests that images are named by
    #[arg(long)]
    digests: bool,
    /// Show only some: dangling, reference, label, before, since
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    #[command(flatten)]
    format: Format,
    /// Show only those with this name, which may have * and ? in it
    #[arg(value_name = "NAME[:TAG]")]
    reference: Option<String>,
}

impl Ls {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let mut texts = self.filter.clone();
        texts.extend(self.reference.iter().map(|reference| format!("reference={reference}")));
        let filters = Filters::parse(&texts, &FILTERS)?;
        let format = self.format.format.as_deref();
        let engine = cx.engine()?;
        let labels = !filters.values("label").is_empty() || format.is_some_and(may_show_labels);
        let mut images = if labels { engine.images_with_labels() } else { engine.images() }?;
        images.sort_by_key(|image| Reverse(image.created));
        let rows = rows(select(images, &filters)?, &filters, self.no_trunc, units::now());
        let text = match (self.quiet, format) {
            (true, None) => LISTING.render_quiet(&once(rows)),
            (_, format) if self.digests => {
                Listing { table: WITH_DIGESTS, ..LISTING }.render(&rows, format)?
            }
            (_, format) => LISTING.render(&rows, format)?,
        };
        out::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
        Ok(Exit::OK)
    }
}

/// Whether a format shows labels, for which each image's configuration has to be read: it names them, or takes
/// a row as a whole.
fn may_show_labels(format: &str) -> bool {
    let is_field = |(at, _)| format[at + 1..].starts_with(|c: char| c.is_ascii_uppercase());
    let template = format.trim().trim_start_matches("table");
    !template.is_empty()
        && (format.contains("Labels")
            || format.trim() == "json"
            || format.contains('$')
            || !format.match_indices('.').all(is_field))
}

/// A line of `images`: an image under one of its names.
#[derive(Debug)]
struct Row {
    image: ImageSummary,
    repository: String,
    tag: String,
    digest: String,
    whole: bool,
    now: i64,
}

const LISTING: Listing<'static, Row> = Listing {
    columns: &[
        Column { field: "Repository", head: "REPOSITORY", value: |r| r.repository.as_str().into() },
        Column { field: "Tag", head: "TAG", value: |r| r.tag.as_str().into() },
        Column { field: "Digest", head: "DIGEST", value: |r| r.digest.as_str().into() },
        Column { field: "ID", head: "IMAGE ID", value: |r| units::id(&r.image.id, r.whole).into() },
        Column { field: "CreatedSince", head: "CREATED", value: |r| since(r).into() },
        Column {
            field: "CreatedAt",
            head: "CREATED AT",
            value: |r| r.image.created.map_or_else(|| "N/A".to_owned(), units::date).into(),
        },
        Column { field: "Size", head: "SIZE", value: |r| units::size(r.image.size).into() },
        Column { field: "Containers", head: "CONTAINERS", value: |r| r.image.containers.to_string().into() },
        Column { field: "Labels", head: "LABELS", value: |r| labels(&r.image.labels).into() },
        Column { field: "SizeBytes", head: "BYTES", value: |r| r.image.size.into() },
    ],
    table: &["Repository", "Tag", "ID", "CreatedSince", "Size"],
    quiet: "ID",
};

const WITH_DIGESTS: &[&str] = &["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"];

/// Images as `images` shows them at the time `now`.
pub fn render(
    images: Vec<ImageSummary>,
    format: Option<&str>,
    whole: bool,
    now: i64,
) -> Result<String, Failure> {
    LISTING.render(&rows(images, &Filters::default(), whole, now), format)
}

fn rows(images: Vec<ImageSummary>, filters: &Filters, whole: bool, now: i64) -> Vec<Row> {
    let mut rows = Vec::new();
    for image in images {
        let mut names: Vec<_> =
            image.references.iter().filter(|name| named(name, filters)).cloned().collect();
        if image.references.is_empty() {
            names.push(String::new());
        }
        for name in names {
            let (repository, tag, digest) = parts(&name);
            rows.push(Row { image: image.clone(), repository, tag, digest, whole, now });
        }
    }
    rows
}

/// `--quiet` prints an image once, whatever the number of its names.
fn once(mut rows: Vec<Row>) -> Vec<Row> {
    rows.dedup_by(|a, b| a.image.id == b.image.id);
    rows
}

fn select(images: Vec<ImageSummary>, filters: &Filters) -> Result<Vec<ImageSummary>, Failure> {
    let created = |key: &str| -> Result<Option<Option<i64>>, Failure> {
        let Some(wanted) = filters.values(key).last() else { return Ok(None) };
        let found = images.iter().find(|image| is_called(image, wanted));
        found.map(|image| Some(image.created)).ok_or_else(|| {
            Failure::new(crate::exit::NOT_FOUND, format!("filter {key}: no such image: {wanted}"))
        })
    };
    let (before, since) = (created("before")?, created("since")?);
    let dangling = filters.flag("dangling")?;
    let chosen = images.into_iter().filter(|image| {
        dangling.is_none_or(|wanted| image.references.is_empty() == wanted)
            && before.is_none_or(|time| image.created < time)
            && since.is_none_or(|time| image.created > time)
            && filters.allow_labels(&image.labels)
            && (filters.values("reference").is_empty()
                || image.references.iter().any(|name| named(name, filters)))
    });
    Ok(chosen.collect())
}

fn is_called(image: &ImageSummary, wanted: &str) -> bool {
    let by_name = |name: &String| name == wanted || name.strip_suffix(":latest") == Some(wanted);
    image.references.iter().any(by_name)
        || image.id == wanted
        || (wanted.len() >= 4 && units::short_id(&image.id).starts_with(wanted))
}

fn named(name: &str, filters: &Filters) -> bool {
    filters.allow("reference", |pattern| glob(pattern, name) || glob(pattern, &parts(name).0))
}

/// A name's repository, tag and digest.
fn parts(name: &str) -> (String, String, String) {
    let (name, digest) = name.split_once('@').map_or((name, NONE), |(name, digest)| (name, digest));
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, NONE),
    };
    let repository = if repository.is_empty() { NONE } else { repository };
    (repository.to_owned(), tag.to_owned(), digest.to_owned())
}

fn since(row: &Row) -> String {
    row.image.created.map_or_else(|| "N/A".to_owned(), |time| units::ago(time, row.now))
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Show everything about images, as JSON
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre image inspect debian:latest
  nacre image inspect -f '{{json .Config.Env}}' debian:latest")]
pub struct InspectImage {
    /// `json` or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl InspectImage {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        inspect::show(cx, &self.images, &[Kind::Image], self.format.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_for_formats_that_may_show_them() {
        for (format, read) in [
            ("table", false),
            ("{{.ID}} {{json .Repository}}", false),
            ("table {{.Repository}}\\t{{.Tag}}", false),
            ("json", true),
            ("{{.Labels}}", true),
            ("{{json .}}", true),
            ("{{range $k, $v := .}}{{$v}}{{end}}", true),
        ] {
            assert_eq!(may_show_labels(format), read, "{format}");
        }
    }

    #[test]
    fn names_are_taken_apart() {
        for (name, repository, tag, digest) in [
            ("debian:12", "debian", "12", NONE),
            ("localhost:5000/a/b:x", "localhost:5000/a/b", "x", NONE),
            ("localhost:5000/a", "localhost:5000/a", NONE, NONE),
            ("debian@sha256:12", "debian", NONE, "sha256:12"),
            ("", NONE, NONE, NONE),
        ] {
            assert_eq!(parts(name), (repository.to_owned(), tag.to_owned(), digest.to_owned()), "{name}");
        }
    }
}
