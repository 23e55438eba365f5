//! What there is of components, for listings.

use nacre_plugin::Component;
use nacre_plugin::description::{Grant, Role};
use nacre_store::Installed;

use crate::components::Origin;
use crate::driver::Driver;
use crate::types::DriverSummary;
use crate::{Engine, Error};

impl Engine {
    /// All components: those that are built in and installed, and the drivers that hold something and are not here.
    pub fn drivers(&self) -> Result<Vec<DriverSummary>, Error> {
        let current = self.selected_name()?;
        let (installed, used) = self.store.read(|view| Ok((view.components()?, view.driver_usage()?)))?;
        let builtins = nacre_drivers::all();
        let shadowed = |name: &str| installed.iter().any(|one| one.name == name);
        let mut drivers = Vec::new();
        for builtin in builtins.filter(|builtin| !shadowed(builtin.name)) {
            let found = self.built_in_component(builtin)?;
            drivers.push(summary(&found.component, &found.grants, found.origin, false));
        }
        for one in &installed {
            drivers.push(match self.installed_component(one) {
                Ok(found) => summary(&found.component, &found.grants, found.origin, false),
                Err(error) => DriverSummary { fault: Some(error.to_string()), ..lost_summary(one.clone()) },
            });
        }
        if let Some(found) = self.named_file().map(|path| self.component_of_file(path)).transpose()? {
            drivers.retain(|driver| driver.name != found.component.description().name);
            drivers.push(summary(&found.component, &found.grants, found.origin, false));
        }
        for (name, layers, containers) in used {
            match drivers.iter_mut().find(|driver| driver.name == name) {
                Some(driver) => (driver.layers, driver.containers) = (layers, containers),
                None => drivers.push(DriverSummary { layers, containers, ..absent_summary(name) }),
            }
        }
        let policy = self.policy_name()?;
        for driver in &mut drivers {
            driver.current = Some(&driver.name) == current.as_ref() || driver.name == policy;
        }
        let roles = [Role::StorageDriver, Role::SelectionPolicy, Role::SearchPolicy, Role::CachePolicy];
        let roles = roles.map(|role| Some(role.to_string()));
        let place = |driver: &DriverSummary| {
            let first = driver.roles.first().cloned();
            roles.iter().position(|role| *role == first).unwrap_or(roles.len())
        };
        drivers.sort_by_key(|driver| (place(driver), driver.name.clone()));
        Ok(drivers)
    }
}

/// What a listing says of a component.
pub(crate) fn summary(
    component: &Component,
    grants: &[Grant],
    origin: Origin,
    current: bool,
) -> DriverSummary {
    let description = component.description();
    DriverSummary {
        name: description.name.clone(),
        version: description.version.clone(),
        summary: description.summary.clone(),
        roles: description.roles.iter().map(ToString::to_string).collect(),
        origin: origin.name().to_owned(),
        digest: component.digest().to_string(),
        size: component.size() as u64,
        grants: grants.iter().map(|grant| grant.name().to_owned()).collect(),
        current,
        ..DriverSummary::default()
    }
}

pub(crate) fn lost_summary(installed: Installed) -> DriverSummary {
    DriverSummary {
        name: installed.name,
        version: installed.version,
        roles: installed.roles,
        origin: Origin::Installed.name().to_owned(),
        digest: installed.digest.to_string(),
        size: installed.size,
        grants: installed.grants,
        ..DriverSummary::default()
    }
}

/// A driver that holds something and is not here.
fn absent_summary(name: String) -> DriverSummary {
    let fault = Error::DriverAbsent { driver: name.clone() }.to_string();
    let roles = vec![Role::StorageDriver.to_string()];
    DriverSummary { name, roles, origin: "absent".to_owned(), fault: Some(fault), ..DriverSummary::default() }
}

impl Driver {
    /// What a listing says of it.
    pub(crate) fn summary(&self, current: bool) -> DriverSummary {
        summary(self.component(), self.grants(), self.origin(), current)
    }
}
