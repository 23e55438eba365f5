//! The whole at a glance: `info`, `system df`, `driver ls`.

use std::collections::BTreeSet;

use nacre_plugin::types::Facts;
use nacre_store::ContainerState;
use serde::Serialize;

use crate::plan::show::in_contract_words;
use crate::types::{DfRow, DriverSummary};
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
    /// The driver of new layers.
    pub driver: DriverSummary,
    /// Why it is this one.
    pub driver_reason: String,
    /// The most layers in a chain, the writable one included.
    pub max_depth: u32,
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
    /// Drivers that have layers or containers here.
    pub drivers_in_use: Vec<String>,
}

impl Engine {
    /// What this root and this machine are.
    pub fn info(&self) -> Result<Info, Error> {
        let driver = self.current_driver()?;
        let summaries = self.containers(true, false)?;
        let (images, layers, used) = self
            .store
            .read(|view| Ok((view.images()?.len(), view.layers(None)?.len(), view.drivers_in_use()?)))?;
        Ok(Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            root: self.root().display().to_string(),
            run_dir: self.store.paths().run.display().to_string(),
            driver_reason: self.driver_reason(&used),
            driver: summary(&driver, true),
            max_depth: driver.probe()?.max_depth,
            facts: driver.facts().clone(),
            overlay_method: format!("{:?}", nacre_sys::mount::Method::best()).to_lowercase(),
            runtime: self.runtime_name(),
            images: images as u64,
            layers: layers as u64,
            containers: summaries.len() as u64,
            running: summaries.iter().filter(|c| c.state == crate::types::State::Running).count() as u64,
            mounted: summaries.iter().filter(|c| c.mounted).count() as u64,
            drivers_in_use: used,
        })
    }

    /// The drivers that ship with nacre, and the one in use.
    pub fn drivers(&self) -> Result<Vec<DriverSummary>, Error> {
        let current = self.current_driver()?;
        let mut drivers = nacre_drivers::BUILTIN
            .iter()
            .map(|shipped| Ok(summary(&*self.driver(shipped.name)?, shipped.name == current.name())))
            .collect::<Result<Vec<_>, Error>>()?;
        if !drivers.iter().any(|driver| driver.current) {
            drivers.push(summary(&current, true));
        }
        Ok(drivers)
    }

    /// Everything that a driver says of itself, with its worked examples.
    pub fn inspect_driver(&self, name: &str) -> Result<serde_json::Value, Error> {
        let driver = self.driver(name)?;
        let component = driver.component();
        let probe = match driver.probe() {
            Ok(suitability) => serde_json::json!({ "Suitable": true, "MaxDepth": suitability.max_depth }),
            Err(error) => serde_json::json!({ "Suitable": false, "Reason": error.to_string() }),
        };
        Ok(serde_json::json!({
            "Digest": component.digest().to_string(),
            "Origin": component.origin(),
            "Bytes": component.size(),
            "Description": in_contract_words(component.description()),
            "Layout": in_contract_words(driver.layout()),
            "Here": probe,
            "Examples": in_contract_words(&driver.examples()?),
        }))
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

    fn driver_reason(&self, used: &[String]) -> String {
        match (&self.config.driver, used) {
            (Some(_), _) => "it was named by --driver or NACRE_DRIVER".to_owned(),
            (None, [one]) => format!("the root has layers of {one}"),
            (None, _) => "it is the first that can work here".to_owned(),
        }
    }
}

fn empty_row() -> DfRow {
    DfRow { kind: String::new(), total: 0, active: 0, size: 0, reclaimable: 0 }
}

fn summary(driver: &crate::driver::Driver, current: bool) -> DriverSummary {
    let component = driver.component();
    let description = component.description();
    DriverSummary {
        name: description.name.clone(),
        version: description.version.clone(),
        summary: description.summary.clone(),
        digest: component.digest().to_string(),
        size: component.size() as u64,
        grants: description.grants.iter().map(|grant| grant.name().to_owned()).collect(),
        current,
    }
}
