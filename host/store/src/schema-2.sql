-- Version 2: components that were installed.

CREATE TABLE components (
    name      TEXT PRIMARY KEY,
    version   TEXT NOT NULL,
    digest    TEXT NOT NULL,                -- of the file `components/<hex>.wasm`
    roles     TEXT NOT NULL,                -- JSON, an array of names
    grants    TEXT NOT NULL,                -- JSON, an array of names: what it may do, which may be less than it asks for
    size      INTEGER NOT NULL,
    installed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a recovery has to know is the plan, and nobody asks for all that one holder holds.
ALTER TABLE journal DROP COLUMN detail;
DROP INDEX mount_holders_by_holder;
