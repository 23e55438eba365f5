//! nacre's own selection policy. Its rules are Docker's (moby, daemon/graphdriver/driver.go, `New`):
//!
//! 1. A driver that the user named is taken, or nothing is: it is never silently replaced.
//! 2. A driver that holds layers or containers here goes before the order. If it cannot work that is an error,
//!    since what it holds would seem to have disappeared. Where several hold something, the user has to name one.
//! 3. Otherwise the first of the order that can work here (driver_linux.go, `priority`).
//! 4. Otherwise any other that can work: those that were installed, by name, and at last those that Docker has
//!    given up.
//!
//! One thing differs. "Holds something" means recorded layers and containers, and not a folder that is not empty;
//! so `vfs`, whose folder Docker does not count, counts here as any other.

use nacre_driver_sdk::selection::{
    Candidate, Contender, Outcome, Ranking, Reason, Request, SelectionPolicy, Verdict,
};
use nacre_driver_sdk::{Description, OptionSpec, Role, Settings, text};

/// moby, daemon/graphdriver/driver_linux.go, `priority`; `fuse-overlay` stands where Docker's `fuse-overlayfs` does.
const ORDER: &str = "overlay2,fuse-overlay,btrfs,zfs,vfs";

/// Drivers that Docker has given up (moby, daemon/graphdriver/driver.go, `isDeprecated` of release 23).
const LEGACY: [&str; 3] = ["aufs", "devicemapper", "overlay"];

/// Drivers that copy whole trees.
const COSTLY: [&str; 1] = ["vfs"];

/// The policy.
#[derive(Debug)]
pub struct Selection;

impl SelectionPolicy for Selection {
    fn describe() -> Description {
        Description {
            name: "selection".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Docker's rules: what is named, what holds something, then the first of an order."
                .into(),
            roles: vec![Role::SelectionPolicy],
            grants: vec![],
            options: vec![order_option()],
        }
    }

    fn choose(request: &Request) -> Ranking {
        let order = request.settings.text("order").unwrap_or(ORDER);
        let order: Vec<&str> = order.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let mut standings: Vec<Standing<'_>> =
            request.contenders.iter().map(|contender| Standing::of(contender, request, &order)).collect();
        standings.sort_by_key(Standing::rank);
        let outcome = outcome(request, &standings);
        Ranking {
            candidates: standings.iter().map(|standing| standing.candidate(request)).collect(),
            outcome,
        }
    }
}

fn order_option() -> OptionSpec {
    text(
        "order",
        ORDER,
        "The drivers of a new storage root in the order in which they are tried, with commas.",
    )
}

/// How a contender stands.
#[derive(Debug)]
struct Standing<'a> {
    contender: &'a Contender,
    suitable: bool,
    configured: bool,
    held: bool,
    /// Its place in the order, from 0.
    place: Option<usize>,
    legacy: bool,
}

impl<'a> Standing<'a> {
    fn of(contender: &'a Contender, request: &Request, order: &[&str]) -> Self {
        let place = order.iter().position(|name| *name == contender.name);
        Self {
            contender,
            suitable: matches!(contender.verdict, Verdict::Suitable(_)),
            configured: request.configured.as_deref() == Some(contender.name.as_str()),
            held: holds(contender),
            place,
            legacy: place.is_none() && LEGACY.contains(&contender.name.as_str()),
        }
    }

    /// The best first. A driver that is named or holds something stands first even where it cannot work: it is
    /// what the user has to look at.
    fn rank(&self) -> (bool, bool, bool, usize, bool, &'a str) {
        let place = self.place.unwrap_or(usize::MAX);
        (!self.configured, !self.held, !self.suitable, place, self.legacy, &self.contender.name)
    }

    fn candidate(&self, request: &Request) -> Candidate {
        let mut reasons = Vec::new();
        let mut because = |holds: bool, reason| {
            if holds {
                reasons.push(reason);
            }
        };
        let someone_named = request.configured.is_some();
        because(self.configured, Reason::Configured);
        because(!self.suitable, Reason::NotSuitable);
        because(!self.configured && someone_named, Reason::OtherConfigured);
        because(self.held, Reason::HasState);
        because(!self.held && request.contenders.iter().any(holds), Reason::OtherHasState);
        let place = self.place.and_then(|place| u32::try_from(place + 1).ok());
        because(true, place.map_or(Reason::Unlisted, Reason::Listed));
        because(self.legacy, Reason::Legacy);
        because(COSTLY.contains(&self.contender.name.as_str()), Reason::Costly);
        Candidate { name: self.contender.name.clone(), eligible: self.suitable, reasons }
    }
}

fn outcome(request: &Request, standings: &[Standing<'_>]) -> Outcome {
    let Some(best) = standings.first() else { return Outcome::NoneSuitable };
    if request.configured.is_some() {
        return if best.configured && best.suitable { Outcome::Chosen } else { Outcome::ConfiguredFails };
    }
    let held: Vec<&Standing<'_>> = standings.iter().filter(|standing| standing.held).collect();
    match held.as_slice() {
        [] if best.suitable => Outcome::Chosen,
        [] => Outcome::NoneSuitable,
        [one] if one.suitable => Outcome::Chosen,
        [one] => Outcome::StateFails(one.contender.name.clone()),
        several => Outcome::Ambiguous(several.iter().map(|one| one.contender.name.clone()).collect()),
    }
}

fn holds(contender: &Contender) -> bool {
    contender.layers + contender.containers > 0
}

nacre_driver_sdk::export_selection_policy!(Selection);

#[cfg(test)]
mod tests;
