//! Containers.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use nacre_archive::digest::{ChainId, ImageId};
use nacre_sys::proc::Identity;
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::row::{Micros, Text, maybe_text, maybe_time, text, time};
use crate::{ContainerId, Error, Kind, LayerId, Result, Tx, View};

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// Never started.
    Created,
    /// Its process was started, and nobody has seen its end.
    Running,
    /// Its process ended.
    Exited,
    /// It is to be removed, and whoever was about to do it died.
    Dead,
}

/// No state has this name.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0:?} is not a container's state: created, running, exited or dead")]
pub struct UnknownState(String);

impl fmt::Display for ContainerState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Dead => "dead",
        })
    }
}

impl FromStr for ContainerState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Ok(match text {
            "created" => Self::Created,
            "running" => Self::Running,
            "exited" => Self::Exited,
            "dead" => Self::Dead,
            other => return Err(UnknownState(other.to_owned())),
        })
    }
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its ID.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// The image that it stands on.
    pub image: Option<ImageId>,
    /// The image as the user named it.
    pub image_ref: String,
    /// The driver that holds its layer.
    pub driver: String,
    /// Its writable layer's name in the driver's home.
    pub dir: LayerId,
    /// The layer below its own.
    pub parent: Option<ChainId>,
    /// What the engine keeps of it, as JSON.
    pub config: String,
    /// When it was created.
    pub created: Timestamp,
    /// Where it is in its life. A running one may have lost its process: look at `process`.
    pub state: ContainerState,
    /// Its process, while it runs.
    pub process: Option<Identity>,
    /// When it was started last.
    pub started: Option<Timestamp>,
    /// When its process ended last.
    pub finished: Option<Timestamp>,
    /// How its process ended.
    pub exit_code: Option<i32>,
    /// What went wrong with it.
    pub error: Option<String>,
    /// Whether its tree is mounted, for whomever.
    pub mounted: bool,
}

/// A container to be recorded; it begins as [`ContainerState::Created`].
#[derive(Debug, Clone)]
pub struct NewContainer {
    /// Its ID.
    pub id: ContainerId,
    /// Its name; none draws one.
    pub name: Option<String>,
    /// The image that it stands on.
    pub image: Option<ImageId>,
    /// The image as the user named it.
    pub image_ref: String,
    /// The driver that holds its layer.
    pub driver: String,
    /// Its writable layer's name in the driver's home.
    pub dir: LayerId,
    /// The layer below its own; none for a container on nothing.
    pub parent: Option<ChainId>,
    /// What the engine keeps of it.
    pub config: serde_json::Value,
    /// When it was created.
    pub created: Timestamp,
}

/// The order in which [`container`] reads the columns: by number, as a listing of a thousand would spend most
/// of its time in looking up their names.
const CONTAINERS: &str = "
    SELECT c.id, c.name, c.image, c.image_ref, c.driver, c.dir, c.parent_chain, c.config, c.created, c.state,
           c.pid, c.pid_start, c.pid_boot, c.started, c.finished, c.exit_code, c.error,
           EXISTS (SELECT 1 FROM mounts WHERE dir = c.dir)
    FROM containers c";

fn container(row: &Row<'_>) -> rusqlite::Result<Container> {
    let process = match (row.get(10)?, row.get(11)?, row.get(12)?) {
        (Some(pid), Some(start), Some(boot)) => Some(Identity { pid, start, boot }),
        _ => None,
    };
    Ok(Container {
        id: text(row, 0)?,
        name: row.get(1)?,
        image: maybe_text(row, 2)?,
        image_ref: row.get(3)?,
        driver: row.get(4)?,
        dir: text(row, 5)?,
        parent: maybe_text(row, 6)?,
        config: row.get(7)?,
        created: time(row, 8)?,
        state: text(row, 9)?,
        process,
        started: maybe_time(row, 13)?,
        finished: maybe_time(row, 14)?,
        exit_code: row.get(15)?,
        error: row.get(16)?,
        mounted: row.get(17)?,
    })
}

