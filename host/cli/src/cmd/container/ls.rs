//! `ps`, and `container inspect`.

use std::cmp::Reverse;
use std::io::Write;

use clap::Args;
use nacre_engine::{ContainerSummary, State};

use crate::args::Format;
use crate::cmd::inspect::{self, Kind};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::filter::{Filters, glob};
use crate::out::listing::{Column, Listing};
use crate::out::{self, units};

const FILTERS: [&str; 9] =
    ["id", "name", "status", "ancestor", "label", "exited", "before", "since", "mounted"];

/// Docker's; here a container is in one of three.
const STATUSES: [&str; 7] = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];

/// List containers
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre ps
  nacre ps --all --size
  nacre ps -aq --filter status=exited
  nacre ps -a --format 'table {{.Names}}\\t{{.Status}}\\t{{.Size}}'
  nacre ps --format json")]
pub struct Ls {
    /// Show those that do not run too
    #[arg(short, long)]
    all: bool,
    /// Show sizes: of the writable layer, and with all layers below it
    #[arg(short, long)]
    size: bool,
    /// Print only IDs
    #[arg(short, long)]
    quiet: bool,
    /// Show the last N that were created, running or not
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
    /// Show the last one that was created, running or not
    #[arg(short, long)]
    latest: bool,
    /// Cut nothing off
    #[arg(long)]
    no_trunc: bool,
    /// Show only some: id, name, status, ancestor, label, exited, before, since, mounted
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    #[command(flatten)]
    format: Format,
}

impl Ls {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let filters = Filters::parse(&self.filter, &FILTERS)?;
        if let Some(none) = filters.values("status").iter().find(|given| !STATUSES.contains(&given.as_str()))
        {
            return Err(Failure::usage(format!("filter status: there is no status `{none}`"))
                .with_help(format!("it is one of {}", STATUSES.join(", "))));
        }
        let last = self.last.or(self.latest.then_some(1));
        let any_state = !filters.values("status").is_empty() || !filters.values("exited").is_empty();
        let format = self.format.format.as_deref();
        let sizes = self.size || format.is_some_and(|format| format.contains(".Size"));
        let all = self.all || any_state || last.is_some();
        let mut containers = cx.engine()?.containers(all, sizes)?;
        containers.sort_by_key(|container| Reverse(container.created));
        let containers = select(containers, &filters, last)?;
        let text = if self.quiet && format.is_none() {
            LISTING.render_quiet(&rows(containers, self.no_trunc, units::now()))
        } else {
            render(containers, format, sizes, self.no_trunc, units::now())?
        };
        out::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?;
        Ok(Exit::OK)
    }
}

/// A line of `ps`.
#[derive(Debug)]
struct Row {
    container: ContainerSummary,
    whole: bool,
    now: i64,
}

/// The fields of `ps`.
const LISTING: Listing<'static, Row> = Listing {
    columns: &[
        Column { field: "ID", head: "CONTAINER ID", value: |r| units::id(&r.container.id, r.whole).into() },
        Column { field: "Image", head: "IMAGE", value: |r| image(r).into() },
        Column { field: "Command", head: "COMMAND", value: |r| command(r).into() },
        Column { field: "CreatedAt", head: "CREATED AT", value: |r| units::date(r.container.created).into() },
        Column {
            field: "RunningFor",
            head: "CREATED",
            value: |r| units::ago(r.container.created, r.now).into(),
        },
        Column { field: "Status", head: "STATUS", value: |r| status(&r.container, r.now).into() },
        Column { field: "State", head: "STATE", value: |r| state(r.container.state).into() },
        Column { field: "Size", head: "SIZE", value: |r| size(&r.container).into() },
        Column { field: "Names", head: "NAMES", value: |r| r.container.name.as_str().into() },
        Column { field: "Labels", head: "LABELS", value: |r| labels(&r.container).into() },
        Column { field: "ImageID", head: "IMAGE ID", value: |r| image_id(r).into() },
        Column { field: "Driver", head: "DRIVER", value: |r| r.container.driver.as_str().into() },
        Column { field: "Mounted", head: "MOUNTED", value: |r| r.container.mounted.into() },
        Column { field: "Pid", head: "PID", value: |r| r.container.pid.into() },
        Column { field: "ExitCode", head: "EXIT CODE", value: |r| r.container.exit_code.into() },
        Column { field: "SizeBytes", head: "BYTES", value: |r| r.container.size.map(|s| s.writable).into() },
        Column {
            field: "VirtualSizeBytes",
            head: "VIRTUAL BYTES",
            value: |r| r.container.size.map(|s| s.virtual_size).into(),
        },
    ],
    table: &["ID", "Image", "Command", "RunningFor", "Status", "Names"],
    quiet: "ID",
};

