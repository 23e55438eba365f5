//! What is mounted, and for whom.
//!
//! A layer is mounted once, however many need it: each is a *holder*, a text that says who. `user` asked
//! for it by hand, `run:<container>` is a running container, `op:<token>` an operation of the process with
//! that token ([`crate::Owner`]). The first holder mounts, the last one unmounts, both under the layer's
//! [mount lock](crate::locks), and record it when it is done.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use crate::row::{Micros, text, time};
use crate::{Error, LayerId, Result, Tx, View};

/// A layer that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The layer's name in the driver's home.
    pub dir: LayerId,
    /// The driver that holds it.
    pub driver: String,
    /// Where its tree is.
    pub target: PathBuf,
    /// Since when.
    pub created: Timestamp,
}

/// What `meta` has the boot's name under.
const BOOT: &str = "boot";

fn mount(row: &Row<'_>) -> rusqlite::Result<Mount> {
    Ok(Mount {
        dir: text(row, "dir")?,
        driver: row.get("driver")?,
        target: OsString::from_vec(row.get("target")?).into(),
        created: time(row, "created")?,
    })
}

impl View<'_> {
    /// A layer's mount, where it is mounted.
    pub fn mount(&self, dir: &LayerId) -> Result<Option<Mount>> {
        let mut query = self.db.prepare_cached("SELECT * FROM mounts WHERE dir = ?1")?;
        Ok(query.query_row([dir.as_str()], mount).optional()?)
    }

    /// All that is mounted, the oldest first.
    pub fn mounts(&self) -> Result<Vec<Mount>> {
        let mut query = self.db.prepare_cached("SELECT * FROM mounts ORDER BY created, dir")?;
        Ok(query.query_map([], mount)?.collect::<rusqlite::Result<_>>()?)
    }

    /// For whom a layer is mounted; empty where it is not.
    pub fn holders(&self, dir: &LayerId) -> Result<Vec<String>> {
        let mut query =
            self.db.prepare_cached("SELECT holder FROM mount_holders WHERE dir = ?1 ORDER BY holder")?;
        Ok(query.query_map([dir.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    /// Every pair of a mounted layer and a holder.
    pub fn mount_holders(&self) -> Result<Vec<(LayerId, String)>> {
        let mut query =
            self.db.prepare_cached("SELECT dir, holder FROM mount_holders ORDER BY dir, holder")?;
        let pairs = query.query_map([], |row| Ok((text(row, "dir")?, row.get("holder")?)))?;
        Ok(pairs.collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn require_unmounted(&self, dir: &LayerId) -> Result<()> {
        match self.mount(dir)? {
            Some(_) => Err(Error::Mounted { dir: dir.clone(), holders: self.holders(dir)? }),
            None => Ok(()),
        }
    }
}

impl Tx<'_> {
    /// Hold a mounted layer; the answer is whether nobody held it before, that is, whether it was to be
    /// mounted for this. `new.target` counts only then. To hold it again changes nothing.
    pub fn add_holder(&self, new: &Mount, holder: &str) -> Result<bool> {
        let first = self.holders(&new.dir)?.is_empty();
        self.db.execute(
            "INSERT OR IGNORE INTO mounts (dir, driver, target, created) VALUES (?1, ?2, ?3, ?4)",
            params![new.dir.as_str(), new.driver, new.target.as_os_str().as_bytes(), Micros(new.created)],
        )?;
        self.db.execute(
            "INSERT OR IGNORE INTO mount_holders (dir, holder) VALUES (?1, ?2)",
            params![new.dir.as_str(), holder],
        )?;
        Ok(first)
    }

    /// Hold a layer no more; the answer is whether that was the last holder, with whom the mount's record
    /// goes too. False where this one did not hold it.
    pub fn drop_holder(&self, dir: &LayerId, holder: &str) -> Result<bool> {
        let dropped = self.db.execute(
            "DELETE FROM mount_holders WHERE dir = ?1 AND holder = ?2",
            params![dir.as_str(), holder],
        )?;
        if dropped == 0 || !self.holders(dir)?.is_empty() {
            return Ok(false);
        }
        self.forget_mount(dir)?;
        Ok(true)
    }

    /// A layer is not mounted any more, whoever held it: its mount was ended by force, or was lost.
    pub fn forget_mount(&self, dir: &LayerId) -> Result<()> {
        self.db.execute("DELETE FROM mounts WHERE dir = ?1", [dir.as_str()])?;
        Ok(())
    }

    /// Say which boot this is. The answer is whether it is another one than the last time: then nothing is
    /// mounted any more, and containers that ran are recorded as exited with 255, as Docker does.
    pub fn note_boot(&self, boot_id: &str, now: Timestamp) -> Result<bool> {
        if self.boot()?.as_deref() == Some(boot_id) {
            return Ok(false);
        }
        self.db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", [BOOT, boot_id])?;
        self.db.execute("DELETE FROM mounts", [])?;
        self.db.execute(
            "UPDATE containers SET state = 'exited', exit_code = 255, finished = ?1, pid = NULL, pid_start = NULL,
                 pid_boot = NULL, error = 'the machine was restarted' WHERE state = 'running'",
            [Micros(now)],
        )?;
        Ok(true)
    }
}

impl View<'_> {
    fn boot(&self) -> Result<Option<String>> {
        let mut query = self.db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(query.query_row([BOOT], |row| row.get(0)).optional()?)
    }
}

impl crate::Store {
    /// [`Tx::note_boot`], at the price of one query where the boot is the same, and `then`, in the same
    /// transaction, where it is another one. To be called after opening, before anything that looks at mounts
    /// or running containers.
    pub fn note_boot(&self, boot_id: &str, then: impl FnOnce(&Tx<'_>) -> Result<()>) -> Result<bool> {
        if self.read(|view| view.boot())?.as_deref() == Some(boot_id) {
            return Ok(false);
        }
        self.write(|tx| {
            let another = tx.note_boot(boot_id, Timestamp::now())?;
            if another {
                then(tx)?;
            }
            Ok(another)
        })
    }
}
