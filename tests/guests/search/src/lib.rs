//! A search policy that does wrong where its option says so, after as many calls of `probe` as another one says.

use nacre_driver_sdk::search::{Entry, Indexer, SearchPolicy};
use nacre_driver_sdk::{Description, Role, Setting, Settings, choice, number};

/// The policy.
#[derive(Debug)]
pub struct Liar {
    how: How,
    calls_left: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct How(String);

impl How {
    fn of(settings: &[Setting]) -> Self {
        Self(settings.text("how").unwrap_or_default().to_owned())
    }

    fn is(&self, word: &str) -> bool {
        self.0 == word
    }
}

/// An index that may be too much.
#[derive(Debug)]
pub struct Index(How);

impl Indexer for Index {
    fn add(&mut self, _: &Entry) {
        assert!(!self.0.is("panic-in-index"), "it was told to");
    }

    fn finish(self) -> Option<Vec<u8>> {
        Some(vec![b'i'; if self.0.is("huge-index") { 17 << 20 } else { 1 }])
    }
}

impl SearchPolicy for Liar {
    type Indexer = Index;

    fn describe() -> Description {
        Description {
            name: "liar".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Passes over all layers, or worse.".into(),
            roles: vec![Role::SearchPolicy],
            grants: vec![],
            options: vec![
                choice(
                    "how",
                    &[
                        "well",
                        "hides",
                        "panic",
                        "loop",
                        "memory",
                        "panic-in-open",
                        "panic-in-index",
                        "huge-index",
                    ],
                    "hides",
                    "What it does wrong.",
                ),
                number("after", 0, 1_000_000, 0, "So many answers are good."),
            ],
        }
    }

    fn begin_index(settings: &[Setting]) -> Option<Index> {
        Some(Index(How::of(settings)))
    }

    fn open(_: u32, settings: &[Setting]) -> Self {
        let how = How::of(settings);
        assert!(!how.is("panic-in-open"), "it was told to");
        // The first answer is asked for when the stack is opened.
        Self { how, calls_left: settings.number("after").unwrap_or(0) + 1 }
    }

    fn attach(&mut self, _: u32, index: &[u8]) {
        assert!(index == b"i", "an index of another");
    }

    fn probe(&mut self, _: &[u8], _: u32) -> u64 {
        self.calls_left -= 1;
        if self.calls_left >= 0 || self.how.is("well") {
            return u64::MAX;
        }
        assert!(!self.how.is("panic"), "it was told to");
        match self.how.0.as_str() {
            // The host is to end it.
            #[allow(clippy::infinite_loop)]
            "loop" => loop {
                std::hint::black_box(());
            },
            "memory" => std::hint::black_box(vec![1u8; 100 << 20]).len() as u64,
            _ => 0,
        }
    }
}

nacre_driver_sdk::export_search_policy!(Liar);
