//! A search policy that is a component, for the union.

use std::path::Path;

use nacre_plugin::SearchComponent;
use nacre_union::live::policy::SearchPolicy;
use parking_lot::Mutex;

use super::serve::{Fault, Report};
use super::{Chosen, Serving, index};

#[derive(Debug)]
pub(super) struct Search {
    /// None once it was put aside.
    component: Mutex<Option<SearchComponent>>,
    trusted: bool,
    /// The layers without an index, 64 to a number: they are searched whatever the component says.
    unknown: Vec<u64>,
    layers: Vec<Option<String>>,
    report: Report,
}

impl Search {
    pub(super) fn open(
        mut component: SearchComponent,
        chosen: &Chosen,
        serving: &Serving,
        report: Report,
    ) -> Result<Self, Fault> {
        component.open(u32::try_from(serving.layers.len())?)?;
        let mut unknown = vec![u64::MAX; serving.layers.len().div_ceil(64)];
        for (at, layer) in (0u32..).zip(&serving.layers) {
            let index = layer.as_ref().and_then(|id| index::read(&serving.indexes, id, &chosen.digest));
            if let (Some(index), Some(bits)) = (index, unknown.get_mut(at as usize / 64)) {
                component.attach(at, &index)?;
                *bits &= !(1 << (at % 64));
            }
        }
        // Now it may take its time to put things in order.
        component.probe(b"", 0)?;
        let component = Mutex::new(Some(component));
        Ok(Self { component, trusted: chosen.trusted, unknown, layers: serving.layers.clone(), report })
    }
}

impl SearchPolicy for Search {
    fn layers(&self, path: &[u8], first: usize) -> Option<u64> {
        let mut held = self.component.lock();
        let (component, first_layer) = (held.as_mut()?, u32::try_from(first).ok()?);
        let answer = self.report.call(|| component.probe(path, first_layer));
        match answer {
            Ok(bits) => Some(bits | self.unknown.get(first / 64).copied().unwrap_or(u64::MAX)),
            Err(error) => {
                *held = None;
                self.report.put_aside(&error);
                None
            }
        }
    }

    fn is_trusted(&self) -> bool {
        self.trusted
    }

    fn refuted(&self, path: &Path, layer: usize) {
        // Of several that find it out at once one reports.
        if self.component.lock().take().is_some() {
            let name = self.layers.get(layer).and_then(Option::as_deref).unwrap_or("which is no layer");
            self.report.put_aside(&format!(
                "it passed over layer {} of {} ({name}) for {:?}, which is there",
                layer + 1,
                self.layers.len(),
                Path::new("/").join(path)
            ));
        }
    }
}
