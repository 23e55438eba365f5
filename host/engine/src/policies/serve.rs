//! In the process that serves a union: from what it was told to how its tree works.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use nacre_plugin::{Component, ComponentHost, Config};
use nacre_union::live::policy::Ranges;
use nacre_union::live::{Counters, Options};
use nacre_union::trace::Recorder;

use super::search::Search;
use super::table::Table;
use super::way::Ways;
use super::{Chosen, Serving, record};

/// How a tree works whose mount was planned by an [`Engine`](crate::Engine), of what that told the server. A policy that
/// cannot be used is left out, and the mount's record says why.
pub fn union_options(given: &OsStr) -> Options {
    let mut options = Options { copy_up: Arc::new(Ranges::default()), ..Options::default() };
    let Some(serving) = given.to_str().and_then(|text| serde_json::from_str::<Serving>(text).ok()) else {
        return options;
    };
    if let Some(path) = &serving.trace {
        let recorder = Recorder::append(path).inspect_err(|error| {
            record::note(&serving.record, "trace", "recorder", &format!("{}: {error}", path.display()));
        });
        options.trace = recorder.ok().map(Arc::new);
    }
    // Without one, each policy says what is wrong with it.
    let host = ComponentHost::new(Config { cache_dir: Some(serving.compiled.clone()), ..Config::default() });
    let host = host.as_ref();
    if let Some(chosen) = &serving.search {
        let report = Report::of(&serving, &options, chosen, "search-policy");
        let search = load(host, chosen).and_then(|it| Ok(it.search_policy(chosen.settings.clone())?));
        options.search = report
            .kept(search.and_then(|it| Search::open(it, chosen, &serving, report.clone())))
            .map(|search| Arc::new(search) as _);
    }
    if let Some(chosen) = &serving.cache {
        let report = Report::of(&serving, &options, chosen, "cache-policy");
        let cache = load(host, chosen).and_then(|it| Ok(it.cache_policy(chosen.settings.clone())?));
        let limit = options.cache_bytes as u64;
        if let Some(table) = report.kept(cache.and_then(|it| Table::open(it, limit, report.clone()))) {
            options.cache = Arc::new(parking_lot::Mutex::new(table));
        }
    }
    if let Some(chosen) = &serving.copy_up {
        let report = Report::of(&serving, &options, chosen, "copy-up-policy");
        let ways = load(host, chosen).and_then(|it| Ok(it.copy_up_policy(chosen.settings.clone())?));
        if let Some(ways) = report.kept(ways.and_then(|it| Ways::open(it, report.clone()))) {
            options.copy_up = Arc::new(ways);
        }
    }
    options
}

/// Why a policy cannot be used.
pub(super) type Fault = Box<dyn std::error::Error>;

fn load(host: Result<&ComponentHost, &nacre_plugin::Error>, chosen: &Chosen) -> Result<Component, Fault> {
    let host = host.map_err(ToString::to_string)?;
    let component = match &chosen.file {
        Some(file) => host.load(&file.display().to_string(), &std::fs::read(file)?)?,
        None => {
            let builtin = nacre_drivers::find(&chosen.name).ok_or("it is not built in")?;
            host.load("built in", builtin.wasm)?
        }
    };
    match component.digest().to_string() == chosen.digest {
        true => Ok(component),
        false => Err("its file is another one by now".into()),
    }
}

/// Tells the record of the mount what became of a policy, and its counters what the policy costs.
#[derive(Debug, Clone)]
pub(super) struct Report {
    counters: Arc<Counters>,
    record: PathBuf,
    component: String,
    role: &'static str,
}

impl Report {
    fn of(serving: &Serving, options: &Options, chosen: &Chosen, role: &'static str) -> Self {
        let (counters, record) = (options.counters.clone(), serving.record.clone());
        Self { counters, record, component: chosen.name.clone(), role }
    }

    /// A call of the component.
    pub(super) fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        self.counters.policy(call)
    }

    /// The policy is put aside.
    pub(super) fn put_aside(&self, cause: &dyn std::fmt::Display) {
        self.counters.policy_put_aside();
        record::note(&self.record, &self.component, self.role, &cause.to_string());
    }

    fn kept<T>(&self, opened: Result<T, Fault>) -> Option<T> {
        opened.inspect_err(|error| self.put_aside(error)).ok()
    }
}
