"""The journal on disk: events that the bus has not acknowledged, sightings that are open, and counters.

One SQLite file. A revision, the state of its sighting and the counters change in one transaction, before anything is
sent; so after kill -9 at any moment nothing is lost, and nothing is counted twice.

Written in WAL mode with synchronous=NORMAL: a transaction is in the operating system's hands when it returns, so the
death of the process loses nothing; only a power failure may take the last transactions (never damage the file). The
checkpoints, which wait for the disk, are made on a connection of their own and outside of the analysis.
"""

import logging
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vigil_contracts.events import Sighting, SightingState

log = logging.getLogger(__name__)

FILE_NAME = "journal.sqlite"
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    sighting_id TEXT NOT NULL,
    state TEXT NOT NULL,
    size INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_state ON outbox (state);
CREATE TABLE IF NOT EXISTS open_sightings (sighting_id TEXT PRIMARY KEY, last TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_COUNT = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"

_OLDEST_UPDATED = "SELECT seq, size FROM outbox WHERE state = 'Updated' ORDER BY seq LIMIT 1"
_OLDEST = "SELECT seq, size FROM outbox ORDER BY seq LIMIT 1"


class JournalError(Exception):
    """The journal cannot be written or read; the message names the file and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that waits for the bus's acknowledgement.

    Attributes
    ----------
    seq
        Its place in the order of events.
    event_id
        What JetStream tells duplicates by.
    body
        The CloudEvent.
    """

    seq: int
    event_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait.

    Attributes
    ----------
    max_bytes, max_events
        When there is more, the oldest Updated events go first (a later revision tells all that they do), then the
        oldest.
    """

    max_bytes: int = 256 << 20
    max_events: int = 50_000


class Journal:
    """The journal of one camera; its methods may be called from several threads.

    Parameters
    ----------
    folder
        Where the file lies; made when it is not there.
    limits
        How much may wait.
    """

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self._path = folder / FILE_NAME
        self._limits = limits if limits is not None else Limits()
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = self._connect()
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            remedy = "make it writable, with some free space, or name another"
            msg = f"the state folder {folder} cannot be used ({error}); {remedy}"
            raise JournalError(msg) from error
        self._pending, self._pending_bytes = self._measure()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=5, check_same_thread=False, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("PRAGMA cache_size = -512")
        return db

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in {0, _SCHEMA_VERSION}:
            msg = f"it was written by a later version of Vigil (schema {version})"
            raise sqlite3.DatabaseError(msg)
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def _measure(self) -> tuple[int, int]:
        count, size = self._db.execute("SELECT count(*), coalesce(sum(size), 0) FROM outbox").fetchone()
        return count, size

    @property
    def pending(self) -> int:
        """Events that wait for the bus."""
        return self._pending

    @property
    def pending_bytes(self) -> int:
        """Their bytes."""
        return self._pending_bytes

    def record(self, events: Sequence[tuple[Sighting, bytes]], *, counts: dict[str, int] | None = None) -> int:
        """Write revisions with their encoded events, all or none.

        Parameters
        ----------
        events
            Each revision with its CloudEvent.
        counts
            Counters to add to in the same transaction.

        Returns
        -------
        Events that had to be dropped to make room.

        Raises
        ------
        JournalError
            The disk is full or broken; nothing was written.
        """
        with self._lock:
            try:
                return self._record(events, counts or {})
            except sqlite3.Error as error:
                self._rollback()
                self._pending, self._pending_bytes = self._measure_safely()
                msg = f"events cannot be written to {self._path} ({error}); free space on that disk"
                raise JournalError(msg) from error

    def _record(self, events: Sequence[tuple[Sighting, bytes]], counts: dict[str, int]) -> int:
        self._db.execute("BEGIN IMMEDIATE")
        for sighting, body in events:
            self._insert(sighting, body)
        dropped = self._make_room()
        new = {"events_created": len(events), "events_dropped": dropped, **counts}
        self._db.executemany(_COUNT, [(name, value) for name, value in new.items() if value])
        self._db.execute("COMMIT")
        return dropped

    def _insert(self, sighting: Sighting, body: bytes) -> None:
        sighting_id = str(sighting.sighting_id)
        self._db.execute(
            "INSERT INTO outbox (event_id, sighting_id, state, size, body) VALUES (?, ?, ?, ?, ?)",
            (sighting.event_id, sighting_id, sighting.state.value, len(body), body),
        )
        self._pending += 1
        self._pending_bytes += len(body)
        if sighting.state is SightingState.CLOSED:
            self._db.execute("DELETE FROM open_sightings WHERE sighting_id = ?", (sighting_id,))
        else:
            last = sighting.model_dump_json(by_alias=True, exclude_none=True)
            self._db.execute("INSERT OR REPLACE INTO open_sightings VALUES (?, ?)", (sighting_id, last))

    def _make_room(self) -> int:
        dropped = 0
        while self._pending > self._limits.max_events or self._pending_bytes > self._limits.max_bytes:
            row = self._db.execute(_OLDEST_UPDATED).fetchone() or self._db.execute(_OLDEST).fetchone()
            if row is None:
                break
            self._db.execute("DELETE FROM outbox WHERE seq = ?", (row[0],))
            self._pending -= 1
            self._pending_bytes -= row[1]
            dropped += 1
        return dropped

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _measure_safely(self) -> tuple[int, int]:
        try:
            return self._measure()
        except sqlite3.Error:
            return self._pending, self._pending_bytes

    def next_batch(self, after: int, limit: int) -> list[Entry]:
        """Give waiting events in order.

        Parameters
        ----------
        after
            Only those with a greater `seq`.
        limit
            At most so many.
        """
        with self._lock:
            rows = self._db.execute(
                "SELECT seq, event_id, body FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
            ).fetchall()
        return [Entry(*row) for row in rows]

    def acknowledged(self, seqs: Sequence[int]) -> None:
        """Forget events that the bus has. One that was dropped while it was under way has arrived after all."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            removed = size = 0
            for seq in seqs:
                row = self._db.execute("DELETE FROM outbox WHERE seq = ? RETURNING size", (seq,)).fetchone()
                if row is not None:
                    removed += 1
                    size += row[0]
            self._db.execute(_COUNT, ("events_published", len(seqs)))
            if removed < len(seqs):
                self._db.execute(_COUNT, ("events_dropped", removed - len(seqs)))
            self._db.execute("COMMIT")
            self._pending -= removed
            self._pending_bytes -= size

    def open_sightings(self) -> list[Sighting]:
        """Give the last revision of each sighting that was not closed; at the start these are orphans."""
        with self._lock:
            rows = self._db.execute("SELECT last FROM open_sightings ORDER BY sighting_id").fetchall()
        return [Sighting.model_validate_json(last) for (last,) in rows]

    def count(self, counts: dict[str, int]) -> None:
        """Add to counters."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(_COUNT, list(counts.items()))
            self._db.execute("COMMIT")

    def counters(self) -> dict[str, int]:
        """Give all counters."""
        with self._lock:
            return dict(self._db.execute("SELECT name, value FROM counters").fetchall())

    def checkpoint(self) -> None:
        """Move what was written into the main file; waits for the disk, so not on the analysis thread."""
        db = sqlite3.connect(self._path, timeout=1, isolation_level=None)
        try:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            db.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
