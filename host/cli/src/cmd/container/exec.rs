//! `exec`.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use clap::Args;
use nacre_engine::ExecOptions;

use super::run::need_terminal;
use crate::cmd::exit_of;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;

/// Run another process in a running container
///
/// The exit code is that of the process; 125 says that nacre itself failed, 126 that the command cannot be
/// invoked, 127 that it was not found.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  nacre exec web ls -l /srv
  nacre exec -it web bash
  nacre exec -e DEBUG=1 -w /srv -u www-data web env")]
pub struct Exec {
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
    /// Do not wait for the process
    #[arg(short, long)]
    detach: bool,
    /// Set an environment variable; NAME alone takes it from here
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = crate::args::variable)]
    env: Vec<String>,
    /// The directory that the process starts in
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Who the process runs as
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// The container
    container: String,
    /// The command
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    /// Runs it. Whatever fails before the process runs ends it with 125, as in `run`.
    pub fn run(self, cx: &Context) -> Result<Exit, Failure> {
        self.start(cx).map_err(Failure::in_run)
    }

    fn start(self, cx: &Context) -> Result<Exit, Failure> {
        if self.detach {
            return self.start_detached(cx);
        }
        need_terminal(self.tty, self.interactive)?;
        let options = ExecOptions {
            command: self.command,
            env: self.env,
            workdir: self.workdir,
            user: self.user,
            tty: self.tty,
            interactive: self.interactive,
        };
        Ok(exit_of(cx.engine()?.exec(&self.container, &options)?))
    }

    /// Leaves the waiting to a nacre of its own, in a process group of its own. What can be known before, is:
    /// that the container runs.
    fn start_detached(self, cx: &Context) -> Result<Exit, Failure> {
        if !cx.engine()?.is_running(&self.container)? {
            return Err(Failure::new(exit::CONFLICT, format!("container {} is not running", self.container))
                .with_help(format!("start it with `nacre start {}`", self.container)));
        }
        let program =
            std::env::current_exe().map_err(|e| Failure::io("find", Path::new("/proc/self/exe"), e))?;
        let mut command = std::process::Command::new(&program);
        command.arg("--root").arg(&cx.global.root).arg("exec");
        command.args(self.env.iter().flat_map(|variable| ["--env", variable.as_str()]));
        command.args(self.workdir.iter().flat_map(|dir| ["--workdir", dir.as_str()]));
        command.args(self.user.iter().flat_map(|user| ["--user", user.as_str()]));
        command.arg("--").arg(&self.container).args(&self.command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command.spawn().map_err(|e| Failure::io("start", &program, e))?;
        Ok(Exit::OK)
    }
}
