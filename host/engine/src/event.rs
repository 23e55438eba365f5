//! What happens on a storage root, told to whoever wants to know it or have a say.
//!
//! An operation that changes something is told twice: before it does anything, when an [`Observer`] can refuse it, and
//! after it was done. The first has a name in the imperative (`container.create`), the second one in the past tense
//! (`container.created`). Without an observer nothing is told and nothing is paid; an engine that explains changes
//! nothing and tells nothing.

use nacre_store::Container;
use serde_json::{Map, Value, json};

use crate::{Engine, Error, reserve};

/// A kind of event.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// An observer can refuse what is about to happen.
    pub refusable: bool,
    /// Locks are held while it is told: an observer that used the same root would wait for itself.
    pub locked: bool,
    /// What it tells, in a line.
    pub doc: &'static str,
    /// The names of its fields.
    pub fields: &'static [&'static str],
}

/// Whoever is told what happens. It is told on the thread that called the engine, or on one that the engine started.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// Whether anything is to be told now.
    fn listens(&self) -> bool;

    /// Something is about to happen.
    ///
    /// # Errors
    /// It must not: nothing of it is done then.
    fn ask(&self, kind: &'static Kind, fields: &Value) -> Result<(), Refusal>;

    /// Something happened.
    fn tell(&self, kind: &'static Kind, fields: &Value);
}

/// An observer's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who says so, such as the file of a script.
    pub by: String,
    /// Why.
    pub reason: String,
}

const fn before(name: &'static str, doc: &'static str, fields: &'static [&'static str]) -> Kind {
    Kind { name, refusable: true, locked: false, doc, fields }
}

const fn after(name: &'static str, doc: &'static str, fields: &'static [&'static str]) -> Kind {
    Kind { name, refusable: false, locked: false, doc, fields }
}

const fn locked(kind: Kind) -> Kind {
    Kind { locked: true, ..kind }
}

macro_rules! kinds {
    ($($name:ident = $kind:expr;)*) => {
        $(pub(crate) static $name: Kind = $kind;)*

        /// All kinds of events.
        pub static KINDS: &[&Kind] = &[$(&$name),*];
    };
}

const CONTAINER: &[&str] = &["id", "name", "image", "driver"];
const PLAN: &[&str] = &["operation", "layer", "driver", "steps"];

kinds! {
    IMAGE_LOAD = before("image.load", "An archive is about to be loaded.", &["source"]);
    IMAGE_LOADED = after("image.loaded", "An image was loaded.", &["source", "id", "references"]);
    IMAGE_IMPORT = before("image.import", "A tar is about to become an image.", &["source", "name"]);
    IMAGE_IMPORTED = after("image.imported", "A tar became an image.", &["source", "name", "id"]);
    IMAGE_COMMIT = before("image.commit", "A container is about to become an image.", &["container", "name"]);
    IMAGE_COMMITTED = after("image.committed", "A container became an image.", &["container", "name", "id"]);
    IMAGE_TAG = before("image.tag", "An image is about to get a name.", &["image", "name"]);
    IMAGE_TAGGED = after("image.tagged", "An image got a name.", &["image", "name"]);
    IMAGE_REMOVE = before("image.remove", "An image, or a name of it, is about to go.", &["image"]);
    IMAGE_REMOVED = after(
        "image.removed", "An image, or a name of it, went.", &["image", "untagged", "deleted"]);
    LAYER_CREATE = locked(before("layer.create", "An image layer is about to be made.", &["driver", "layer"]));
    LAYER_CREATED = locked(after(
        "layer.created", "An image layer is there; layer is its chain ID.", &["driver", "layer", "size"]));
    LAYER_REMOVE = locked(before(
        "layer.remove", "An image layer that no image has is about to go; refused, it waits for a prune.",
        &["driver", "layer", "size"]));
    LAYER_REMOVED = locked(after("layer.removed", "An image layer went.", &["driver", "layer", "size"]));
    CONTAINER_CREATE = before("container.create", "A container is about to be made.", &["image", "name"]);
    CONTAINER_CREATED = after("container.created", "A container was made.", &["image", "name", "id"]);
    CONTAINER_START = before("container.start", "A container's process is about to start.", CONTAINER);
    CONTAINER_STARTED = after("container.started", "A container's process runs.", CONTAINER);
    CONTAINER_EXITED = after(
        "container.exited", "The process of a container that ran in the foreground ended.",
        &["id", "name", "image", "driver", "exit_code"]);
    CONTAINER_EXEC = before(
        "container.exec", "A further process is about to run in a container.",
        &["id", "name", "image", "driver", "command"]);
    CONTAINER_EXECUTED = after(
        "container.executed", "A further process ended.",
        &["id", "name", "image", "driver", "command", "exit_code"]);
    CONTAINER_STOP = before("container.stop", "A container is about to be stopped.", CONTAINER);
    CONTAINER_STOPPED = after("container.stopped", "A container was stopped.", CONTAINER);
    CONTAINER_KILL = before(
        "container.kill", "A container's process is about to get a signal.",
        &["id", "name", "image", "driver", "signal"]);
    CONTAINER_KILLED = after(
        "container.killed", "A container's process got a signal.", &["id", "name", "image", "driver", "signal"]);
    CONTAINER_RENAME = before(
        "container.rename", "A container is about to get another name.",
        &["id", "name", "image", "driver", "new_name"]);
    CONTAINER_RENAMED = after(
        "container.renamed", "A container got another name.", &["id", "name", "image", "driver", "new_name"]);
    CONTAINER_MOUNT = before("container.mount", "A container's tree is about to be mounted.", CONTAINER);
    CONTAINER_MOUNTED = after(
        "container.mounted", "A container's tree is mounted.", &["id", "name", "image", "driver", "path"]);
    CONTAINER_UMOUNT = before("container.umount", "A container's tree is about to be unmounted.", CONTAINER);
    CONTAINER_UMOUNTED = after("container.umounted", "A container's tree was unmounted.", CONTAINER);
    CONTAINER_REMOVE = before("container.remove", "A container is about to go.", CONTAINER);
    CONTAINER_REMOVED = after("container.removed", "A container went.", CONTAINER);
    DRIVER_INSTALL = before(
        "driver.install", "A component is about to be installed.", &["name", "version", "digest", "grants"]);
    DRIVER_INSTALLED = after(
        "driver.installed", "A component was installed.", &["name", "version", "digest", "grants"]);
    DRIVER_REMOVE = before("driver.remove", "A component is about to go.", &["name"]);
    DRIVER_REMOVED = after("driver.removed", "A component went.", &["name"]);
    DRIVER_SELECT = before("driver.select", "The driver of new layers is about to be named.", &["name"]);
    DRIVER_SELECTED = after("driver.selected", "The driver of new layers was named.", &["name"]);
    DRIVER_MIGRATE = before(
        "driver.migrate", "An image or container is about to move to another driver.", &["object", "to"]);
    DRIVER_MIGRATED = after(
        "driver.migrated", "An image or container moved to another driver.", &["object", "to"]);
    PLAN_RUN = locked(before(
        "plan.run", "A driver's plan that makes something is about to run.", PLAN));
    PLAN_END = locked(after("plan.end", "A driver's plan that ends or removes something is about to run.", PLAN));
    PLAN_STEP = locked(after(
        "plan.step", "A step of a plan was run.", &["operation", "layer", "driver", "number", "step"]));
    SPACE_LOW = after(
        "space.low", "Less than a twentieth of the root's file system is free after something was added.",
        &["free", "total"]);
}

