//! What is being done right now, so that it can be undone or completed when whoever does it dies.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use nacre_sys::FileLock;
use rusqlite::{Row, params};
use serde_json::Value;

use crate::row::{Micros, text, time};
use crate::{Error, Result, Store, Tx, View};

/// An entry's number. Later entries have larger ones, and none is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalId(i64);

impl fmt::Display for JournalId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

/// What is to be done with a plan that was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Take back what was done of it.
    Undo,
    /// Do the rest of it.
    Redo,
}

/// No direction has this name.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0:?} is not a direction: undo or redo")]
pub struct UnknownDirection(String);

impl fmt::Display for Direction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Undo => "undo",
            Self::Redo => "redo",
        })
    }
}

impl FromStr for Direction {
    type Err = UnknownDirection;

    fn from_str(text: &str) -> Result<Self, UnknownDirection> {
        match text {
            "undo" => Ok(Self::Undo),
            "redo" => Ok(Self::Redo),
            other => Err(UnknownDirection(other.to_owned())),
        }
    }
}

/// A plan that is about to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// Whose plan it is.
    pub driver: String,
    /// `create`, `mount`, …
    pub op: String,
    /// What it is done to: a layer's directory, as a rule.
    pub subject: String,
    /// What is to be done with it after a crash.
    pub direction: Direction,
    /// The plan.
    pub plan: Value,
}

/// A plan that is being run, or was cut short.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number.
    pub id: JournalId,
    /// The token of the process that runs it.
    pub owner: String,
    /// The plan.
    pub new: NewEntry,
    /// Since when.
    pub started: Timestamp,
}

/// A process, as the journal knows it: a random token, and a lock on the file of that name that the process
/// holds as long as it lives.
#[derive(Debug)]
pub struct Owner {
    token: String,
    lock: Option<FileLock>,
}

impl Owner {
    /// 32 lower-case hexadecimal digits.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // What is left of this process in the journal is now anybody's. A file that stays says the same.
        if let Some(Err(error)) = self.lock.take().map(FileLock::remove_and_release) {
            tracing::debug!(%error, "owner's lock file stays");
        }
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let new = NewEntry {
        driver: row.get("driver")?,
        op: row.get("op")?,
        subject: row.get("subject")?,
        direction: text(row, "direction")?,
        plan: text(row, "plan")?,
    };
    Ok(Entry { id: JournalId(row.get("id")?), owner: row.get("owner")?, new, started: time(row, "started")? })
}

impl Store {
    /// This process, as the journal knows it; made at the first call.
    pub fn owner(&self) -> Result<Arc<Owner>> {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = &*owner {
            return Ok(Arc::clone(owner));
        }
        let token = crate::id::random_hex::<16>()?;
        let lock = Some(FileLock::exclusive(self.owner_file(&token))?);
        Ok(Arc::clone(owner.insert(Arc::new(Owner { token, lock }))))
    }

    /// Write down what is about to be done, in a transaction of its own.
    pub fn journal_begin(&self, new: &NewEntry) -> Result<JournalId> {
        let owner = self.owner()?;
        self.write(|tx| tx.journal_begin(&owner, new))
    }

    /// Take over what dead processes left: entries, the latest first, which are this process's from now on
    /// and nobody else's. Their holds on layers are dropped. Quick when nobody left anything.
    pub fn claim_dead(&self) -> Result<Vec<Entry>> {
        let own = self.owner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let owners = self.read(|view| view.owners())?;
        let mut claimed = Vec::new();
        for token in owners.iter().filter(|token| own.as_ref().is_none_or(|own| own.token() != *token)) {
            let Some(dead) = self.dead_owner(token)? else { continue };
            let mine = self.owner()?;
            claimed.extend(self.write(|tx| tx.take_over(token, &mine))?);
            drop(dead);
        }
        claimed.sort_by_key(|entry| std::cmp::Reverse(entry.id));
        Ok(claimed)
    }

