//! Which driver gets new layers: what the user named, or what the selection policy says (`wit/selection-policy.wit`).
//!
//! The policy is asked only when nothing answers more cheaply. Its last answer is kept with all that it was drawn
//! from but for numbers of layers, and holds while that is the same: a command pays for one query.

use std::path::Path;
use std::sync::Arc;

use nacre_plugin::selecting::{
    Candidate, Contender, Origin as Kind, Outcome, Ranking, Reason, Request, Verdict,
};
use nacre_plugin::{NoState, SelectionPolicy, describe_refusal};
use nacre_store::Decision;
use serde_json::{Value, json};

use crate::components::{Found, Origin, built_in, is_file};
use crate::driver::Driver;
use crate::types::{CandidateSummary, Selection};
use crate::{Class, Engine, Error, event, facts};

/// A choice that needs no policy.
enum Known {
    /// The user named it, for this command or for the root.
    Named(String),
    /// The policy chose it before, from the same.
    Chosen(String),
}

/// A ranking with what it was drawn from.
struct Asked {
    request: Request,
    ranking: Ranking,
    policy: Found,
    /// Why an installed policy was set aside.
    fault: Option<String>,
    /// Why each faulty contender could not be asked.
    faults: Vec<(String, Error)>,
}

/// What is wrong with drivers, by name.
type Faults = Vec<(String, Error)>;

impl Engine {
    /// The driver of new layers, which can work here.
    pub(crate) fn current_driver(&self) -> Result<Arc<Driver>, Error> {
        let known = self.known_choice()?;
        self.refuse_strange_settings()?;
        match known {
            Some(Known::Named(name)) => {
                let driver = self.driver(&name)?;
                driver.probe()?;
                return Ok(driver);
            }
            Some(Known::Chosen(name)) => {
                if let Ok(driver) = self.driver(&name).and_then(|driver| driver.probe().map(|_| driver)) {
                    return Ok(driver);
                }
            }
            None => {}
        }
        let asked = self.ask(None)?;
        let driver = self.driver(&self.choice(&asked)?)?;
        if asked.fault.is_none() {
            self.remember(driver.name())?;
        }
        Ok(driver)
    }

    /// A setting of a component that is not here would be lost without a word: most likely its name is misspelt.
    fn refuse_strange_settings(&self) -> Result<(), Error> {
        let named = self.config.storage_opts.iter().filter_map(|given| given.split_once('.'));
        for (component, setting) in named {
            let is_here = built_in(component).is_some()
                || self.lock_drivers().contains_key(component)
                || self.store.read(|view| view.component(component))?.is_some();
            if !is_here {
                return Err(Error::Usage {
                    what: format!("--storage-opt {component}.{setting}: no component is called {component}"),
                    help: Some("`nacre driver ls` lists those that are here".to_owned()),
                });
            }
        }
        Ok(())
    }

    /// The name of the driver of new layers, where it is known without asking the policy.
    pub(crate) fn current_driver_name(&self) -> Result<Option<String>, Error> {
        Ok(self.known_choice()?.map(|(Known::Named(name) | Known::Chosen(name))| name))
    }

    /// The same where the policy is asked; none where it has no answer.
    pub(crate) fn selected_name(&self) -> Result<Option<String>, Error> {
        match self.current_driver_name()? {
            Some(name) => Ok(Some(name)),
            None => Ok(self.choice(&self.ask(None)?).ok()),
        }
    }

    /// The name of the selection policy in use.
    pub(crate) fn policy_name(&self) -> Result<String, Error> {
        let installed = self.installed_policy()?;
        Ok(installed.unwrap_or_else(|| nacre_drivers::SELECTION.name.to_owned()))
    }

    /// Ask the selection policy, or the one named (by name or file) in its place, and tell what it says of every
    /// driver. With `remember`, its choice holds for the commands that follow.
    pub fn selection(&self, policy: Option<&str>, remember: bool) -> Result<Selection, Error> {
        let asked = self.ask(policy)?;
        let choice = self.choice(&asked);
        if let Ok(name) = &choice
            && remember
            && policy.is_none()
            && asked.fault.is_none()
            && asked.request.configured.is_none()
        {
            self.remember(name)?;
        }
        Ok(told(asked, choice))
    }