impl Engine {
    /// Tell this observer what happens from now on. An engine has one; a second one is not told anything.
    pub fn observe(&self, observer: std::sync::Arc<dyn Observer>) {
        let _ = self.observer.set(observer);
    }

    /// Tell the observer where the root's file system is nearly full.
    pub fn tell_low_space(&self) {
        /// A twentieth.
        const LOW: u64 = 20;
        if self.heard().is_some()
            && let Some((free, total)) = reserve::space(self.root_dir())
            && free < total / LOW
        {
            self.tell(&SPACE_LOW, || json!({ "free": free, "total": total }));
        }
    }

    /// Whether anybody is told anything now.
    pub(crate) fn is_heard(&self) -> bool {
        self.heard().is_some()
    }

    /// Whoever is to be told something now.
    fn heard(&self) -> Option<&dyn Observer> {
        let observer = self.observer.get()?;
        (!self.config.explain && observer.listens()).then_some(observer.as_ref())
    }

    /// Do something that an observer can refuse and is told of afterwards. `done` gives fields that are known then.
    pub(crate) fn observed<T>(
        &self,
        [before, after]: [&'static Kind; 2],
        fields: impl FnOnce() -> Value,
        work: impl FnOnce() -> Result<T, Error>,
        done: impl FnOnce(&T) -> Value,
    ) -> Result<T, Error> {
        let Some(observer) = self.heard() else { return work() };
        let mut fields = fields();
        observer.ask(before, &fields).map_err(|refusal| refused(before, refusal))?;
        let outcome = work()?;
        merge(&mut fields, done(&outcome));
        observer.tell(after, &fields);
        Ok(outcome)
    }

    /// Something is about to happen.
    pub(crate) fn announce(&self, kind: &'static Kind, fields: impl FnOnce() -> Value) -> Result<(), Error> {
        match self.heard() {
            Some(observer) => observer.ask(kind, &fields()).map_err(|refusal| refused(kind, refusal)),
            None => Ok(()),
        }
    }

    /// Something happened.
    pub(crate) fn tell(&self, kind: &'static Kind, fields: impl FnOnce() -> Value) {
        if let Some(observer) = self.heard() {
            observer.tell(kind, &fields());
        }
    }

    /// What is told of a container, by any of its names. One that is not there is told by that.
    pub(crate) fn told_of(&self, container: &str) -> Value {
        match self.find_container(container) {
            Ok(known) => told_of(&known),
            Err(_) => json!({ "name": container }),
        }
    }
}

/// What is told of a container.
pub(crate) fn told_of(container: &Container) -> Value {
    json!({
        "id": container.id.as_str(),
        "name": container.name,
        "image": container.image_ref,
        "driver": container.driver,
    })
}

/// Nothing beyond what was told before.
pub(crate) fn nothing_more<T>(_: &T) -> Value {
    Value::Null
}

/// The fields of both.
pub(crate) fn with(mut fields: Value, more: Value) -> Value {
    merge(&mut fields, more);
    fields
}

fn merge(fields: &mut Value, more: Value) {
    let mut none = Map::new();
    let all = fields.as_object_mut().unwrap_or(&mut none);
    if let Value::Object(more) = more {
        all.extend(more);
    }
}

fn refused(kind: &'static Kind, Refusal { by, reason }: Refusal) -> Error {
    Error::Refused { event: kind.name, by, reason }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_has_a_name_of_its_own_and_only_what_is_about_to_happen_can_be_refused() {
        let names: BTreeSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
        for kind in KINDS {
            assert!(kind.doc.ends_with('.'), "{}", kind.name);
            assert_eq!(
                kind.refusable,
                kind.doc.contains("about to") && kind.name != "plan.end",
                "{}",
                kind.name
            );
        }
    }
}
