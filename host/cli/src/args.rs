//! The command line: what is common to all commands, and the tree of commands.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::cmd::{
    container, driver, image, info, inspect, layer, repl, script, serve, shell, stat, system, trace, why,
};
use crate::context::Context;
use crate::docker;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::topics;

const GLOBAL: &str = "Global options";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "nacre",
    version,
    about = "A container storage engine whose storage drivers are WebAssembly components",
    disable_help_subcommand = true,
    args_override_self = true,
    max_term_width = 110,
    after_help = "Examples:
  nacre load -i debian.tar
  nacre run --rm debian:latest cat /etc/os-release
  nacre ps -a -s
  nacre layer tree
  nacre why web /etc/hosts
  nacre -e 'print(#nacre.image.list())'
  nacre --root /mnt/test run --explain debian:latest true"
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where images and containers are kept (or NACRE_ROOT)
    #[arg(long, value_name = "DIR", default_value = "/var/lib/nacre")]
    #[arg(global = true, help_heading = GLOBAL, hide_short_help = true)]
    pub root: PathBuf,
    /// The storage driver for new layers, by name or by its component's file (or NACRE_DRIVER) [default: the one
    /// in use]
    #[arg(long, value_name = "NAME|FILE")]
    #[arg(global = true, help_heading = GLOBAL, hide_short_help = true)]
    pub driver: Option<String>,
    /// An option of a driver, for every layer
    #[arg(id = "engine_storage_opt", long = "storage-opt", value_name = "DRIVER.OPTION=VALUE", value_parser = storage_opt)]
    #[arg(help_heading = GLOBAL)]
    pub storage_opts: Vec<String>,
    /// What to log on standard error: off, error, warn, info, debug, trace, or directives such as
    /// `nacre_engine=debug` (or NACRE_LOG)
    #[arg(short = 'l', long, value_name = "LEVEL", default_value = "warn")]
    #[arg(help_heading = GLOBAL)]
    pub log_level: String,
    /// Log what nacre does (the same as --log-level debug)
    #[arg(long, global = true, help_heading = GLOBAL, hide_short_help = true)]
    pub debug: bool,
    /// No colours, whatever the terminal (NO_COLOR does the same)
    #[arg(long, global = true, help_heading = GLOBAL, hide_short_help = true)]
    pub no_color: bool,
}

/// `--explain`, for commands that run plans.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Explain {
    /// Show the plans that the storage driver makes for this, and change nothing
    #[arg(long = "explain", value_name = "FORM", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "table", value_enum)]
    pub form: Option<ExplainForm>,
}

/// How plans are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExplainForm {
    /// For people.
    Table,
    /// One JSON document, an array of plans.
    Json,
}

/// `--format`, for listings.
#[derive(Debug, Clone, Default, Args)]
pub struct Format {
    /// `json` (an object per line), `table`, `table TEMPLATE` or a Go template: see `nacre help formats`
    #[arg(id = "format", long = "format", value_name = "FORMAT")]
    pub format: Option<String>,
}

/// The commands. Those of images and containers are there twice, as in Docker: `nacre ps` is
/// `nacre container ls`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "a variant is documented at its struct, and clap shows that")]
pub enum Command {
    Run(container::run::Run),
    Create(container::run::Create),
    Start(container::lifecycle::Start),
    Stop(container::lifecycle::Stop),
    Kill(container::lifecycle::Kill),
    Exec(container::exec::Exec),
    Ps(container::ls::Ls),
    Logs(container::logs::Logs),
    Rename(container::lifecycle::Rename),
    Rm(container::lifecycle::Rm),
    Mount(container::mount::Mount),
    Umount(container::mount::Umount),
    Diff(container::files::Diff),
    Commit(container::files::Commit),
    Cp(container::cp::Cp),
    Export(container::files::Export),

    Load(image::load::Load),
    Save(image::save::Save),
    Import(image::load::Import),
    Images(image::ls::Ls),
    Tag(image::save::Tag),
    History(image::history::History),
    Rmi(image::remove::Rm),

    Inspect(inspect::Inspect),
    Why(why::Why),
    Stat(stat::Stat),
    Trace(trace::Trace),
    Info(info::Info),
    Version(info::Version),

    Container(container::Container),
    Image(image::Image),
    Layer(layer::Layer),
    Driver(driver::Driver),
    System(system::System),
    Script(script::Script),
    Repl(repl::Repl),
    Serve(serve::Serve),

    Completion(shell::Completion),
    Man(shell::Man),
    Help(shell::Help),
}

