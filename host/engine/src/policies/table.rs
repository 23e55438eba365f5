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

    fn told<R>(&self, answer: Result<R>) -> Result<R, PutAside> {
        answer.map_err(|error| {
            self.report.put_aside(&error);
            PutAside
        })
    }
}

/// After an error the union asks no more.
impl CachePolicy for Table {
    fn admitted(&mut self, key: u64, bytes: usize) -> Result<(), PutAside> {
        let answer = self.component.admitted(key, bytes as u64);
        self.told(answer)
    }

    fn accessed(&mut self, keys: &[u64]) -> Result<(), PutAside> {
        if keys.is_empty() {
            return Ok(());
        }
        let answer = self.component.accessed(keys);
        self.told(answer)
    }

    fn removed(&mut self, key: u64) -> Result<(), PutAside> {
        let answer = self.component.removed(key);
        self.told(answer)
    }

    fn victim(&mut self) -> Result<Option<u64>, PutAside> {
        let answer = self.component.victim();
        self.told(answer)
    }

    fn refuted(&mut self, key: u64) {
        self.report
            .put_aside(&format!("it named the victim {key}, which is not kept or was admitted just now"));
    }
}