    /// Name the driver of new layers for this root; with none, the policy says it again.
    pub fn select_driver(&self, driver: Option<&str>) -> Result<(), Error> {
        self.refuse_to_explain("a choice")?;
        let work = || {
            if let Some(name) = driver {
                self.driver(name)?.probe()?;
            }
            Ok(self.store.durable(|tx| {
                tx.decide(Decision::Chosen, None)?;
                tx.decide(Decision::Named, driver)
            })?)
        };
        let kinds = [&event::DRIVER_SELECT, &event::DRIVER_SELECTED];
        self.observed(kinds, || json!({ "name": driver }), work, event::nothing_more)
    }

    /// The component's file that `--driver` names.
    pub(crate) fn named_file(&self) -> Option<&Path> {
        self.config.driver.as_deref().filter(|driver| is_file(driver)).map(Path::new)
    }

    fn named_driver(&self) -> Result<Option<String>, Error> {
        if let Some(path) = self.named_file() {
            return Ok(Some(self.driver_from_file(path)?.name().to_owned()));
        }
        if let Some(name) = &self.config.driver {
            return Ok(Some(name.clone()));
        }
        Ok(self.store.read(|view| view.decision(Decision::Named))?)
    }

    fn known_choice(&self) -> Result<Option<Known>, Error> {
        if let Some(name) = self.named_driver()? {
            return Ok(Some(Known::Named(name)));
        }
        let Some(kept) = self.store.read(|view| view.decision(Decision::Chosen))? else { return Ok(None) };
        let kept: Value = serde_json::from_str(&kept).unwrap_or_default();
        let same = kept.get("from") == Some(&self.drawn_from()?);
        let name = kept.get("driver").and_then(Value::as_str).filter(|_| same);
        Ok(name.map(|name| Known::Chosen(name.to_owned())))
    }

    /// What a choice depends on.
    fn drawn_from(&self) -> Result<Value, Error> {
        let (installed, used) = self.store.read(|view| Ok((view.components()?, view.drivers_in_use()?)))?;
        let installed: Vec<Value> =
            installed.iter().map(|one| json!([one.name, one.digest.to_string(), one.grants])).collect();
        let builtins = nacre_drivers::BUILTIN.iter().chain([&nacre_drivers::SELECTION]);
        let builtins: Vec<Value> = builtins.map(|one| json!([one.name, one.wasm.len()])).collect();
        Ok(json!([
            env!("CARGO_PKG_VERSION"),
            nacre_sys::proc::boot_id()?,
            builtins,
            installed,
            used,
            self.config.storage_opts
        ]))
    }

    fn remember(&self, driver: &str) -> Result<(), Error> {
        if self.config.explain || self.store.is_read_only() {
            return Ok(());
        }
        let kept = json!({ "driver": driver, "from": self.drawn_from()? }).to_string();
        Ok(self.store.write(|tx| tx.decide(Decision::Chosen, Some(&kept)))?)
    }

    fn installed_policy(&self) -> Result<Option<String>, Error> {
        let role = nacre_plugin::description::Role::SelectionPolicy.to_string();
        let installed = self.store.read(|view| view.components())?;
        Ok(installed.into_iter().find(|one| one.roles.contains(&role)).map(|one| one.name))
    }

