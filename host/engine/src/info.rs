//! The whole at a glance: `info`, `system df`, `driver inspect`.

use std::collections::{BTreeMap, BTreeSet};

use nacre_plugin::description::{OptionSpec, OptionType, Role};
use nacre_plugin::types::Facts;
use nacre_store::ContainerState;
use serde::Serialize;

use crate::components::is_file;
use crate::plan::show::in_contract_words;
use crate::types::{CandidateSummary, DfRow, DriverSummary, Selection, Space};
use crate::{Engine, Error};

/// What this root and this machine are.
#[derive(Debug, Clone, Serialize)]
pub struct Info {
    /// nacre's version.
    pub version: String,
    /// The storage root.
    pub root: String,
    /// Where locks and mounts are.
    pub run_dir: String,
    /// The driver of new layers; none where there is no choice, and [`Info::driver_reason`] says why.
    pub driver: Option<DriverSummary>,
    /// Why it is this one.
    pub driver_reason: String,
    /// The selection policy that was asked: its name and version.
    pub policy: String,
    /// All drivers as the policy ranks them, the best first.
    pub candidates: Vec<CandidateSummary>,
    /// The most layers in a chain, the writable one included.
    pub max_depth: u32,
    /// How the driver works here where there is more than one way, in its own words.
    pub how: Option<String>,
    /// What the driver was told of this machine.
    pub facts: Facts,
    /// How layers are handed to overlayfs: `descriptors`, `names` or `option string`.
    pub overlay_method: String,
    /// What runs processes: `crun`, `runc`, `builtin`, or why there is none.
    pub runtime: String,
    /// Images.
    pub images: u64,
    /// Image layers, of all drivers.
    pub layers: u64,
    /// Containers.
    pub containers: u64,
    /// Containers whose process is alive.
    pub running: u64,
    /// Mounted containers.
    pub mounted: u64,
    /// Drivers that hold layers or containers here.
    pub drivers_in_use: Vec<DriverUse>,
    /// The union's policies that were put aside, each with its container, in words.
    pub policy_faults: Vec<String>,
}

/// What a driver holds.
#[derive(Debug, Clone, Serialize)]
pub struct DriverUse {
    /// Its name.
    pub name: String,
    /// Image layers.
    pub layers: u64,
    /// Containers whose writable layers it holds.
    pub containers: u64,
}

