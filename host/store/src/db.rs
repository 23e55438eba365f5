//! The database: opening, transactions, waiting for others.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::paths::make_dir;
use crate::{Content, Error, Owner, Paths, Result};

/// The schema's steps: the database has version n when the first n were run. Steps are only ever added.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("schema-2.sql")];
const KNOWN: i64 = MIGRATIONS.len() as i64;

/// `nacr`: tells file(1), and this nacre, whose database it is.
const APPLICATION_ID: i64 = 0x6e61_6372;

/// How long one waits for another process's transaction.
pub(crate) const BUSY: Duration = Duration::from_secs(10);

/// How many idle connections are kept.
const IDLE: usize = 4;

/// A storage root, open.
///
/// Each call borrows a connection of its own, so threads do not wait for each other's reads.
#[derive(Debug)]
pub struct Store {
    paths: Paths,
    content: Content,
    idle: Mutex<Vec<Connection>>,
    read_only: bool,
    pub(crate) owner: Mutex<Option<Arc<Owner>>>,
}

/// The records, as they were at one moment. Its queries are in the file of their subject.
#[derive(Debug, Clone, Copy)]
pub struct View<'c> {
    pub(crate) db: &'c Connection,
}

/// A transaction: everything in it happens, or nothing. It reads as a [`View`] does, its own changes
/// included.
#[derive(Debug)]
pub struct Tx<'c> {
    view: View<'c>,
}

impl<'c> Deref for Tx<'c> {
    type Target = View<'c>;

    fn deref(&self) -> &View<'c> {
        &self.view
    }
}

impl Store {
    /// Open a root. A new one gets an empty database, one of an older version is brought up to date. On a file
    /// system that is read-only the records can be read, and a change is [`Error::ReadOnly`].
    ///
    /// # Errors
    /// [`Error::SchemaTooNew`], [`Error::Damaged`], [`Error::Permission`], [`Error::ReadOnly`],
    /// [`Error::DiskFull`], [`Error::Busy`].
    pub fn open(paths: Paths) -> Result<Self> {
        let path = paths.database();
        let connection = match connect(&path).and_then(|db| Ok((version(&db, &path)?, db))) {
            Ok((KNOWN, db)) => db,
            Ok(_) => prepare(&paths)?,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => prepare(&paths)?,
            Err(other) => return Err(other),
        };
        let content = Content::new(paths.content());
        let read_only = connection.is_readonly(rusqlite::MAIN_DB)?;
        Ok(Self { paths, content, idle: Mutex::new(vec![connection]), read_only, owner: Mutex::new(None) })
    }

    /// Whether the records can only be read.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Where everything is.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The blobs.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Look at the records as they are at one moment.
    pub fn read<T>(&self, work: impl FnOnce(&View<'_>) -> Result<T>) -> Result<T> {
        self.with_connection(|db| {
            // Dropped, it rolls back, which ends a reading transaction as well as a commit.
            let reading = db.unchecked_transaction()?;
            work(&View { db: &reading })
        })
    }

    /// Change the records. It is there for everybody when this returns; a power cut may undo it.
    pub fn write<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        self.with_connection(|db| transact(db, work))
    }

    /// Change the records. When this returns, it survives a power cut, with everything written before.
    pub fn durable<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        self.with_connection(|db| {
            db.execute_batch("PRAGMA synchronous = FULL")?;
            let outcome = transact(db, work);
            db.execute_batch("PRAGMA synchronous = NORMAL")?;
            outcome
        })
    }

    fn with_connection<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let path = self.paths.database();
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&path)?,
        };
        let outcome = work(&connection).map_err(|e| e.at(&path));
        let mut idle = self.idle();
        if idle.len() < IDLE && connection.is_autocommit() {
            idle.push(connection);
        }
        outcome
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn transact<T>(db: &Connection, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
    // IMMEDIATE: a transaction that reads before it writes could otherwise fail half-way, without a wait.
    let transaction = rusqlite::Transaction::new_unchecked(db, rusqlite::TransactionBehavior::Immediate)?;
    let value = work(&Tx { view: View { db: &transaction } })?;
    transaction.commit()?;
    Ok(value)
}