    /// Ask a policy: the one that is named, else the one that was installed, else the one that is built in. One
    /// that was installed and fails is set aside for this command; one that was named must answer.
    fn ask(&self, policy: Option<&str>) -> Result<Asked, Error> {
        let (contenders, faults) = self.contenders()?;
        let mut request = Request {
            storage: facts::probe(&nacre_sys::dir::Dir::open(self.root())?)?,
            configured: self.named_driver()?,
            contenders,
            settings: Vec::new(),
        };
        let mut fault = None;
        let installed = self.installed_policy()?;
        let answer = match (policy, installed) {
            (Some(file), _) if is_file(file) => {
                let found = self.component_of_file(Path::new(file))?;
                Some((self.answer(&found, &mut request)?, found))
            }
            (Some(name), _) => {
                let found = self.component(name)?;
                Some((self.answer(&found, &mut request)?, found))
            }
            (None, Some(name)) => {
                let asked =
                    self.component(&name).and_then(|found| Ok((self.answer(&found, &mut request)?, found)));
                asked.inspect_err(|error| {
                    tracing::warn!(
                        "the selection policy {name} is set aside, and nacre's own is asked in its place: {error}"
                    );
                    fault = Some(error.to_string());
                })
                .ok()
            }
            (None, None) => None,
        };
        let (ranking, policy) = match answer {
            Some(answer) => answer,
            None => {
                let found = self.built_in_component(&nacre_drivers::SELECTION)?;
                (self.answer(&found, &mut request)?, found)
            }
        };
        Ok(Asked { request, ranking, policy, fault, faults })
    }

    fn answer(&self, found: &Found, request: &mut Request) -> Result<Ranking, Error> {
        request.settings = found.component.settings(&self.config.storage_opts)?;
        let policy = found.component.selection_policy(Arc::new(NoState))?;
        let answer = policy.choose(request);
        self.note_spent(policy.spent());
        Ok(answer?)
    }

    /// Every driver that could be chosen, its own probe run in its own home.
    fn contenders(&self) -> Result<(Vec<Contender>, Faults), Error> {
        let (installed, used) = self.store.read(|view| Ok((view.components()?, view.driver_usage()?)))?;
        let role = nacre_plugin::description::Role::StorageDriver.to_string();
        let installed = installed.into_iter().filter(|one| one.roles.contains(&role)).map(|one| one.name);
        let mut names: Vec<String> = nacre_drivers::BUILTIN.iter().map(|one| one.name.to_owned()).collect();
        names.extend(installed);
        names.extend(used.iter().map(|(name, ..)| name.clone()));
        names.extend(self.named_driver()?);
        names.sort();
        names.dedup();
        let mut faults = Vec::new();
        let mut contenders = Vec::with_capacity(names.len());
        for name in names {
            let held = used.iter().find(|(driver, ..)| *driver == name);
            let (layers, containers) = held.map_or((0, 0), |(_, layers, containers)| (*layers, *containers));
            let (origin, verdict) = self.verdict(&name, &mut faults)?;
            contenders.push(Contender { name, origin, verdict, layers, containers });
        }
        Ok((contenders, faults))
    }

    /// An option that does not fit is the user's error, and no reason to take another driver.
    fn verdict(&self, name: &str, faults: &mut Faults) -> Result<(Kind, Verdict), Error> {
        let driver = match self.driver(name) {
            Ok(driver) => driver,
            Err(error) if error.class() == Class::Usage => return Err(error),
            Err(error) => {
                let absent = matches!(error, Error::DriverAbsent { .. });
                faults.push((name.to_owned(), error));
                return Ok((if absent { Kind::Absent } else { Kind::Installed }, Verdict::Faulty));
            }
        };
        let origin = match driver.origin() {
            Origin::BuiltIn => Kind::BuiltIn,
            Origin::Installed => Kind::Installed,
            Origin::File => Kind::File,
        };
        let verdict = match driver.probe() {
            Ok(suitability) => Verdict::Suitable(suitability.max_depth),
            Err(Error::Plugin(nacre_plugin::Error::Refused { refusal, .. })) => Verdict::Refused(refusal),
            Err(error) => {
                faults.push((name.to_owned(), error));
                Verdict::Faulty
            }
        };
        Ok((origin, verdict))
    }

