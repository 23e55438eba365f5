//! A copy-up policy that does wrong where its option says so.

use nacre_driver_sdk::copy_up::{CopyUpPolicy, LowerFile, Purpose, Way};
use nacre_driver_sdk::{Description, Role, Setting, Settings, choice};

/// The policy.
#[derive(Debug)]
pub struct Forger(String);

impl CopyUpPolicy for Forger {
    fn describe() -> Description {
        Description {
            name: "forger".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Copies no data that is to be written, or worse.".into(),
            roles: vec![Role::CopyUpPolicy],
            grants: vec![],
            options: vec![choice(
                "how",
                &["metadata-only", "panic", "loop"],
                "metadata-only",
                "What it does wrong.",
            )],
        }
    }

    fn open(settings: &[Setting]) -> Self {
        Self(settings.text("how").unwrap_or_default().to_owned())
    }

    fn choose(&self, _: &LowerFile, _: Purpose) -> Way {
        assert!(self.0 != "panic", "it was told to");
        if self.0 == "loop" {
            // The host is to end it.
            #[allow(clippy::infinite_loop)]
            loop {
                std::hint::black_box(());
            }
        }
        Way::MetadataOnly
    }
}

nacre_driver_sdk::export_copy_up_policy!(Forger);