/// Open the database as it is.
fn connect(path: &Path) -> Result<Connection> {
    let connect = |name: &OsStr, flags: OpenFlags| -> rusqlite::Result<Connection> {
        let mut db = Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        db.busy_handler(Some(wait_for_others()))?;
        // A command that ends would otherwise pay for writing the log back, with two syncs.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        db.set_prepared_statement_cache_capacity(64);
        db.execute_batch(
            "PRAGMA foreign_keys = ON;
             PRAGMA synchronous = NORMAL;
             PRAGMA mmap_size = 67108864;
             PRAGMA wal_autocheckpoint = 256;
             PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF;",
        )?;
        Ok(db)
    };
    let readable = OpenFlags::SQLITE_OPEN_READ_ONLY;
    // SQLite's own message for a missing file, or one that may not be read, does not say which it was.
    // To open it here would not do: closing a file drops this process's fcntl locks on it, SQLite's too.
    let db = match rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => connect(path.as_os_str(), OpenFlags::SQLITE_OPEN_READ_WRITE),
        // Without a log there is nothing but the database, which nobody can change here.
        Err(Errno::ROFS) if fs::metadata(beside(path, "-wal")).map_or(0, |log| log.len()) == 0 => {
            connect(&immutable(path), readable | OpenFlags::SQLITE_OPEN_URI)
        }
        Err(Errno::ROFS) => connect(path.as_os_str(), readable),
        Err(e) => return Err(Error::io("open", path, e)),
    };
    db.map_err(|e| Error::from(e).at(path))
}

/// A file that SQLite keeps beside the database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The URI by which SQLite opens a file without locks and without a log (sqlite.org/uri.html).
fn immutable(path: &Path) -> OsString {
    let mut uri = OsString::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte).to_string());
            }
            _ => uri.push(format!("%{byte:02x}")),
        }
    }
    uri.push("?immutable=1");
    uri
}

/// The schema's version; a database of somebody else, or of a later nacre, is refused.
fn version(db: &Connection, path: &Path) -> Result<i64> {
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let read = || Ok((pragma("user_version")?, pragma("application_id")?));
    let (found, application) = read().map_err(|e| Error::Sqlite(e).at(path))?;
    if application != APPLICATION_ID && (application, found) != (0, 0) {
        let detail = "it is another program's database".to_owned();
        return Err(Error::Damaged { path: path.to_owned(), detail });
    }
    if found > KNOWN {
        return Err(Error::SchemaTooNew { path: path.to_owned(), found, known: KNOWN });
    }
    Ok(found)
}

/// Make the database, or bring it up to date. One process does it, the others wait.
fn prepare(paths: &Paths) -> Result<Connection> {
    let path = paths.database();
    let root = File::open(&paths.root).map_err(|e| Error::io("open", &paths.root, e))?;
    rustix::fs::flock(&root, FlockOperation::LockExclusive).map_err(|e| Error::io("lock", &paths.root, e))?;
    make_dir(&paths.content(), 0o700)?;
    for part in ["sha256", "tmp"] {
        make_dir(&paths.content().join(part), 0o700)?;
    }
    // SQLite would make it readable for all. Its log and index take the mode from it.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(e) => return Err(Error::io("make", &path, e)),
    }
    let db = connect(&path)?;
    let found = version(&db, &path)?;
    migrate(&db, found).map_err(|e| e.at(&path))?;
    for dir in [paths.content(), paths.root.clone()] {
        sync_dir(&dir)?;
    }
    Ok(db)
}

fn migrate(db: &Connection, found: i64) -> Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.execute_batch("PRAGMA synchronous = FULL")?;
    let known = MIGRATIONS.iter().zip(1i64..);
    for (step, version) in known.filter(|(_, version)| *version > found) {
        transact(db, |tx| {
            tx.db.execute_batch(step)?;
            tx.db.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.db.pragma_update(None, "user_version", version)?;
            Ok(())
        })?;
    }
    db.execute_batch("PRAGMA synchronous = NORMAL")?;
    Ok(())
}

/// Make the names in a directory survive a power cut.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| Error::io("sync", path, e))
}

/// SQLite asks after each failed try. Waits grow to some 25 ms and differ, so that those who wait do not
/// come back all at once.
fn wait_for_others() -> impl FnMut(i32) -> bool + Send + 'static {
    let mut since = Instant::now();
    move |tries| {
        if tries == 0 {
            since = Instant::now();
        }
        let mut random = [0; 2];
        // Without random bytes the waits are only less different.
        let _ = getrandom::fill(&mut random);
        let longest = 200u64 << tries.clamp(0, 7);
        let wait = longest / 4 + longest * u64::from(u16::from_le_bytes(random)) / u64::from(u16::MAX);
        let goes_on = since.elapsed() < BUSY;
        if goes_on {
            std::thread::sleep(Duration::from_micros(wait));
        }
        goes_on
    }
}