    /// Entries of processes that are dead, as [`Store::claim_dead`] would take them over.
    pub fn journal_of_dead(&self) -> Result<Vec<Entry>> {
        let dead = self.dead_owners()?;
        // Read after the verdicts: who finished and went in between left nothing.
        let mut entries = self.read(|view| view.journal())?;
        entries.retain(|entry| dead.contains(&entry.owner));
        Ok(entries)
    }

    /// Owners that have something in the records and are dead.
    pub(crate) fn dead_owners(&self) -> Result<BTreeSet<String>> {
        let mut dead = BTreeSet::new();
        for token in self.read(|view| view.owners())? {
            if self.is_dead(&token)? {
                dead.insert(token);
            }
        }
        Ok(dead)
    }

    /// Whether the process with this token is dead. Once dead it stays so.
    pub fn is_dead(&self, token: &str) -> Result<bool> {
        let own = self.owner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(own.is_none_or(|own| own.token() != token) && self.dead_owner(token)?.is_some())
    }

    /// Proof that a process is dead: its lock, taken, or the absence of its file. The proof holds while it
    /// is kept; a token is never used again, so an absent file needs none.
    pub(crate) fn dead_owner(&self, token: &str) -> Result<Option<Owner>> {
        let file = self.owner_file(token);
        let dead = |lock| Some(Owner { token: token.to_owned(), lock });
        if !file.exists() {
            return Ok(dead(None));
        }
        Ok(FileLock::try_exclusive(&file)?.and_then(|lock| dead(Some(lock))))
    }

    fn owner_file(&self, token: &str) -> PathBuf {
        self.paths().owners().join(token)
    }
}

impl View<'_> {
    /// All entries, the latest first, of the living and the dead.
    pub fn journal(&self) -> Result<Vec<Entry>> {
        let mut query = self.db.prepare_cached("SELECT * FROM journal ORDER BY id DESC")?;
        Ok(query.query_map([], entry)?.collect::<rusqlite::Result<_>>()?)
    }

    fn owners(&self) -> Result<Vec<String>> {
        let mut query =
            self.db.prepare_cached("SELECT owner FROM journal UNION SELECT owner FROM layer_holds")?;
        Ok(query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }
}

impl Tx<'_> {
    /// Write down what is about to be done, with the records that go with it: a removal forgets its layer
    /// and writes this in one transaction.
    pub fn journal_begin(&self, owner: &Owner, new: &NewEntry) -> Result<JournalId> {
        let mut insert = self.db.prepare_cached(
            "INSERT INTO journal (owner, driver, op, subject, direction, plan, started)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        insert.execute(params![
            owner.token(),
            new.driver,
            new.op,
            new.subject,
            new.direction.to_string(),
            serde_json::to_string(&new.plan)?,
            Micros(Timestamp::now()),
        ])?;
        Ok(JournalId(self.db.last_insert_rowid()))
    }

    /// It is done, or undone. Belongs in the transaction that commits the outcome: when the entry is not
    /// this process's any more, the outcome is not its either.
    ///
    /// # Errors
    /// [`Error::NotOwned`].
    pub fn journal_finish(&self, owner: &Owner, id: JournalId) -> Result<()> {
        let mut delete = self.db.prepare_cached("DELETE FROM journal WHERE id = ?1 AND owner = ?2")?;
        if delete.execute(params![id.0, owner.token()])? == 0 {
            return Err(Error::NotOwned { id: id.0 });
        }
        Ok(())
    }

    fn take_over(&self, dead: &str, mine: &Owner) -> Result<Vec<Entry>> {
        self.db.execute("DELETE FROM layer_holds WHERE owner = ?1", [dead])?;
        let mut update =
            self.db.prepare_cached("UPDATE journal SET owner = ?2 WHERE owner = ?1 RETURNING *")?;
        Ok(update.query_map([dead, mine.token()], entry)?.collect::<rusqlite::Result<_>>()?)
    }
}