impl View<'_> {
    /// A container by its ID.
    pub fn container(&self, id: &ContainerId) -> Result<Option<Container>> {
        let mut query = self.db.prepare_cached(&format!("{CONTAINERS} WHERE c.id = ?1"))?;
        Ok(query.query_row([id.as_str()], container).optional()?)
    }

    /// The containers whose record may have been overtaken by events: those that ran when they were last
    /// looked at, and those that are to be removed.
    pub fn unsettled_containers(&self) -> Result<Vec<Container>> {
        let mut query = self
            .db
            .prepare_cached(&format!("{CONTAINERS} WHERE c.state IN ('running', 'dead') ORDER BY c.id"))?;
        Ok(query.query_map([], container)?.collect::<rusqlite::Result<_>>()?)
    }

    /// The containers, the newest first: all, or those that run.
    pub fn containers(&self, all: bool) -> Result<Vec<Container>> {
        let mut query = self.db.prepare_cached(&format!(
            "{CONTAINERS} WHERE ?1 OR c.state = 'running' ORDER BY c.created DESC, c.id"
        ))?;
        Ok(query.query_map([all], container)?.collect::<rusqlite::Result<_>>()?)
    }

    /// A container by its ID, its name, or the beginning of its ID, in this order.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`].
    pub fn find_container(&self, name: &str) -> Result<Container> {
        let mut exact = self.db.prepare_cached(&format!(
            "{CONTAINERS} WHERE c.id = ?1 OR c.name = ?1 ORDER BY c.id = ?1 DESC LIMIT 1"
        ))?;
        if let Some(found) = exact.query_row([name], container).optional()? {
            return Ok(found);
        }
        let none = || Error::NotFound { kind: Kind::Container, name: name.to_owned() };
        if name.is_empty() || !crate::id::is_lower_hex(name) {
            return Err(none());
        }
        let mut query = self.db.prepare_cached(&format!(
            "{CONTAINERS} WHERE c.id BETWEEN ?1 AND ?1 || 'g' ORDER BY c.id LIMIT 8"
        ))?;
        let mut found: Vec<Container> =
            query.query_map([name], container)?.collect::<rusqlite::Result<_>>()?;
        match found.len() {
            0 => Err(none()),
            1 => Ok(found.swap_remove(0)),
            _ => Err(Error::Ambiguous {
                kind: Kind::Container,
                name: name.to_owned(),
                candidates: found.into_iter().map(|container| container.id.into()).collect(),
            }),
        }
    }

    /// The container whose writable layer this is.
    pub fn container_of_layer(&self, dir: &LayerId) -> Result<Option<Container>> {
        let mut query = self.db.prepare_cached(&format!("{CONTAINERS} WHERE c.dir = ?1"))?;
        Ok(query.query_row([dir.as_str()], container).optional()?)
    }
}

