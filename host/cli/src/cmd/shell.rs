//! What serves the command itself: shell completion, man pages, help.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::Shell;

use crate::args;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out;
use crate::topics;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre completion bash > /etc/bash_completion.d/nacre
  nacre completion zsh > ~/.zfunc/_nacre
  nacre completion fish > ~/.config/fish/completions/nacre.fish")]
pub struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    /// Runs it.
    pub fn run(self, _: &Context) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut args::command(), "nacre", &mut script);
        out::to_stdout(|out| Ok(out.write_all(&script)?))?;
        Ok(Exit::OK)
    }
}

/// Write the man pages, one for each command
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre man /usr/local/share/man/man1
  nacre man | man -l -")]
pub struct Man {
    /// The directory for the pages [default: print nacre(1)]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    /// Runs it.
    pub fn run(self, _: &Context) -> Result<Exit, Failure> {
        let mut command = args::command();
        command.build();
        match self.dir {
            None => {
                let page = page(&command)?;
                out::to_stdout(|out| Ok(out.write_all(&page)?))?;
            }
            Some(dir) => {
                fs::create_dir_all(&dir).map_err(|e| Failure::io("create", &dir, e))?;
                write_pages(&command, &dir)?;
            }
        }
        Ok(Exit::OK)
    }
}

fn write_pages(command: &clap::Command, dir: &Path) -> Result<(), Failure> {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        write_pages(sub, dir)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page(command)?).map_err(|e| Failure::io("write", &path, e))
}

fn page(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    // A page explains what `-h` leaves out for brevity.
    let command = command.clone().mut_args(|argument| argument.hide_short_help(false));
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}

/// Show the help of a command or a topic
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre help run
  nacre help layer tree
  nacre help exit-codes")]
pub struct Help {
    /// A command, or one of: exit-codes, formats, environment
    #[arg(value_name = "COMMAND|TOPIC")]
    topic: Vec<String>,
}

impl Help {
    /// Runs it.
    pub fn run(self, _: &Context) -> Result<Exit, Failure> {
        if let [name] = self.topic.as_slice()
            && let Some(text) = topics::text(name)
        {
            out::line(text.trim_end())?;
            return Ok(Exit::OK);
        }
        let mut command = args::command();
        command.build();
        let mut found = &mut command;
        for name in &self.topic {
            found = found.find_subcommand_mut(name).ok_or_else(|| {
                Failure::usage(format!("there is no command or topic `{}`", self.topic.join(" "))).with_help(
                    format!(
                        "`nacre --help` lists the commands; the topics are {}",
                        topics::names().join(", ")
                    ),
                )
            })?;
        }
        // clap colours this where standard output is a terminal, and lets NO_COLOR forbid it.
        found.print_long_help()?;
        Ok(Exit::OK)
    }
}
