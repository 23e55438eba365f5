-- Version 1. Times are microseconds since the epoch, sizes are bytes, digests are `sha256:<hex>`.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Committed image layers. A row exists only when the data is complete and synced.
CREATE TABLE layers (
    driver       TEXT NOT NULL,
    chain_id     TEXT NOT NULL,
    diff_id      TEXT NOT NULL,
    parent_chain TEXT,
    dir          TEXT NOT NULL UNIQUE,      -- the layer-id in the driver's home
    size         INTEGER NOT NULL,          -- bytes of file content
    raw_size     INTEGER NOT NULL,          -- bytes of the uncompressed tar
    entries      INTEGER NOT NULL,
    framing      TEXT,                      -- content: what of the tar the files do not tell
    created      INTEGER NOT NULL,
    PRIMARY KEY (driver, chain_id),
    FOREIGN KEY (driver, parent_chain) REFERENCES layers (driver, chain_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX layers_by_parent ON layers (driver, parent_chain);
CREATE INDEX layers_by_diff ON layers (diff_id);

-- Which compressed blob unpacks to which layer. True for good; kept while a layer has that diff ID.
CREATE TABLE blob_diffs (
    blob    TEXT PRIMARY KEY,
    diff_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_diffs_by_diff ON blob_diffs (diff_id);

-- Layers that an operation under way counts on, before an image or a container needs them.
CREATE TABLE layer_holds (
    owner    TEXT NOT NULL,
    driver   TEXT NOT NULL,
    chain_id TEXT NOT NULL,
    PRIMARY KEY (owner, driver, chain_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE images (
    id           TEXT PRIMARY KEY,          -- content: the configuration
    created      INTEGER,
    architecture TEXT NOT NULL,
    os           TEXT NOT NULL,
    size         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE image_layers (
    image    TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,              -- 0 is the base
    diff_id  TEXT NOT NULL,
    chain_id TEXT NOT NULL,
    PRIMARY KEY (image, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_layers_by_chain ON image_layers (chain_id);

CREATE TABLE tags (
    reference TEXT PRIMARY KEY,
    image     TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_image ON tags (image);

CREATE TABLE containers (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    image        TEXT REFERENCES images (id),
    image_ref    TEXT NOT NULL,             -- as the user named it
    driver       TEXT NOT NULL,
    dir          TEXT NOT NULL UNIQUE,
    parent_chain TEXT,
    config       TEXT NOT NULL,             -- JSON
    created      INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('created', 'running', 'exited', 'dead')),
    pid          INTEGER,                   -- with the next two: one process for good
    pid_start    INTEGER,
    pid_boot     TEXT,
    started      INTEGER,
    finished     INTEGER,
    exit_code    INTEGER,
    error        TEXT,
    FOREIGN KEY (driver, parent_chain) REFERENCES layers (driver, chain_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX containers_by_image ON containers (image);
CREATE INDEX containers_by_parent ON containers (driver, parent_chain);
CREATE INDEX containers_by_created ON containers (created);

-- What is mounted, and for whom. Both are emptied by a reboot.
CREATE TABLE mounts (
    dir     TEXT PRIMARY KEY,
    driver  TEXT NOT NULL,
    target  BLOB NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE mount_holders (
    dir    TEXT NOT NULL REFERENCES mounts (dir) ON DELETE CASCADE,
    holder TEXT NOT NULL,
    PRIMARY KEY (dir, holder)
) STRICT, WITHOUT ROWID;
CREATE INDEX mount_holders_by_holder ON mount_holders (holder);

-- Plans that are being run. Larger ids are later; an id is never used again.
CREATE TABLE journal (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    owner     TEXT NOT NULL,
    driver    TEXT NOT NULL,
    op        TEXT NOT NULL,
    subject   TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('undo', 'redo')),
    plan      TEXT NOT NULL,                -- JSON
    detail    TEXT NOT NULL,                -- JSON
    started   INTEGER NOT NULL
) STRICT;

CREATE TABLE driver_state (
    driver TEXT NOT NULL,
    key    TEXT NOT NULL,
    value  BLOB NOT NULL,
    PRIMARY KEY (driver, key)
) STRICT, WITHOUT ROWID;