impl Tx<'_> {
    /// Record a container whose layer is made; returns it with its name.
    ///
    /// # Errors
    /// [`Error::NameInUse`], [`Error::InvalidName`]; [`Error::NotFound`] names the image that went away,
    /// [`Error::LayerMissing`] the layer.
    pub fn add_container(&self, new: &NewContainer) -> Result<Container> {
        if let Some(parent) = &new.parent {
            self.require_layer(&new.driver, parent)?;
        }
        if let Some(image) = new.image {
            self.image(&image)?
                .ok_or_else(|| Error::NotFound { kind: Kind::Image, name: new.image_ref.clone() })?;
        }
        let name = match &new.name {
            Some(name) => name.clone(),
            None => self.free_name()?,
        };
        self.require_free_name(&name)?;
        let mut insert = self.db.prepare_cached(
            "INSERT INTO containers (id, name, image, image_ref, driver, dir, parent_chain, config, created, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'created')",
        )?;
        insert.execute(params![
            new.id.as_str(),
            name,
            new.image.map(Text),
            new.image_ref,
            new.driver,
            new.dir.as_str(),
            new.parent.map(Text),
            serde_json::to_string(&new.config)?,
            Micros(new.created),
        ])?;
        self.require_container(&new.id)
    }

    /// Give a container another name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NameInUse`], [`Error::InvalidName`].
    pub fn rename_container(&self, id: &ContainerId, name: &str) -> Result<()> {
        self.require_container(id)?;
        self.require_free_name(name)?;
        self.db.execute("UPDATE containers SET name = ?2 WHERE id = ?1", params![id.as_str(), name])?;
        Ok(())
    }

    /// The container's process was started.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Running`] where somebody else started it.
    pub fn container_started(&self, id: &ContainerId, process: &Identity, at: Timestamp) -> Result<()> {
        if self.require_container(id)?.state == ContainerState::Running {
            return Err(Error::Running { container: id.clone() });
        }
        self.db.execute(
            "UPDATE containers SET state = 'running', pid = ?2, pid_start = ?3, pid_boot = ?4, started = ?5,
                 finished = NULL, exit_code = NULL, error = NULL WHERE id = ?1",
            params![id.as_str(), process.pid, process.start, process.boot, Micros(at)],
        )?;
        Ok(())
    }

    /// That process of the container ended, or one that was never recorded; `error` says why. Where another
    /// one runs, or the end was recorded before, everything stays as it is: the answer is whether anything
    /// changed.
    pub fn container_exited(
        &self,
        id: &ContainerId,
        process: Option<&Identity>,
        exit_code: i32,
        error: Option<&str>,
        at: Timestamp,
    ) -> Result<bool> {
        let changed = self.db.execute(
            "UPDATE containers SET state = 'exited', pid = NULL, pid_start = NULL, pid_boot = NULL,
                 finished = ?4, exit_code = ?2, error = ?3
             WHERE id = ?1 AND state <> 'dead' AND pid IS ?5 AND pid_start IS ?6 AND pid_boot IS ?7",
            params![
                id.as_str(),
                exit_code,
                error,
                Micros(at),
                process.map(|p| p.pid),
                process.map(|p| p.start),
                process.map(|p| &p.boot),
            ],
        )?;
        Ok(changed > 0)
    }

    /// The container is to be removed, whatever happens to who says so.
    pub fn container_dead(&self, id: &ContainerId, error: &str) -> Result<()> {
        self.db.execute(
            "UPDATE containers SET state = 'dead', pid = NULL, pid_start = NULL, pid_boot = NULL, error = ?2
             WHERE id = ?1",
            params![id.as_str(), error],
        )?;
        Ok(())
    }

    /// A container's writable layer lies in another driver now, under another name. It does not run, and is not
    /// mounted.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Running`], [`Error::Mounted`]; [`Error::LayerMissing`] where the driver does
    /// not have the layer that it stands on.
    pub fn move_container(
        &self,
        id: &ContainerId,
        driver: &str,
        dir: &LayerId,
        config: &serde_json::Value,
    ) -> Result<()> {
        let now = self.require_container(id)?;
        if now.state == ContainerState::Running {
            return Err(Error::Running { container: id.clone() });
        }
        self.require_unmounted(&now.dir)?;
        if let Some(parent) = &now.parent {
            self.require_layer(driver, parent)?;
        }
        self.db.execute(
            "UPDATE containers SET driver = ?2, dir = ?3, config = ?4 WHERE id = ?1",
            params![id.as_str(), driver, dir.as_str(), serde_json::to_string(config)?],
        )?;
        Ok(())
    }

    /// Forget a container.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Running`], [`Error::Mounted`].
    pub fn remove_container(&self, id: &ContainerId) -> Result<Container> {
        let gone = self.require_container(id)?;
        if gone.state == ContainerState::Running {
            return Err(Error::Running { container: id.clone() });
        }
        self.require_unmounted(&gone.dir)?;
        self.db.execute("DELETE FROM containers WHERE id = ?1", [id.as_str()])?;
        Ok(gone)
    }

    fn require_container(&self, id: &ContainerId) -> Result<Container> {
        self.container(id)?.ok_or_else(|| Error::NotFound { kind: Kind::Container, name: id.to_string() })
    }

    fn require_free_name(&self, name: &str) -> Result<()> {
        if !crate::names::is_valid(name) {
            return Err(Error::InvalidName { name: name.to_owned() });
        }
        match self.named(name)? {
            Some(by) => Err(Error::NameInUse { name: name.to_owned(), by }),
            None => Ok(()),
        }
    }

    /// Random names are few: after some tries, one gets a number.
    fn free_name(&self) -> Result<String> {
        let mut tries = 0;
        loop {
            let name = crate::names::random(tries)?;
            if self.named(&name)?.is_none() {
                return Ok(name);
            }
            tries += 1;
        }
    }

    fn named(&self, name: &str) -> Result<Option<ContainerId>> {
        let mut query = self.db.prepare_cached("SELECT id FROM containers WHERE name = ?1")?;
        Ok(query.query_row([name], |row| text(row, "id")).optional()?)
    }
}
