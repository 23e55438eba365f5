//! A process description with everything looked up: what every runtime is given in the end.

use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

use crate::defaults;
use crate::error::{Error, Result};
use crate::spec::ProcessSpec;
use crate::terminal::Size;
use crate::user::{self, User};

/// What is executed, as whom, and with which environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub cwd: String,
    pub user: User,
    pub terminal: bool,
    pub size: Option<Size>,
}

impl Process {
    /// Looks up what `spec` leaves to the root file system `root`.
    pub(crate) fn resolve(
        spec: &ProcessSpec,
        root: impl AsFd,
        hostname: &str,
        size: Option<Size>,
    ) -> Result<Self> {
        if spec.args.first().is_none_or(String::is_empty) {
            return Err(Error::BadSpec("no command specified".into()));
        }
        let texts = spec.args.iter().chain(&spec.env).chain([&spec.cwd]);
        if texts.into_iter().any(|text| text.contains('\0')) {
            return Err(Error::BadSpec("a NUL byte in an argument or the environment".into()));
        }
        let cwd = if spec.cwd.is_empty() { "/" } else { &spec.cwd };
        if !cwd.starts_with('/') {
            return Err(Error::BadSpec(format!("the working directory {cwd:?} is not an absolute path")));
        }
        let user = user::resolve(root, &spec.user)?;
        Ok(Self {
            args: spec.args.clone(),
            env: environment(spec, hostname, &user.home),
            cwd: cwd.to_owned(),
            user,
            terminal: spec.terminal,
            size,
        })
    }

    /// The last value of a variable.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    }
}

/// The defaults, and over them what the caller sets, in that order.
fn environment(spec: &ProcessSpec, hostname: &str, home: &str) -> Vec<String> {
    let mut env = vec![format!("PATH={}", defaults::PATH), format!("HOSTNAME={hostname}")];
    if spec.terminal {
        env.push("TERM=xterm".into());
    }
    env.push(format!("HOME={home}"));
    for entry in &spec.env {
        let Some((name, _)) = entry.split_once('=') else { continue };
        match env.iter_mut().find(|old| old.split_once('=').is_some_and(|(old, _)| old == name)) {
            Some(old) => old.clone_from(entry),
            None => env.push(entry.clone()),
        }
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_variables_replace_the_defaults() {
        let env = ["PATH=/bin", "A=1", "A=2", "not a variable"].map(String::from).to_vec();
        let spec = ProcessSpec { env, terminal: true, ..ProcessSpec::default() };
        assert_eq!(
            environment(&spec, "host", "/root"),
            ["PATH=/bin", "HOSTNAME=host", "TERM=xterm", "HOME=/root", "A=2"]
        );
    }
}
