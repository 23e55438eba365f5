//! A copy-up policy that copies all data, always: nothing is shared with the layer below.

use nacre_driver_sdk::copy_up::{CopyUpPolicy, LowerFile, Purpose, Way};
use nacre_driver_sdk::{Description, Role, Setting};

/// The policy.
#[derive(Debug)]
pub struct Whole;

impl CopyUpPolicy for Whole {
    fn describe() -> Description {
        Description {
            name: "whole".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Copies all data, always.".into(),
            roles: vec![Role::CopyUpPolicy],
            grants: vec![],
            options: vec![],
        }
    }

    fn open(_: &[Setting]) -> Self {
        Self
    }

    fn choose(&self, _: &LowerFile, _: Purpose) -> Way {
        Way::Whole
    }
}

nacre_driver_sdk::export_copy_up_policy!(Whole);
