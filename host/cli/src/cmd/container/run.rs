//! `create` and `run`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use nacre_engine::CreateOptions;

use crate::args::Explain;
use crate::cmd::exit_of;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::out;

/// Which network a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Network {
    /// A loopback interface of its own.
    None,
    /// The host's.
    Host,
}

/// What `create` and `run` have in common.
#[derive(Debug, Args)]
pub struct Spec {
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
    /// Remove the container when its process ends
    #[arg(long)]
    rm: bool,
    /// The container's name [default: a random one]
    #[arg(long)]
    name: Option<String>,
    /// Set an environment variable; NAME alone takes it from here
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = crate::args::variable)]
    env: Vec<String>,
    /// Read environment variables from a file, one a line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// The directory that the process starts in
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Who the process runs as: names or numbers
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Let nothing be written to the container's root
    #[arg(long)]
    read_only: bool,
    /// Run this in place of the image's entry point; '' for none
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,
    /// The container's host name [default: 12 digits of its ID]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Attach a label
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,
    /// The network that the process sees
    #[arg(long, visible_alias = "net", value_enum, default_value_t = Network::None)]
    network: Network,
    /// An option of the storage driver for this container
    #[arg(long, value_name = "OPTION=VALUE", value_parser = crate::args::storage_opt)]
    storage_opt: Vec<String>,
    #[command(flatten)]
    explain: Explain,
    /// The image, by name, ID or the beginning of its ID
    image: String,
    /// The command to run in place of the image's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Spec {
    fn options(&self) -> Result<CreateOptions, Failure> {
        let mut env = Vec::new();
        for file in &self.env_file {
            env.extend(env_file(file)?);
        }
        env.extend(self.env.iter().cloned());
        let entrypoint = self.entrypoint.as_ref().map(|command| match command.as_str() {
            "" => Vec::new(),
            command => vec![command.to_owned()],
        });
        let labels = self.label.iter().map(|label| label.split_once('=').unwrap_or((label, "")));
        Ok(CreateOptions {
            image: self.image.clone(),
            name: self.name.clone(),
            command: self.command.clone(),
            entrypoint,
            env,
            workdir: self.workdir.clone(),
            user: self.user.clone(),
            hostname: self.hostname.clone(),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            read_only: self.read_only,
            tty: self.tty,
            interactive: self.interactive,
            host_network: self.network == Network::Host,
            auto_remove: self.rm,
            storage_opts: self.storage_opt.clone(),
        })
    }

    /// Shows what creating the container, or running it too, would do.
    fn explain(&self, cx: &Context, run: bool) -> Result<Exit, Failure> {
        let engine = cx.engine_for(self.explain)?;
        let options = self.options()?;
        if run {
            engine.explain_run(&options)?;
        } else {
            engine.create(&options)?;
        }
        out::explain::print(self.explain, &engine.explained())?;
        Ok(Exit::OK)
    }
}

/// Create a container without starting it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre create --name web debian:latest sleep infinity
  nacre create -e TZ=UTC -w /srv --label team=storage debian:latest
  nacre create --explain debian:latest")]
pub struct Create {
    #[command(flatten)]
    spec: Spec,
}

impl Create {
    /// Runs it.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        if self.spec.explain.form.is_some() {
            return self.spec.explain(cx, false);
        }
        let created = cx.engine()?.create(&self.spec.options()?)?;
        out::line(created.id)?;
        Ok(Exit::OK)
    }
}

/// Create a container and run a process in it
///
/// The exit code is that of the process; 125 says that nacre itself failed, 126 that the command cannot be
/// invoked, 127 that it was not found.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre run --rm debian:latest cat /etc/os-release
  nacre run -it --name box debian:latest bash
  nacre run -d --name web -e PORT=80 debian:latest sleep infinity
  nacre run --rm --read-only -u 1000:1000 debian:latest id
  nacre run --explain debian:latest true")]
pub struct Run {
    /// Run in the background and print the container's ID
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    spec: Spec,
}

impl Run {
    /// Runs it. Whatever fails before the process runs ends it with 125, as in Docker.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        if self.spec.explain.form.is_some() {
            return self.spec.explain(cx, true);
        }
        self.start(cx).map_err(Failure::in_run)
    }

    fn start(self, cx: &Context) -> Result<Exit, Failure> {
        if !self.detach {
            need_terminal(self.spec.tty, self.spec.interactive)?;
        }
        let options = self.spec.options()?;
        let engine = cx.engine()?;
        let created = engine.create(&options)?;
        let started = if self.detach {
            engine.start_detached(&created.id).map(|()| None)
        } else {
            engine.start_foreground(&created.id).map(Some)
        };
        if started.is_err() && options.auto_remove {
            // One whose process failed to start is gone already.
            let _ = engine.remove_container(&created.id, true);
        }
        match started? {
            Some(code) => Ok(exit_of(code)),
            None => {
                out::line(created.id)?;
                Ok(Exit::OK)
            }
        }
    }
}

/// `-it` makes no sense without a terminal to type on.
pub(crate) fn need_terminal(tty: bool, interactive: bool) -> Result<(), Failure> {
    if tty && interactive && !std::io::stdin().is_terminal() {
        return Err(Failure::usage("standard input is not a terminal")
            .with_help("leave -t out to pass standard input on as it is"));
    }
    Ok(())
}

/// The variables of a file as Docker reads it: `NAME=VALUE` or `NAME`, a line each; lines that begin with `#`
/// and empty ones are skipped, nothing is unquoted.
fn env_file(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::io("read", path, e))?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim_start);
    let lines = lines.enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(i, line)| {
            let name = line.split('=').next().unwrap_or_default();
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(Failure::new(
                    exit::USAGE,
                    format!("{}:{}: `{line}` is not NAME=VALUE", path.display(), i + 1),
                ));
            }
            Ok(line.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_env_file_is_read_as_docker_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("env");
        std::fs::write(&file, "# comment\n\nA=1\n  B=two words \nC\nD=\"quoted\"\n").unwrap();
        assert_eq!(env_file(&file).unwrap(), ["A=1", "B=two words ", "C", "D=\"quoted\""]);
        std::fs::write(&file, "A=1\nB C=2\n").unwrap();
        let error = env_file(&file).unwrap_err();
        assert!(error.to_string().ends_with("env:2: `B C=2` is not NAME=VALUE"), "{error}");
    }
}
