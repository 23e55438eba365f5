//! The record of a mount by the union: which policies it has, and which were put aside and why.
//!
//! ```text
//! <run>/nacre/unions/<layer>      a line of JSON for the mount, and one for each fault
//! ```
//!
//! It is begun with the mount, stays when that ends, and goes with the layer or a reboot.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Chosen, OWN, Serving};
use crate::types::PolicyFault;
use crate::{Engine, Error};

/// The folder of records.
const UNIONS: &str = "unions";

/// What a record begins with.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Head {
    search: Option<Chosen>,
    cache: Option<Chosen>,
    copy_up: Option<Chosen>,
}

/// Begin the record of a mount.
pub(super) fn begin(serving: &Serving) -> Result<(), Error> {
    let Serving { search, cache, copy_up, record, .. } = serving;
    let head = Head { search: search.clone(), cache: cache.clone(), copy_up: copy_up.clone() };
    let line = serde_json::to_string(&head).map_err(nacre_store::Error::from)?;
    let folder = record.parent().unwrap_or(record);
    fs::create_dir_all(folder).map_err(|e| Error::io("make", folder, e))?;
    fs::write(record, format!("{line}\n")).map_err(|e| Error::io("write", record, e))
}

/// Remove the record of a layer.
pub(super) fn forget(record: &Path) {
    if let Err(error) = fs::remove_file(record)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::debug!(%error, "the record of a mount stays");
    }
}

/// Note that a policy was put aside. It is called by the server, which has nobody else to tell.
pub(super) fn note(record: &Path, component: &str, role: &str, cause: &str) {
    let fault = PolicyFault {
        time: Timestamp::now().to_string(),
        component: component.to_owned(),
        role: role.to_owned(),
        cause: cause.to_owned(),
    };
    let written = serde_json::to_string(&fault).map_err(std::io::Error::other).and_then(|line| {
        // In one piece: threads note what happens at once.
        File::options().append(true).create(true).open(record)?.write_all(format!("{line}\n").as_bytes())
    });
    if let Err(error) = written {
        tracing::warn!(%error, "{component} was put aside as {role}: {cause}");
    }
}

fn read(record: &Path) -> Option<(Head, Vec<PolicyFault>)> {
    let text = fs::read_to_string(record).ok()?;
    let mut lines = text.lines();
    let head = serde_json::from_str(lines.next()?).unwrap_or_default();
    Some((head, lines.filter_map(|line| serde_json::from_str(line).ok()).collect()))
}

impl Engine {
    /// The record of a layer's mount.
    pub(super) fn record_path(&self, layer: &str) -> PathBuf {
        self.store.paths().run.join(OWN).join(UNIONS).join(layer)
    }

    /// The policies of a layer's last mount, and what was put aside: for `inspect`.
    pub(crate) fn mount_policies(&self, layer: &str) -> Value {
        let Some((head, faults)) = read(&self.record_path(layer)) else { return Value::Null };
        let shown = |chosen: Option<Chosen>| {
            chosen.map(|it| json!({ "Name": it.name, "Digest": it.digest, "Trusted": it.trusted }))
        };
        json!({
            "Search": shown(head.search),
            "Cache": shown(head.cache),
            "CopyUp": shown(head.copy_up),
            "Faults": faults,
        })
    }

    /// The policies that were put aside in the last mount of a layer.
    pub(crate) fn policy_faults(&self, layer: &str) -> Vec<PolicyFault> {
        read(&self.record_path(layer)).map(|(_, faults)| faults).unwrap_or_default()
    }

    /// The same of all containers, in words.
    pub(crate) fn all_policy_faults(&self) -> Result<Vec<String>, Error> {
        let containers = self.store.read(|view| view.containers(true))?;
        let faults = |container: &nacre_store::Container| {
            let words = |fault| format!("{}: {fault}", container.name);
            self.policy_faults(container.dir.as_str()).into_iter().map(words).collect::<Vec<_>>()
        };
        Ok(containers.iter().flat_map(faults).collect())
    }

    /// Whether a layer's last mount has the policies that are asked for.
    pub(crate) fn has_policies(&self, layer: &str, asked: &crate::types::UnionPolicies) -> bool {
        let (head, _) = read(&self.record_path(layer)).unwrap_or_default();
        let same = |asked: &Option<String>, chosen: &Option<Chosen>| {
            let is = |name: &String, it: &Chosen| {
                it.name == *name || it.file.as_deref() == std::path::absolute(name).ok().as_deref()
            };
            asked.as_ref().is_none_or(|name| chosen.as_ref().is_some_and(|it| is(name, it)))
        };
        same(&asked.search, &head.search)
            && same(&asked.cache, &head.cache)
            && same(&asked.copy_up, &head.copy_up)
    }
}
