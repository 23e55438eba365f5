//! A selection policy that prefers the driver that its option names, and does wrong where its option says so.

use nacre_driver_sdk::selection::{
    Candidate, Contender, Outcome, Ranking, Reason, Request, SelectionPolicy, Verdict,
};
use nacre_driver_sdk::{Description, Role, Settings, choice, text};

/// The policy.
#[derive(Debug)]
pub struct Contrary;

impl SelectionPolicy for Contrary {
    fn describe() -> Description {
        Description {
            name: "contrary".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Takes the driver that its option names, whatever holds something.".into(),
            roles: vec![Role::SelectionPolicy],
            grants: vec![],
            options: vec![
                text("prefers", "vfs", "The driver to take."),
                choice(
                    "how",
                    &["well", "panic", "loop", "invents", "ignores"],
                    "well",
                    "What it does wrong.",
                ),
            ],
        }
    }

    fn choose(request: &Request) -> Ranking {
        let how = request.settings.text("how").unwrap_or("well");
        let prefers = request.settings.text("prefers").unwrap_or_default();
        if how == "loop" {
            // The host is to end it.
            #[allow(clippy::infinite_loop)]
            loop {
                std::hint::black_box(());
            }
        }
        assert!(how != "panic", "it was told to");
        let named = request.configured.as_deref().filter(|_| how != "ignores").unwrap_or(prefers);
        let mut contenders: Vec<&Contender> = request.contenders.iter().collect();
        contenders.sort_by_key(|contender| (contender.name != named, !works(contender)));
        let outcome = match contenders.first() {
            Some(first) if works(first) => Outcome::Chosen,
            _ if request.configured.is_some() => Outcome::ConfiguredFails,
            _ => Outcome::NoneSuitable,
        };
        let mut candidates: Vec<Candidate> = contenders
            .iter()
            .map(|contender| Candidate {
                name: contender.name.clone(),
                eligible: works(contender),
                reasons: vec![if works(contender) { Reason::FitsFilesystem } else { Reason::NotSuitable }],
            })
            .collect();
        if how == "invents" {
            candidates.insert(
                0,
                Candidate { name: "gold".into(), eligible: true, reasons: vec![Reason::Configured] },
            );
        }
        Ranking { candidates, outcome }
    }
}

fn works(contender: &Contender) -> bool {
    matches!(contender.verdict, Verdict::Suitable(_))
}

nacre_driver_sdk::export_selection_policy!(Contrary);