impl Command {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Run(c) => c.run(cx),
            Self::Create(c) => c.run(cx),
            Self::Start(c) => c.run(cx),
            Self::Stop(c) => c.run(cx),
            Self::Kill(c) => c.run(cx),
            Self::Exec(c) => c.run(cx),
            Self::Ps(c) => c.run(cx),
            Self::Logs(c) => c.run(cx),
            Self::Rename(c) => c.run(cx),
            Self::Rm(c) => c.run(cx),
            Self::Mount(c) => c.run(cx),
            Self::Umount(c) => c.run(cx),
            Self::Diff(c) => c.run(cx),
            Self::Commit(c) => c.run(cx),
            Self::Cp(c) => c.run(cx),
            Self::Export(c) => c.run(cx),
            Self::Load(c) => c.run(cx),
            Self::Save(c) => c.run(cx),
            Self::Import(c) => c.run(cx),
            Self::Images(c) => c.run(cx),
            Self::Tag(c) => c.run(cx),
            Self::History(c) => c.run(cx),
            Self::Rmi(c) => c.run(cx),
            Self::Inspect(c) => c.run(cx),
            Self::Why(c) => c.run(cx),
            Self::Stat(c) => c.run(cx),
            Self::Trace(c) => c.run(cx),
            Self::Info(c) => c.run(cx),
            Self::Version(c) => c.run(cx),
            Self::Container(c) => c.run(cx),
            Self::Image(c) => c.run(cx),
            Self::Layer(c) => c.run(cx),
            Self::Driver(c) => c.run(cx),
            Self::System(c) => c.run(cx),
            Self::Script(c) => c.run(cx),
            Self::Repl(c) => c.run(cx),
            Self::Serve(c) => c.run(cx),
            Self::Completion(c) => c.run(cx),
            Self::Man(c) => c.run(cx),
            Self::Help(c) => c.run(cx),
        }
    }
}

/// The commands in the groups in which `nacre --help` shows them.
pub const GROUPS: &[(&str, &[&str])] = &[
    (
        "Containers",
        &[
            "run", "create", "start", "stop", "kill", "exec", "ps", "logs", "rename", "rm", "mount",
            "umount", "diff", "commit", "cp", "export",
        ],
    ),
    ("Images", &["load", "save", "import", "images", "tag", "history", "rmi"]),
    ("Looking closer", &["inspect", "why", "stat", "trace", "info", "version"]),
    ("By noun", &["container", "image", "layer", "driver", "system", "script"]),
    ("Lua", &["repl", "serve"]),
    ("The command itself", &["completion", "man", "help"]),
];

/// The clap tree, with the help that `nacre --help` shows.
pub fn command() -> clap::Command {
    let command = Cli::command();
    let overview = overview(&command);
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    command
        .help_template(format!(
            "{{about}}\n\n{{usage-heading}} nacre [OPTIONS] COMMAND\n{overview}\nOptions:\n{{options}}{{after-help}}"
        ))
        .after_help(format!(
            "{examples}\n\n`nacre help COMMAND` says more of a command, and `nacre help TOPIC` of: {}.",
            topics::names().join(", ")
        ))
}

/// `nacre -e CODE` is short for `nacre script run -e CODE`, after whatever global options.
fn with_short_execute(mut argv: Vec<OsString>) -> Vec<OsString> {
    const WITH_VALUE: [&str; 5] = ["--root", "--driver", "--storage-opt", "--log-level", "-l"];
    let mut at = 1;
    while let Some(word) = argv.get(at).and_then(|word| word.to_str()).filter(|word| word.starts_with('-')) {
        if matches!(word, "-e" | "--execute") {
            argv.splice(at..at, ["script", "run"].map(OsString::from));
            break;
        }
        at += if WITH_VALUE.contains(&word) { 2 } else { 1 };
    }
    argv
}

/// Parses a command line. What it does not say is taken from the environment.
pub fn parse(argv: Vec<OsString>) -> Result<Cli, clap::Error> {
    let argv = with_short_execute(argv);
    let words: Vec<String> = argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut command = with_environment(command());
    if words.iter().any(|word| word == "--no-color") {
        // What clap says itself, before there are options to look at.
        command = command.color(clap::ColorChoice::Never);
    }
    let matches = command.try_get_matches_from(argv).map_err(|e| docker::told(e, &words))?;
    Cli::from_arg_matches(&matches)
}

/// Variables as defaults. clap's own way with variables takes them for given, and so as needed in usage lines.
fn with_environment(command: clap::Command) -> clap::Command {
    [("root", "NACRE_ROOT"), ("driver", "NACRE_DRIVER"), ("log_level", "NACRE_LOG")].into_iter().fold(
        command,
        |command, (argument, variable)| match std::env::var_os(variable).filter(|value| !value.is_empty()) {
            Some(value) => command.mut_arg(argument, |argument| argument.default_value(value)),
            None => command,
        },
    )
}

fn overview(command: &clap::Command) -> String {
    let mut text = String::new();
    for (heading, names) in GROUPS {
        text.push_str(&format!("\n{heading}:\n"));
        for name in *names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("  {name:<11} {about}\n"));
        }
    }
    text
}

/// `NAME=VALUE`, or `NAME` for what it is here.
pub fn variable(text: &str) -> Result<String, &'static str> {
    if text.starts_with('=') || text.is_empty() { Err("a variable has a name") } else { Ok(text.to_owned()) }
}

/// Docker writes `dm.` for what the options of devicemapper are called here.
pub fn storage_opt(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(match text.strip_prefix("dm.") {
        Some(option) => format!("devicemapper.{option}"),
        None => text.to_owned(),
    })
}