    /// The driver that a ranking chooses, or why there is none.
    fn choice(&self, asked: &Asked) -> Result<String, Error> {
        let Asked { request, ranking, .. } = asked;
        let why = |name: &str| verdict_of(asked, name);
        match &ranking.outcome {
            Outcome::Chosen => {
                Ok(ranking.candidates.first().map(|best| best.name.clone()).unwrap_or_default())
            }
            Outcome::ConfiguredFails => {
                let name = request.configured.clone().unwrap_or_default();
                Err(Error::DriverUnsuitable { reason: why(&name), held: 0, driver: name })
            }
            Outcome::StateFails(name) => {
                let held = request.contenders.iter().find(|one| one.name == *name);
                let held = held.map_or(0, |one| one.layers + one.containers);
                Err(Error::DriverUnsuitable { driver: name.clone(), held, reason: why(name) })
            }
            Outcome::Ambiguous(names) => {
                Err(Error::DriverAmbiguous { root: self.root().to_owned(), drivers: names.clone() })
            }
            Outcome::NoneSuitable => {
                let reasons: Vec<String> = request
                    .contenders
                    .iter()
                    .map(|one| format!("{}: {}", one.name, why(&one.name)))
                    .collect();
                Err(Error::NoDriver { root: self.root().to_owned(), reasons: reasons.join("; ") })
            }
        }
    }
}

/// A contender's verdict in words.
fn verdict_of(asked: &Asked, name: &str) -> String {
    let Some(contender) = asked.request.contenders.iter().find(|one| one.name == name) else {
        return "it is not here".to_owned();
    };
    match &contender.verdict {
        Verdict::Suitable(u32::MAX) => "it can work here, with chains of any length".to_owned(),
        Verdict::Suitable(depth) => format!("it can work here, with chains of up to {depth} layers"),
        Verdict::Refused(refusal) => describe_refusal(refusal),
        Verdict::Faulty => {
            let fault = asked.faults.iter().find(|(driver, _)| driver == name);
            fault.map_or_else(|| "it could not be asked".to_owned(), |(_, error)| error.to_string())
        }
    }
}

fn told(asked: Asked, choice: Result<String, Error>) -> Selection {
    let chosen = choice.as_ref().ok();
    let candidates = asked
        .ranking
        .candidates
        .iter()
        .zip(1..)
        .map(|(one, rank)| candidate(&asked, one, rank, chosen))
        .collect();
    let description = asked.policy.component.description();
    Selection {
        policy: description.name.clone(),
        policy_version: description.version.clone(),
        policy_digest: asked.policy.component.digest().to_string(),
        policy_origin: asked.policy.origin.name().to_owned(),
        policy_fault: asked.fault.clone(),
        configured: asked.request.configured.clone(),
        candidates,
        choice,
    }
}

fn candidate(asked: &Asked, one: &Candidate, rank: usize, chosen: Option<&String>) -> CandidateSummary {
    let contender = asked.request.contenders.iter().find(|contender| contender.name == one.name);
    let origin = match contender.map(|contender| contender.origin) {
        Some(Kind::BuiltIn) => "built in",
        Some(Kind::Installed) => "installed",
        Some(Kind::File) => "file",
        Some(Kind::Absent) | None => "absent",
    };
    CandidateSummary {
        rank,
        name: one.name.clone(),
        origin: origin.to_owned(),
        eligible: one.eligible,
        chosen: chosen == Some(&one.name),
        verdict: verdict_of(asked, &one.name),
        layers: contender.map_or(0, |contender| contender.layers),
        containers: contender.map_or(0, |contender| contender.containers),
        reasons: one.reasons.iter().map(|reason| words(reason).0).collect(),
        because: one.reasons.iter().map(|reason| words(reason).1.to_owned()).collect(),
    }
}

/// A reason by its name in the contract, and in words.
fn words(reason: &Reason) -> (String, &'static str) {
    let (case, words) = match reason {
        Reason::Configured => ("configured", "it was named"),
        Reason::OtherConfigured => ("other-configured", "another one was named"),
        Reason::HasState => ("has-state", "it holds layers or containers here"),
        Reason::OtherHasState => ("other-has-state", "another one holds layers or containers here"),
        Reason::Listed(place) => return (format!("listed({place})"), "it has a place in the order"),
        Reason::Unlisted => ("unlisted", "it has no place in the order"),
        Reason::Legacy => ("legacy", "it is kept for what was made with it"),
        Reason::NotSuitable => ("not-suitable", "it cannot work here"),
        Reason::FitsFilesystem => ("fits-filesystem", "it suits this file system"),
        Reason::Costly => ("costly", "it copies whole trees"),
    };
    (case.to_owned(), words)
}
