//! What a container is to be run with: the user's wishes on top of the image's.

use std::collections::BTreeMap;

use nacre_archive::image::config::ImageConfig;
use nacre_plugin::types::Setting;
use nacre_store::Container;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::types::CreateOptions;

/// What is kept of a container beside its record: everything that a later start needs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerConfig {
    /// The program and its arguments, entry point and command joined.
    pub args: Vec<String>,
    /// How many of `args` are the entry point.
    pub entrypoint: usize,
    pub env: Vec<String>,
    pub workdir: String,
    pub user: String,
    pub hostname: String,
    pub labels: BTreeMap<String, String>,
    pub stop_signal: Option<String>,
    pub read_only: bool,
    pub tty: bool,
    pub interactive: bool,
    pub host_network: bool,
    pub auto_remove: bool,
    /// The driver's settings for this container alone.
    pub settings: Vec<Setting>,
}

impl ContainerConfig {
    pub(crate) fn of(container: &Container) -> Result<Self, Error> {
        Ok(serde_json::from_str(&container.config).map_err(nacre_store::Error::from)?)
    }

    /// The user's wishes on top of the image's.
    pub(crate) fn merge(
        options: &CreateOptions,
        image: &ImageConfig,
        settings: Vec<Setting>,
    ) -> Result<Self, Error> {
        let base = &image.config;
        let replaced = options.entrypoint.is_some();
        let entrypoint = options.entrypoint.clone().unwrap_or_else(|| base.entrypoint.clone());
        // As Docker: an entry point of one's own drops the image's command.
        let command = if !options.command.is_empty() {
            options.command.clone()
        } else if replaced {
            Vec::new()
        } else {
            base.cmd.clone()
        };
        let args: Vec<String> = entrypoint.iter().cloned().chain(command).collect();
        if args.is_empty() {
            return Err(Error::Usage {
                what: format!("the image {} has no command", options.image),
                help: Some("give one after the image's name, such as `nacre run IMAGE sh`".to_owned()),
            });
        }
        let mut labels = base.labels.clone();
        labels.extend(options.labels.clone());
        Ok(Self {
            args,
            entrypoint: entrypoint.len(),
            env: environment(&base.env, &options.env),
            workdir: options.workdir.clone().unwrap_or_else(|| base.working_dir.clone()),
            user: options.user.clone().unwrap_or_else(|| base.user.clone()),
            hostname: options.hostname.clone().unwrap_or_default(),
            labels,
            stop_signal: Some(base.stop_signal.clone()).filter(|signal| !signal.is_empty()),
            read_only: options.read_only,
            tty: options.tty,
            interactive: options.interactive,
            host_network: options.host_network,
            auto_remove: options.auto_remove,
            settings,
        })
    }
}

/// The image's variables, then the user's over them; `NAME` alone takes the caller's value, or removes
/// the variable where the caller has none (`docker run -e`).
pub(crate) fn environment(image: &[String], user: &[String]) -> Vec<String> {
    let mut all: Vec<String> = image.to_vec();
    for given in user {
        let name = given.split('=').next().unwrap_or_default();
        all.retain(|known| known.split('=').next() != Some(name));
        if given.contains('=') {
            all.push(given.clone());
        } else if let Ok(value) = std::env::var(name) {
            all.push(format!("{name}={value}"));
        }
    }
    all
}
