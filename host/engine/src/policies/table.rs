//! A cache policy that is a component, for the union's table of names.

use nacre_plugin::{CacheComponent, Result};
use nacre_union::live::policy::{CachePolicy, PutAside};

use super::serve::{Fault, Report};

#[derive(Debug)]
pub(super) struct Table {
    component: CacheComponent,
    report: Report,
}

impl Table {
    pub(super) fn open(mut component: CacheComponent, limit: u64, report: Report) -> Result<Self, Fault> {
        component.open(limit)?;
        Ok(Self { component, report })
    }

    fn told<R>(&mut self, call: impl FnOnce(&mut CacheComponent) -> Result<R>) -> Result<R, PutAside> {
        self.report.call(|| call(&mut self.component)).map_err(|error| {
            self.report.put_aside(&error);
            PutAside
        })
    }
}

/// After an error the union asks no more.
impl CachePolicy for Table {
    fn admitted(&mut self, key: u64, bytes: usize) -> Result<(), PutAside> {
        self.told(|component| component.admitted(key, bytes as u64))
    }

    fn accessed(&mut self, keys: &[u64]) -> Result<(), PutAside> {
        if keys.is_empty() {
            return Ok(());
        }
        self.told(|component| component.accessed(keys))
    }

    fn removed(&mut self, key: u64) -> Result<(), PutAside> {
        self.told(|component| component.removed(key))
    }

    fn victim(&mut self) -> Result<Option<u64>, PutAside> {
        self.told(CacheComponent::victim)
    }

    fn refuted(&mut self, key: u64) {
        self.report
            .put_aside(&format!("it named the victim {key}, which is not kept or was admitted just now"));
    }
}
