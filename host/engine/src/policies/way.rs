//! A copy-up policy that is a component, for the union.

use nacre_plugin::CopyUpComponent;
use nacre_plugin::copying::{self, LowerFile, Way};
use nacre_union::live::policy::{CopyUp, CopyUpKind, CopyUpPolicy, Purpose, Ranges};
use parking_lot::Mutex;

use super::serve::{Fault, Report};

#[derive(Debug)]
pub(super) struct Ways {
    /// None once it was put aside.
    component: Mutex<Option<CopyUpComponent>>,
    report: Report,
}

impl Ways {
    pub(super) fn open(mut component: CopyUpComponent, report: Report) -> Result<Self, Fault> {
        component.open()?;
        Ok(Self { component: Mutex::new(Some(component)), report })
    }
}

impl CopyUpPolicy for Ways {
    fn choose(&self, file: &CopyUp) -> CopyUpKind {
        let CopyUp { size, allocated, same_filesystem, can_share, purpose, needed } = *file;
        let purpose = match purpose {
            Purpose::Attributes => copying::Purpose::Attributes,
            Purpose::Names => copying::Purpose::Names,
            Purpose::Write => copying::Purpose::Write,
            Purpose::Resize(_) => copying::Purpose::Resize,
        };
        let mut held = self.component.lock();
        let Some(component) = held.as_mut() else { return Ranges::default().choose(file) };
        let lower = LowerFile { size, allocated, needed, same_filesystem, can_share };
        match self.report.call(|| component.choose(&lower, purpose)) {
            Ok(Way::Reflink) => CopyUpKind::Reflink,
            Ok(Way::Whole) => CopyUpKind::Whole,
            Ok(Way::MetadataOnly) => CopyUpKind::MetadataOnly,
            Ok(Way::Ranges) => CopyUpKind::Ranges,
            Err(error) => {
                *held = None;
                self.report.put_aside(&error);
                Ranges::default().choose(file)
            }
        }
    }
}
