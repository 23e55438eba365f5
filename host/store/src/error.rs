use std::io;
use std::path::{Path, PathBuf};

use nacre_archive::digest::{ChainId, Digest, ImageId};
use rusqlite::ffi;

use crate::{ContainerId, Kind, LayerId};

/// What a call of this room returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing has this name, ID or ID prefix.
    #[error("no such {kind}: {name}")]
    NotFound {
        /// What was looked for.
        kind: Kind,
        /// As it was asked for.
        name: String,
    },
    /// An ID prefix that several things have.
    #[error("{kind} ID prefix {name} is ambiguous: {}", candidates.join(", "))]
    Ambiguous {
        /// What was looked for.
        kind: Kind,
        /// As it was asked for.
        name: String,
        /// The full IDs that begin so: the first few.
        candidates: Vec<String>,
    },
    /// The layers that something was made on went; others may have come in their place.
    #[error("the image {image} was removed while something was made on it")]
    LayersChanged {
        /// The image, as the user named it.
        image: String,
    },
    /// Another component took the place of the one that planned this.
    #[error("the component of {name} was replaced meanwhile")]
    ComponentChanged {
        /// Its name.
        name: String,
    },
    /// Something was mounted while its driver's component was about to be replaced.
    #[error("something was mounted by {name} meanwhile")]
    MountsChanged {
        /// The driver.
        name: String,
    },
    /// A container of this name exists.
    #[error("the name {name} is in use by container {}", by.short())]
    NameInUse {
        /// The name.
        name: String,
        /// The container that has it.
        by: ContainerId,
    },
    /// Not `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, or longer than 128.
    #[error(
        "container name {name:?} is not valid: letters, digits, `_`, `.` and `-`, \
         a letter or digit first, at most 128"
    )]
    InvalidName {
        /// The name.
        name: String,
    },
    /// Not 64 lower-case hexadecimal digits.
    #[error("{text:?} is not an ID: 64 lower-case hexadecimal digits are needed")]
    InvalidId {
        /// What was given.
        text: String,
    },
    /// Containers stand on the image.
    #[error("image {} is used by {}", image.short(), names(containers))]
    ImageInUse {
        /// The image.
        image: ImageId,
        /// Names of the containers.
        containers: Vec<String>,
    },
    /// Something needs the layer.
    #[error("layer {} of driver {driver} is needed by {by}", layer.short())]
    LayerInUse {
        /// The driver that holds it.
        driver: String,
        /// The layer.
        layer: ChainId,
        /// One of those that need it, in words.
        by: String,
    },
    /// A layer that a record to be written stands on is not (or no longer) there. Load it again.
    #[error("layer {} is not there in driver {driver}", layer.short())]
    LayerMissing {
        /// The driver that was to hold it.
        driver: String,
        /// The layer.
        layer: ChainId,
    },
    /// The layer was committed by somebody else in the meantime: share that one.
    #[error("layer {} is already committed in driver {driver}", layer.short())]
    LayerExists {
        /// The driver that holds it.
        driver: String,
        /// The layer.
        layer: ChainId,
    },
    /// The container's process is alive.
    #[error("container {} is running", container.short())]
    Running {
        /// The container.
        container: ContainerId,
    },
    /// The layer is mounted and was to be changed as if it were not.
    #[error("layer {dir} is mounted for {}", holders.join(", "))]
    Mounted {
        /// The layer's directory.
        dir: LayerId,
        /// Those it is mounted for.
        holders: Vec<String>,
    },
    /// A journal entry that is not this process's: somebody else recovered it.
    #[error("journal entry {id} is not this process's to finish")]
    NotOwned {
        /// The entry.
        id: i64,
    },
    /// A blob that a record names is not there.
    #[error("content {digest} is missing")]
    BlobMissing {
        /// Its digest.
        digest: Digest,
    },
    /// A blob has other bytes than its name says.
    #[error("content {digest} is damaged: {} hashes to {found}", path.display())]
    BlobDamaged {
        /// Its name.
        digest: Digest,
        /// What its bytes hash to.
        found: Digest,
        /// The file.
        path: PathBuf,
    },
    /// Bytes that were to have a known digest have another one.
    #[error("expected {expected}, the content hashes to {found}")]
    WrongDigest {
        /// What they were said to have.
        expected: Digest,
        /// What they have.
        found: Digest,
    },
    /// The root was written by a later version.
    #[error(
        "{} has schema {found}, and this nacre knows schemas up to {known}: use the nacre that wrote it, or a newer one",
        path.display()
    )]
    SchemaTooNew {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest version known here.
        known: i64,
    },
    /// The file is not nacre's database, or is damaged.
    #[error("{} is not a sound nacre database: {detail}; restore it from a backup, or move the root away and load the images again", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The database holds a value that nothing writes there.
    #[error("the database holds a value that cannot be understood: {detail}")]
    BadRecord {
        /// Column and value.
        detail: String,
    },
    /// This user may not use the root.
    #[error("no permission to {op} {}", path.display())]
    Permission {
        /// What was attempted.
        op: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// The root is on a read-only file system.
    #[error("{} is on a read-only file system: name another root with --root", path.display())]
    ReadOnly {
        /// The file or directory.
        path: PathBuf,
    },
    /// No space is left. Nothing was changed.
    #[error("no space left on the file system of {}", path.display())]
    DiskFull {
        /// The file or directory.
        path: PathBuf,
    },
    /// Another process kept the database locked for as long as one waits.
    #[error("{} was locked by another process for {seconds} s", path.display())]
    Busy {
        /// The database.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// A file operation failed.
    #[error("cannot {op} {}", path.display())]
    Io {
        /// What was attempted, as a verb.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A lock could not be taken.
    #[error(transparent)]
    Sys(nacre_sys::Error),
    /// JSON of the engine could not be written or read.
    #[error("a record's JSON cannot be used")]
    Json(#[from] serde_json::Error),
    /// SQLite failed in a way that none of the others names.
    #[error("database")]
    Sqlite(#[source] rusqlite::Error),
}

fn names(containers: &[String]) -> String {
    let word = if containers.len() == 1 { "container" } else { "containers" };
    format!("{word} {}", containers.join(", "))
}

impl Error {
    /// A failed file operation, as the case that says what to do about it.
    pub(crate) fn io(op: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.as_ref().to_owned(), source.into());
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission { op, path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { op, path, source },
        }
    }

    /// Add the database's path to what SQLite said without one.
    pub(crate) fn at(self, path: &Path) -> Self {
        let Self::Sqlite(error) = self else { return self };
        let Some(raw) = error.sqlite_error() else { return Self::Sqlite(error) };
        let path = path.to_owned();
        match (raw.code, raw.extended_code) {
            (ffi::ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => Self::DiskFull { path },
            (ffi::ErrorCode::DatabaseBusy | ffi::ErrorCode::DatabaseLocked, _) => {
                Self::Busy { path, seconds: crate::db::BUSY.as_secs() }
            }
            (ffi::ErrorCode::NotADatabase | ffi::ErrorCode::DatabaseCorrupt, _) => {
                Self::Damaged { path, detail: error.to_string() }
            }
            (ffi::ErrorCode::PermissionDenied, _) => Self::Permission { op: "open", path },
            (ffi::ErrorCode::ReadOnly, _) => Self::ReadOnly { path },
            _ => Self::Sqlite(error),
        }
    }

    /// No space was left for what was to be written.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => Self::BadRecord { detail: error.to_string() },
            _ => Self::Sqlite(error),
        }
    }
}

impl From<nacre_sys::Error> for Error {
    fn from(error: nacre_sys::Error) -> Self {
        match error {
            nacre_sys::Error::Io { op, path, source } => Self::io(op, path, source),
            other => Self::Sys(other),
        }
    }
}