const WITH_SIZE: &[&str] = &["ID", "Image", "Command", "RunningFor", "Status", "Names", "Size"];

fn rows(containers: Vec<ContainerSummary>, whole: bool, now: i64) -> Vec<Row> {
    containers.into_iter().map(|container| Row { container, whole, now }).collect()
}

/// Containers as `ps` shows them at the time `now`.
pub fn render(
    containers: Vec<ContainerSummary>,
    format: Option<&str>,
    sizes: bool,
    whole: bool,
    now: i64,
) -> Result<String, Failure> {
    let table = if sizes { WITH_SIZE } else { LISTING.table };
    Listing { table, ..LISTING }.render(&rows(containers, whole, now), format)
}

fn select(
    containers: Vec<ContainerSummary>,
    filters: &Filters,
    last: Option<usize>,
) -> Result<Vec<ContainerSummary>, Failure> {
    let place = |key: &str| -> Result<Option<usize>, Failure> {
        let Some(wanted) = filters.values(key).last() else { return Ok(None) };
        let found = containers.iter().position(|c| c.name == *wanted || c.id.starts_with(wanted.as_str()));
        found.map(Some).ok_or_else(|| {
            Failure::new(crate::exit::NOT_FOUND, format!("filter {key}: no such container: {wanted}"))
        })
    };
    let (before, since) = (place("before")?, place("since")?);
    let mounted = filters.flag("mounted")?;
    let newest_first = containers.into_iter().enumerate();
    let chosen = newest_first.filter(|(i, c)| {
        before.is_none_or(|place| *i > place)
            && since.is_none_or(|place| *i < place)
            && mounted.is_none_or(|wanted| c.mounted == wanted)
            && matches(c, filters)
    });
    Ok(chosen.map(|(_, c)| c).take(last.unwrap_or(usize::MAX)).collect())
}

fn matches(c: &ContainerSummary, filters: &Filters) -> bool {
    filters.allow("id", |id| c.id.starts_with(id))
        && filters.allow("name", |name| c.name.contains(name) || glob(name, &c.name))
        && filters.allow("status", |wanted| state(c.state) == wanted)
        && filters.allow("exited", |code| c.state == State::Exited && code.parse().ok() == c.exit_code)
        && filters.allow("ancestor", |image| {
            let id = c.image_id.as_deref().unwrap_or_default();
            c.image == image
                || c.image.strip_suffix(":latest") == Some(image)
                || id.starts_with(image)
                || (image.len() >= 6 && units::short_id(id).starts_with(image))
        })
        && filters.allow_labels(&c.labels)
}

fn image(row: &Row) -> String {
    let image = &row.container.image;
    // An image that was named by its ID is shown as IDs are.
    match image.strip_prefix("sha256:") {
        Some(digits) if !row.whole => units::short_id(digits).to_owned(),
        _ => image.clone(),
    }
}

fn image_id(row: &Row) -> &str {
    row.container.image_id.as_deref().map_or("", |id| units::id(id, row.whole))
}

fn command(row: &Row) -> String {
    match row.whole {
        true => format!("\"{}\"", row.container.command),
        false => format!("\"{}\"", units::shorten(&row.container.command, 20)),
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Created => "created",
        State::Running => "running",
        State::Exited => "exited",
    }
}

fn status(c: &ContainerSummary, now: i64) -> String {
    match c.state {
        State::Created => "Created".to_owned(),
        State::Running => format!("Up {}", units::duration(now - c.started.unwrap_or(c.created))),
        State::Exited => {
            let code = c.exit_code.map_or_else(|| "?".to_owned(), |code| code.to_string());
            let ago = c.finished.map(|time| format!(" {}", units::ago(time, now))).unwrap_or_default();
            format!("Exited ({code}){ago}")
        }
    }
}

fn size(c: &ContainerSummary) -> String {
    c.size.map_or_else(String::new, |size| {
        format!("{} (virtual {})", units::size(size.writable), units::size(size.virtual_size))
    })
}

fn labels(c: &ContainerSummary) -> String {
    c.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Show everything about containers, as JSON
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre container inspect web
  nacre container inspect -f '{{.State.Status}}' web")]
pub struct InspectContainer {
    /// `json` or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// The containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl InspectContainer {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        inspect::show(cx, &self.containers, &[Kind::Container], self.format.as_deref())
    }
}
