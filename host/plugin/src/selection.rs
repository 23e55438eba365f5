//! A selection policy, as the rest of nacre sees it, and the rules that its answers keep.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::bindings::exports::nacre::storage::selection_policy::{Guest as Exports, GuestIndices};
use crate::component::Component;
use crate::contract::description::Description;
use crate::contract::selecting::{Candidate, Contender, Outcome, Ranking, Request, Verdict};
use crate::driver::Spent;
use crate::error::{Error, Result};
use crate::instance::Warm;
use crate::state::StateView;

/// The most reasons of a candidate (`wit/selection-policy.wit`).
const REASONS: usize = 8;

/// The interface `selection-policy` of the contract. A call is pure: nothing has happened when it returns.
pub trait SelectionPolicy: Send + Sync + fmt::Debug {
    /// What the component said of itself when it was loaded.
    fn description(&self) -> &Description;

    /// Rank the contenders. An `Err` is a trap, or a ranking that breaks a rule of the contract.
    fn choose(&self, request: &Request) -> Result<Ranking>;

    /// What the calls of this value have cost so far.
    fn spent(&self) -> Spent;
}

/// A [`SelectionPolicy`] that is a component.
pub struct Policy {
    component: Component,
    role: GuestIndices,
    state: Arc<dyn StateView>,
    inner: Mutex<(Warm<Exports>, Spent)>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Policy").field("component", &self.component).finish_non_exhaustive()
    }
}

impl Policy {
    pub(crate) fn new(component: Component, role: GuestIndices, state: Arc<dyn StateView>) -> Policy {
        Policy { component, role, state, inner: Mutex::default() }
    }

    /// The component.
    #[must_use]
    pub fn component(&self) -> &Component {
        &self.component
    }
}

impl SelectionPolicy for Policy {
    fn description(&self) -> &Description {
        self.component.description()
    }

    fn choose(&self, request: &Request) -> Result<Ranking> {
        const EXPORT: &str = "choose";
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (warm, spent) = &mut *inner;
        let begun = Instant::now();
        let answer = warm.call(&self.component.caller(&self.role), &self.state, EXPORT, |store, policy| {
            policy.call_choose(store, request)
        });
        spent.calls += 1;
        spent.time += begun.elapsed();
        let ranking = answer?;
        match fault(request, &ranking) {
            None => Ok(ranking),
            Some(reason) => Err(Error::InvalidAnswer {
                component: self.component.name().to_string(),
                export: EXPORT,
                reason,
            }),
        }
    }

