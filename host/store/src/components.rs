//! Components that were installed, and what was decided about drivers.

use jiff::Timestamp;
use nacre_archive::digest::Digest;
use rusqlite::{OptionalExtension, Row, params};

use crate::row::{Micros, Text, text, time};
use crate::{Result, Tx, View};

/// A component that was installed on this root. Its bytes are in a file that is named by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The name that it gives itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of its bytes, to which it is pinned.
    pub digest: Digest,
    /// The roles that it plays, by name.
    pub roles: Vec<String>,
    /// What it may do, by name; it may have asked for more.
    pub grants: Vec<String>,
    /// Its bytes.
    pub size: u64,
    /// When it was installed.
    pub installed: Timestamp,
}

/// A decision that is kept for the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The driver for new layers that the user named for good.
    Named,
    /// The driver that the selection policy chose last, and from what.
    Chosen,
}

impl Decision {
    fn key(self) -> &'static str {
        match self {
            Self::Named => "driver.named",
            Self::Chosen => "driver.chosen",
        }
    }
}

fn installed(row: &Row<'_>) -> rusqlite::Result<Installed> {
    let names = |column: &str| -> rusqlite::Result<Vec<String>> {
        let names: serde_json::Value = text(row, column)?;
        let names = names.as_array().into_iter().flatten();
        Ok(names.filter_map(|name| name.as_str().map(str::to_owned)).collect())
    };
    Ok(Installed {
        name: row.get("name")?,
        version: row.get("version")?,
        digest: text(row, "digest")?,
        roles: names("roles")?,
        grants: names("grants")?,
        size: row.get("size")?,
        installed: time(row, "installed")?,
    })
}

impl View<'_> {
    /// The components that were installed, by name.
    pub fn components(&self) -> Result<Vec<Installed>> {
        let mut query = self.db.prepare_cached("SELECT * FROM components ORDER BY name")?;
        Ok(query.query_map([], installed)?.collect::<rusqlite::Result<_>>()?)
    }

    /// The component that was installed under a name.
    pub fn component(&self, name: &str) -> Result<Option<Installed>> {
        let mut query = self.db.prepare_cached("SELECT * FROM components WHERE name = ?1")?;
        Ok(query.query_row([name], installed).optional()?)
    }

    /// What was decided.
    pub fn decision(&self, decision: Decision) -> Result<Option<String>> {
        let mut query = self.db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(query.query_row([decision.key()], |row| row.get(0)).optional()?)
    }

    /// What each driver that is in use holds: its image layers, and its containers.
    pub fn driver_usage(&self) -> Result<Vec<(String, u64, u64)>> {
        let mut query = self.db.prepare_cached(
            "SELECT driver, sum(layers), sum(containers) FROM (
                 SELECT driver, count(*) AS layers, 0 AS containers FROM layers GROUP BY driver
                 UNION ALL SELECT driver, 0, count(*) FROM containers GROUP BY driver
             ) GROUP BY driver ORDER BY driver",
        )?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Tx<'_> {
    /// Record a component, in place of the one of that name. Its file is there and synced.
    pub fn put_component(&self, new: &Installed) -> Result<()> {
        self.db.execute(
            "INSERT OR REPLACE INTO components (name, version, digest, roles, grants, size, installed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                new.name,
                new.version,
                Text(new.digest),
                serde_json::to_string(&new.roles)?,
                serde_json::to_string(&new.grants)?,
                new.size,
                Micros(new.installed),
            ],
        )?;
        Ok(())
    }

    /// Forget a component. Its file may go when no other record has its digest.
    pub fn remove_component(&self, name: &str) -> Result<()> {
        self.db.execute("DELETE FROM components WHERE name = ?1", [name])?;
        Ok(())
    }

    /// Keep a decision, or with none forget it.
    pub fn decide(&self, decision: Decision, value: Option<&str>) -> Result<()> {
        match value {
            Some(value) => self.db.execute(
                "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)",
                [decision.key(), value],
            )?,
            None => self.db.execute("DELETE FROM meta WHERE key = ?1", [decision.key()])?,
        };
        Ok(())
    }
}