impl Engine {
    /// What this root and this machine are. The selection policy is asked.
    pub fn info(&self) -> Result<Info, Error> {
        let selection = self.selection(None, true)?;
        let driver = selection.choice.as_ref().ok().map(|name| self.driver(name)).transpose()?;
        let summaries = self.containers(true, false)?;
        let (images, layers, used) = self
            .store
            .read(|view| Ok((view.images()?.len(), view.layers(None)?.len(), view.driver_usage()?)))?;
        let policy_faults = self.all_policy_faults()?;
        let facts = match &driver {
            Some(driver) => driver.facts().clone(),
            None => crate::facts::probe(&nacre_sys::dir::Dir::open(self.root())?)?,
        };
        let suitability = driver.as_ref().map(|driver| driver.probe()).transpose()?;
        Ok(Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            root: self.root().display().to_string(),
            run_dir: self.store.paths().run.display().to_string(),
            driver_reason: driver_reason(&selection),
            policy: format!("{} {}", selection.policy, selection.policy_version),
            max_depth: suitability.as_ref().map_or(0, |it| it.max_depth),
            how: suitability.and_then(|it| it.how),
            driver: driver.map(|driver| driver.summary(true)),
            candidates: selection.candidates,
            facts,
            overlay_method: format!("{:?}", nacre_sys::mount::Method::best()).to_lowercase(),
            runtime: self.runtime_name(),
            images: images as u64,
            layers: layers as u64,
            containers: summaries.len() as u64,
            running: summaries.iter().filter(|c| c.state == crate::types::State::Running).count() as u64,
            mounted: summaries.iter().filter(|c| c.mounted).count() as u64,
            policy_faults,
            drivers_in_use: used
                .into_iter()
                .map(|(name, layers, containers)| DriverUse { name, layers, containers })
                .collect(),
        })
    }

    /// How much room the file system of the storage root has.
    pub fn space(&self) -> Result<Space, Error> {
        let found = rustix::fs::statvfs(self.root()).map_err(|e| Error::io("statvfs", self.root(), e))?;
        Ok(Space {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            available: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    /// Everything that a component says of itself, by name or by file, with its worked examples.
    pub fn inspect_driver(&self, name: &str) -> Result<serde_json::Value, Error> {
        let found =
            if is_file(name) { self.component_of_file(name.as_ref())? } else { self.component(name)? };
        let component = &found.component;
        let description = component.description();
        let mut shown = serde_json::json!({
            "Name": description.name,
            "Version": description.version,
            "Roles": description.roles.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "Origin": found.origin.name(),
            "Path": component.origin(),
            "Digest": component.digest().to_string(),
            "Bytes": component.size(),
            "Grants": found.grants.iter().map(|grant| grant.name()).collect::<Vec<_>>(),
            "Asks": description.grants.iter().map(|grant| (grant.name(), grant.meaning()))
                .collect::<BTreeMap<_, _>>(),
            "Options": description.options.iter().map(option).collect::<Vec<_>>(),
            "Description": in_contract_words(description),
        });
        if description.roles.contains(&Role::StorageDriver) {
            let driver = self.ready(found)?;
            shown["Layout"] = in_contract_words(driver.layout());
            shown["Here"] = match driver.probe() {
                Ok(suitability) => {
                    serde_json::json!({ "Suitable": true, "MaxDepth": suitability.max_depth, "How": suitability.how })
                }
                Err(error) => serde_json::json!({ "Suitable": false, "Reason": error.to_string() }),
            };
            shown["Examples"] = in_contract_words(&driver.examples()?);
        }
        Ok(shown)
    }

    /// What uses the disk, as `docker system df`: shared bytes are counted once.
    pub fn df(&self) -> Result<Vec<DfRow>, Error> {
        let images = self.store.read(|view| view.images())?;
        let layers = self.store.read(|view| view.layers(None))?;
        let containers = self.store.read(|view| view.containers(true))?;
        let users = self.store.read(|view| view.layer_users())?;
        let active: BTreeSet<_> = images.iter().filter(|i| i.containers > 0).map(|i| i.id).collect();
        let needed: BTreeSet<_> =
            users.iter().filter(|(_, image)| active.contains(image)).map(|(chain, _)| *chain).collect();
        let of_images: BTreeSet<_> = users.iter().map(|(chain, _)| *chain).collect();
        let size = |keep: &dyn Fn(&nacre_store::Layer) -> bool| -> u64 {
            layers.iter().filter(|layer| keep(layer)).map(|layer| layer.size).sum()
        };
        let image_row = DfRow {
            kind: "Images".to_owned(),
            total: images.len() as u64,
            active: active.len() as u64,
            size: size(&|layer| of_images.contains(&layer.chain_id)),
            reclaimable: size(&|layer| {
                of_images.contains(&layer.chain_id) && !needed.contains(&layer.chain_id)
            }),
        };
        let mut container_row = DfRow { kind: "Containers".to_owned(), ..empty_row() };
        for container in &containers {
            let bytes = self.known_size(container)?.unwrap_or(0);
            let running = container.state == ContainerState::Running;
            container_row.total += 1;
            container_row.active += u64::from(running);
            container_row.size += bytes;
            container_row.reclaimable += if running { 0 } else { bytes };
        }
        let content = self.store.content().list()?;
        let needed_content: BTreeSet<_> =
            self.store.read(|view| view.needed_content())?.into_iter().collect();
        let content_row = DfRow {
            kind: "Content".to_owned(),
            total: content.len() as u64,
            active: content.iter().filter(|(digest, _)| needed_content.contains(digest)).count() as u64,
            size: content.iter().map(|(_, size)| size).sum(),
            reclaimable: content
                .iter()
                .filter(|(digest, _)| !needed_content.contains(digest))
                .map(|(_, size)| size)
                .sum(),
        };
        Ok(vec![image_row, container_row, content_row])
    }
}

/// Why a driver was chosen, or why none was.
fn driver_reason(selection: &Selection) -> String {
    match &selection.choice {
        Err(error) => error.to_string(),
        Ok(name) => {
            let chosen = selection.candidates.iter().find(|candidate| candidate.name == *name);
            chosen.map(|candidate| candidate.because.join(", ")).unwrap_or_default()
        }
    }
}

/// An option for people: its type, its default, its help.
fn option(spec: &OptionSpec) -> serde_json::Value {
    let kind = match &spec.kind {
        OptionType::Bool => "true or false".to_owned(),
        OptionType::Int((least, most)) => format!("a number from {least} to {most}"),
        OptionType::Bytes => "bytes, such as 10G".to_owned(),
        OptionType::Text => "text".to_owned(),
        OptionType::Choice(words) => format!("one of {}", words.join(", ")),
    };
    serde_json::json!({ "Name": spec.name, "Type": kind, "Default": spec.default, "Help": spec.help })
}

fn empty_row() -> DfRow {
    DfRow { kind: String::new(), total: 0, active: 0, size: 0, reclaimable: 0 }
}
