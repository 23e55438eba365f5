//! What drivers keep for themselves.

use rusqlite::{OptionalExtension, params};

use crate::{Result, Tx, View};

/// A change of a driver's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateChange {
    /// Set a key.
    Set(String, Vec<u8>),
    /// Remove a key, where it is there.
    Remove(String),
}

impl View<'_> {
    /// The value of a driver's key.
    pub fn state(&self, driver: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let mut query =
            self.db.prepare_cached("SELECT value FROM driver_state WHERE driver = ?1 AND key = ?2")?;
        Ok(query.query_row([driver, key], |row| row.get(0)).optional()?)
    }

    /// A driver's keys that begin with `prefix`, in order.
    pub fn state_keys(&self, driver: &str, prefix: &str) -> Result<Vec<String>> {
        let mut query = self.db.prepare_cached(
            "SELECT key FROM driver_state WHERE driver = ?1 AND key >= ?2 AND substr(key, 1, length(?2)) = ?2
             ORDER BY key",
        )?;
        Ok(query.query_map([driver, prefix], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }
}

impl Tx<'_> {
    /// Apply changes in their order.
    pub fn change_state(&self, driver: &str, changes: &[StateChange]) -> Result<()> {
        for change in changes {
            match change {
                StateChange::Set(key, value) => self.db.execute(
                    "INSERT OR REPLACE INTO driver_state (driver, key, value) VALUES (?1, ?2, ?3)",
                    params![driver, key, value],
                )?,
                StateChange::Remove(key) => self
                    .db
                    .execute("DELETE FROM driver_state WHERE driver = ?1 AND key = ?2", [driver, key])?,
            };
        }
        Ok(())
    }
}
