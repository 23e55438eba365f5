//! A cache policy that does wrong where its option says so.

use nacre_driver_sdk::cache::CachePolicy;
use nacre_driver_sdk::{Description, Role, Setting, Settings, choice};

/// The policy.
#[derive(Debug)]
pub struct Hoarder {
    how: String,
    newest: u64,
}

impl Hoarder {
    fn fail(&self, at: &str) {
        let how = self.how.strip_suffix(at);
        assert!(how != Some("panic-in-"), "it was told to");
        if how == Some("loop-in-") {
            // The host is to end it.
            #[allow(clippy::infinite_loop)]
            loop {
                std::hint::black_box(());
            }
        }
    }
}

impl CachePolicy for Hoarder {
    fn describe() -> Description {
        Description {
            name: "hoarder".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Gives up what is not there, or worse.".into(),
            roles: vec![Role::CachePolicy],
            grants: vec![],
            options: vec![choice(
                "how",
                &[
                    "nonsense",
                    "newest",
                    "nothing",
                    "panic-in-admitted",
                    "panic-in-accessed",
                    "panic-in-removed",
                    "panic-in-victim",
                    "loop-in-accessed",
                    "loop-in-victim",
                ],
                "nonsense",
                "What it does wrong.",
            )],
        }
    }

    fn open(_: u64, settings: &[Setting]) -> Self {
        Self { how: settings.text("how").unwrap_or_default().to_owned(), newest: 0 }
    }

    fn admitted(&mut self, key: u64, _: u64) {
        self.fail("admitted");
        self.newest = key;
    }

    fn accessed(&mut self, _: &[u64]) {
        self.fail("accessed");
    }

    fn removed(&mut self, _: u64) {
        self.fail("removed");
    }

    fn victim(&mut self) -> Option<u64> {
        self.fail("victim");
        match self.how.as_str() {
            "nonsense" => Some(u64::MAX - 1),
            "newest" => Some(self.newest),
            _ => None,
        }
    }
}

nacre_driver_sdk::export_cache_policy!(Hoarder);