    fn spent(&self) -> Spent {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// The rule of `wit/selection-policy.wit` that a ranking breaks, in words.
fn fault(request: &Request, ranking: &Ranking) -> Option<String> {
    let Ranking { candidates, outcome } = ranking;
    let contender = |name: &str| request.contenders.iter().find(|contender| contender.name == name);
    let twice = |at: usize, name: &str| candidates.iter().take(at).any(|other| other.name == name);
    for (at, Candidate { name, eligible, reasons }) in candidates.iter().enumerate() {
        let Some(contender) = contender(name) else {
            return Some(format!("it ranks `{}`, which is no contender", shown(name)));
        };
        if twice(at, name) {
            return Some(format!("it ranks {name} twice"));
        }
        if *eligible && !can_work(contender) {
            return Some(format!("it holds {name} for eligible, which cannot work here"));
        }
        if reasons.is_empty() || reasons.len() > REASONS {
            return Some(format!("it gives {} reasons for {name}, not 1 to {REASONS}", reasons.len()));
        }
    }
    if let Some(left_out) =
        request.contenders.iter().find(|c| !candidates.iter().any(|one| one.name == c.name))
    {
        return Some(format!("it leaves {} out", left_out.name));
    }
    outcome_fault(request, candidates, outcome)
}

fn outcome_fault(request: &Request, candidates: &[Candidate], outcome: &Outcome) -> Option<String> {
    let contender = |name: &str| request.contenders.iter().find(|contender| contender.name == name);
    let holds = |name: &str| contender(name).is_some_and(|c| c.layers + c.containers > 0);
    let works = |name: &str| contender(name).is_some_and(can_work);
    let configured = request.configured.as_deref();
    match (outcome, configured) {
        (Outcome::Chosen, _) => {
            let Some(first) = candidates.first().filter(|first| first.eligible) else {
                return Some("the first of its ranking is not eligible, and yet it chose".into());
            };
            let other = configured.filter(|name| *name != first.name)?;
            Some(format!("it chose {}, and the user named {other}", first.name))
        }
        (Outcome::ConfiguredFails, Some(name)) if !works(name) => None,
        (Outcome::ConfiguredFails, _) => {
            Some("it says that a driver fails that the user did not name".into())
        }
        (_, Some(name)) => {
            Some(format!("the user named {name}, and it neither chose that nor says that it fails"))
        }
        (Outcome::StateFails(name), None) if holds(name) && !works(name) => None,
        (Outcome::StateFails(name), None) => {
            Some(format!("it says that {} holds something here and cannot work", shown(name)))
        }
        (Outcome::Ambiguous(names), None) => {
            let different = names.iter().enumerate().all(|(at, name)| !names[..at].contains(name));
            let good = names.len() > 1 && different && names.iter().all(|name| holds(name));
            (!good).then(|| "it names drivers for ambiguous of which not several hold something here".into())
        }
        (Outcome::NoneSuitable, None) => {
            let works = request.contenders.iter().find(|contender| can_work(contender))?;
            Some(format!("it says that no driver can work, and {} can", works.name))
        }
    }
}

fn can_work(contender: &Contender) -> bool {
    matches!(contender.verdict, Verdict::Suitable(_))
}

/// A component's text in a message: without control characters, and cut.
fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::selecting::{Origin, Reason};
    use crate::contract::types::{Facts, Filesystem, KernelVersion};

    fn request(configured: Option<&str>) -> Request {
        let contender = |name: &str, verdict, layers| Contender {
            name: name.into(),
            origin: Origin::BuiltIn,
            verdict,
            layers,
            containers: 0,
        };
        Request {
            storage: Facts {
                kernel: KernelVersion { major: 6, minor: 18, patch: 0 },
                privileged: true,
                overlay: None,
                home: Filesystem {
                    name: "ext4".into(),
                    magic: 0xef53,
                    d_type: true,
                    trusted_xattrs: true,
                    user_xattrs: true,
                    reflink: false,
                    project_quota: false,
                },
                filesystems: vec![],
                tools: vec![],
                zfs: None,
                thin_pools: false,
            },
            configured: configured.map(str::to_owned),
            contenders: vec![
                contender("good", Verdict::Suitable(9), 2),
                contender("held", Verdict::Suitable(9), 1),
                contender("lost", Verdict::Faulty, 3),
            ],
            settings: vec![],
        }
    }

    fn candidate(name: &str) -> Candidate {
        Candidate { name: name.into(), eligible: name != "lost", reasons: vec![Reason::Unlisted] }
    }

    fn ranking(names: &[&str], outcome: Outcome) -> Ranking {
        Ranking { candidates: names.iter().map(|name| candidate(name)).collect(), outcome }
    }

    const ALL: [&str; 3] = ["good", "held", "lost"];

    #[test]
    fn answers_that_keep_the_rules_are_taken() {
        for (configured, outcome) in [
            (None, Outcome::Chosen),
            (Some("good"), Outcome::Chosen),
            (Some("lost"), Outcome::ConfiguredFails),
            (None, Outcome::StateFails("lost".into())),
            (None, Outcome::Ambiguous(vec!["good".into(), "held".into()])),
        ] {
            assert_eq!(fault(&request(configured), &ranking(&ALL, outcome.clone())), None, "{outcome:?}");
        }
    }

    #[test]
    fn answers_that_break_a_rule_are_refused_with_the_rule() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (configured, order, outcome, words) in [
            (None, &["good", "held"][..], Outcome::Chosen, "leaves lost out"),
            (None, &["good", "held", "lost", "good"], Outcome::Chosen, "good twice"),
            (None, &["good", "held", "lost", "evil\n"], Outcome::Chosen, "`evil\\n`, which is no contender"),
            (None, &["lost", "good", "held"], Outcome::Chosen, "the first of its ranking is not eligible"),
            (Some("held"), &ALL, Outcome::Chosen, "it chose good, and the user named held"),
            (Some("held"), &ALL, Outcome::ConfiguredFails, "that the user did not name"),
            (Some("lost"), &ALL, Outcome::NoneSuitable, "the user named lost"),
            (None, &ALL, Outcome::ConfiguredFails, "that the user did not name"),
            (None, &ALL, Outcome::StateFails("good".into()), "that good holds something"),
            (None, &ALL, Outcome::Ambiguous(names(&["good"])), "not several"),
            (None, &ALL, Outcome::Ambiguous(names(&["good", "good"])), "not several"),
            (None, &ALL, Outcome::NoneSuitable, "and good can"),
        ] {
            let found = fault(&request(configured), &ranking(order, outcome)).unwrap_or_default();
            assert!(found.contains(words), "{words}: {found}");
        }
    }

    #[test]
    fn a_driver_that_cannot_work_is_never_eligible_and_every_candidate_has_reasons() {
        let mut answer = ranking(&ALL, Outcome::Chosen);
        answer.candidates[2].eligible = true;
        assert!(fault(&request(None), &answer).is_some_and(|words| words.contains("cannot work here")));
        let mut answer = ranking(&ALL, Outcome::Chosen);
        answer.candidates[1].reasons.clear();
        assert!(fault(&request(None), &answer).is_some_and(|words| words.contains("0 reasons for held")));
    }
}
