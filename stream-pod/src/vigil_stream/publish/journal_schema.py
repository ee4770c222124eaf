"""The tables of the journal's file, also of those that earlier versions wrote."""

import sqlite3
from typing import Final

MAX_WAL_PAGES: Final = 4096
"""16 MiB, an hour of a camera: when the checkpoints beside the analysis fail for so long, a writer makes one."""

_SCHEMA_VERSION = 1
# `outbox` is the first version's name of the table of waiting events; it stays, for the files that are there.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    sighting_id TEXT NOT NULL,
    state TEXT NOT NULL,
    size INTEGER NOT NULL,
    body BLOB NOT NULL,
    kind TEXT NOT NULL DEFAULT 'sighting',
    position INTEGER
);
CREATE INDEX IF NOT EXISTS outbox_state ON outbox (state);
CREATE TABLE IF NOT EXISTS open_sightings (sighting_id TEXT PRIMARY KEY, last TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS set_aside (sighting_id TEXT, last TEXT, reason TEXT);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (epoch TEXT NOT NULL, last INTEGER NOT NULL);
INSERT INTO positions SELECT lower(hex(randomblob(8))), 0 WHERE NOT EXISTS (SELECT 1 FROM positions);
"""
_ADD_KIND = "ALTER TABLE outbox ADD COLUMN kind TEXT NOT NULL DEFAULT 'sighting'"
"""For a file of a version that knew sightings only; that version still reads the file."""
_ADD_POSITION = "ALTER TABLE outbox ADD COLUMN position INTEGER"
"""For a file of a version that did not number sighting events; those that wait in it have no position."""


def set_up(db: sqlite3.Connection) -> None:
    """Prepare a connection and its file; raise sqlite3.DatabaseError when the file cannot be used."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute(f"PRAGMA wal_autocheckpoint = {MAX_WAL_PAGES}")
    db.execute("PRAGMA cache_size = -512")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version not in {0, _SCHEMA_VERSION}:
        msg = f"it was written by a later version of Vigil (schema {version})"
        raise sqlite3.DatabaseError(msg)
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        damaged = sqlite3.DatabaseError(found)
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged
    db.executescript(_SCHEMA)
    columns = {name for _, name, *_ in db.execute("PRAGMA table_info(outbox)")}
    if "kind" not in columns:
        db.execute(_ADD_KIND)
    if "position" not in columns:
        db.execute(_ADD_POSITION)
    if version != _SCHEMA_VERSION:
        # Only then: a full disk must not keep the camera from starting.
        db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
