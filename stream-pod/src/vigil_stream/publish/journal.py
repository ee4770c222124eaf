"""The journal on disk: events that the bus has not acknowledged, sightings that are open, and counters.

One SQLite file. An event, the state of its sighting and the counters change in one transaction, before anything is
sent; so after kill -9 at any moment nothing is lost, and nothing is counted twice.

Written in WAL mode with synchronous=NORMAL: a transaction is in the operating system's hands when it returns, so the
death of the process loses nothing; only a power failure may take the last transactions (never damage the file). The
checkpoints, which wait for the disk, are made on a connection of their own and outside of the analysis, with or without
a bus.

Unreadable data is never deleted and never keeps the camera from starting: a row is set aside in a table of its own, a
damaged file under another name, and the log names the loss.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vigil_contracts.bus import MessageKind, Position
from vigil_contracts.events import Sighting, SightingState
from vigil_stream.publish.event import OutgoingEvent
from vigil_stream.publish.journal_schema import set_up

log = logging.getLogger(__name__)

FILE_NAME = "journal.sqlite"
DAMAGED_NAME = "journal.damaged.sqlite"
"""Name of a damaged file that was set aside; it replaces the one before."""

CHECKPOINT_S = 30.0

_MAX_SET_ASIDE = 100
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_EXPENDABLE, _KEPT = "Updated", "Kept"
"""Values of the column `state`: earlier versions wrote a sighting's state, and drop what is Updated first, too."""

_COUNT = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"

_OLDEST_EXPENDABLE = "SELECT seq, size FROM outbox WHERE state = 'Updated' ORDER BY seq LIMIT 1"
_OLDEST = "SELECT seq, size FROM outbox ORDER BY seq LIMIT 1"
# Events of a kind that only a later version knows wait for that version.
_KINDS = ", ".join("?" for _ in MessageKind)
_BATCH = (
    f"SELECT seq, event_id, body, kind, position FROM outbox WHERE seq > ? AND kind IN ({_KINDS}) ORDER BY seq LIMIT ?"  # noqa: S608 - a constant
)


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
        By which JetStream recognises duplicates.
    body
        The CloudEvent.
    kind
        Selects the subject.
    position
        Of a sighting event.
    """

    seq: int
    event_id: str
    body: bytes
    kind: MessageKind
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait.

    Attributes
    ----------
    max_bytes, max_events
        When there is more, the oldest expendable events go first (a later event holds all their data), then the
        oldest.
    """

    max_bytes: int = 256 << 20
    max_events: int = 50_000


class Journal:
    """The journal of one camera; its methods may be called from several threads.

    Parameters
    ----------
    folder
        Holds the file; created when it is missing.
    limits
        How much may wait.
    """

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self._path = folder / FILE_NAME
        self._limits = limits if limits is not None else Limits()
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = self._open()
        except (OSError, sqlite3.Error) as error:
            remedy = "make it writable, with some free space, or name another"
            msg = f"the state folder {folder} cannot be used ({error}); {remedy}"
            raise JournalError(msg) from error
        self._pending, self._pending_bytes = self._measure()
        (self.epoch,) = self._db.execute("SELECT epoch FROM positions").fetchone()

    def _open(self) -> sqlite3.Connection:
        """Open the file; set a damaged one aside and create a new one."""
        try:
            return self._open_once()
        except sqlite3.DatabaseError as error:
            # Extended codes hold the primary one in their lowest byte.
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGE:
                raise
            aside = self._path.with_name(DAMAGED_NAME)
            for suffix in ("", "-wal", "-shm"):
                aside.with_name(aside.name + suffix).unlink(missing_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    self._path.with_name(FILE_NAME + suffix).rename(aside.with_name(aside.name + suffix))
            fields = {"file": str(self._path), "reason": str(error), "moved_to": str(aside)}
            lost = "waiting events, open sightings and all counters are lost"
            log.critical("journal damaged and replaced; %s", lost, extra={"fields": fields})
            return self._open_once()

    def _open_once(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=5, check_same_thread=False, isolation_level=None)
        try:
            set_up(db)
        except BaseException:
            db.close()
            raise
        return db

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

    def record(self, events: Sequence[tuple[OutgoingEvent, bytes]], *, counts: dict[str, int] | None = None) -> int:
        """Write events, all or none.

        Parameters
        ----------
        events
            Each with its CloudEvent.
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
        with self._transaction("events"):
            for event, body in events:
                self._insert(event, body)
                if event.sighting is not None:
                    self._keep_open(event.sighting)
            dropped = self._make_room()
            new = {"events_created": len(events), "events_dropped": dropped, **(counts or {})}
            self._db.executemany(_COUNT, [(name, value) for name, value in new.items() if value])
        return dropped

    @contextlib.contextmanager
    def _transaction(self, what: str) -> Iterator[None]:
        """Write all or nothing; raise JournalError when nothing was written."""
        with self._lock:
            before = self._pending, self._pending_bytes
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException as error:
                self._rollback()
                self._pending, self._pending_bytes = before
                if not isinstance(error, sqlite3.Error):
                    raise
                remedy = "free space on that disk, and check it for errors"
                msg = f"{what} cannot be written to {self._path} ({error}); {remedy}"
                raise JournalError(msg) from error

    def _read(self, question: str, *values: int | str) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(question, values).fetchall()
            except sqlite3.Error as error:
                msg = f"{self._path} cannot be read ({error}); check that disk for errors"
                raise JournalError(msg) from error

    def _insert(self, event: OutgoingEvent, body: bytes) -> None:
        # No version reads the column `sighting_id`.
        sighting_id = str(event.sighting.sighting_id) if event.sighting is not None else ""
        state = _EXPENDABLE if event.expendable else _KEPT
        position = None
        if event.kind is MessageKind.SIGHTING:
            self._db.execute("UPDATE positions SET last = last + 1")
            (position,) = self._db.execute("SELECT last FROM positions").fetchone()
        self._db.execute(
            "INSERT INTO outbox (event_id, sighting_id, state, size, body, kind, position)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (event.event_id, sighting_id, state, len(body), body, event.kind.value, position),
        )
        self._pending += 1
        self._pending_bytes += len(body)

    def _keep_open(self, sighting: Sighting) -> None:
        """Keep the revision as the last of its sighting, until the sighting is closed."""
        sighting_id = str(sighting.sighting_id)
        if sighting.state is SightingState.CLOSED:
            self._db.execute("DELETE FROM open_sightings WHERE sighting_id = ?", (sighting_id,))
        else:
            last = sighting.model_dump_json(by_alias=True, exclude_none=True)
            self._db.execute("INSERT OR REPLACE INTO open_sightings VALUES (?, ?)", (sighting_id, last))

    def _make_room(self) -> int:
        dropped = 0
        while self._pending > self._limits.max_events or self._pending_bytes > self._limits.max_bytes:
            row = self._db.execute(_OLDEST_EXPENDABLE).fetchone() or self._db.execute(_OLDEST).fetchone()
            if row is None:
                break
            self._db.execute("DELETE FROM outbox WHERE seq = ?", (row[0],))
            self._pending -= 1
            self._pending_bytes -= row[1]
            dropped += 1
        return dropped

    def _rollback(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def next_batch(self, after: int, limit: int) -> list[Entry]:
        """Return waiting events in order.

        Parameters
        ----------
        after
            Only those with a greater `seq`.
        limit
            At most so many.
        """
        rows = self._read(_BATCH, after, *MessageKind, limit)
        return [
            Entry(seq, event_id, body, MessageKind(kind), Position(self.epoch, number) if number else None)
            for seq, event_id, body, kind, number in rows
        ]

    def acknowledged(self, seqs: Sequence[int]) -> None:
        """Remove events that the bus has; one that was dropped while under way no longer counts as dropped.

        Raises
        ------
        JournalError
            Nothing was written: they will be sent again, which their ids make harmless.
        """
        with self._transaction("acknowledgements"):
            removed = size = 0
            for seq in seqs:
                # Read to the end: a statement that was read in part would keep the transaction open.
                for row in self._db.execute("DELETE FROM outbox WHERE seq = ? RETURNING size", (seq,)).fetchall():
                    removed += 1
                    size += row[0]
            self._db.execute(_COUNT, ("events_published", len(seqs)))
            if removed < len(seqs):
                self._db.execute(_COUNT, ("events_dropped", removed - len(seqs)))
            self._pending -= removed
            self._pending_bytes -= size

    def open_sightings(self) -> list[Sighting]:
        """Return the last revision of each sighting that was not closed; at the start these are orphans.

        A row that cannot be read is set aside and logged.
        """
        found = []
        for sighting_id, last in self._read("SELECT sighting_id, last FROM open_sightings ORDER BY sighting_id"):
            try:
                found.append(Sighting.model_validate_json(last))
            except ValidationError as error:
                self._set_aside(sighting_id, last, f"{error.error_count()} errors, first: {error.errors()[0]['msg']}")
        return found

    def _set_aside(self, sighting_id: str, last: str, reason: str) -> None:
        fields = {"file": str(self._path), "table": "set_aside", "reason": reason}
        log.error("open sighting %s is unreadable and will never be closed", sighting_id, extra={"fields": fields})
        try:
            with self._transaction("unreadable rows"):
                self._db.execute("INSERT INTO set_aside VALUES (?, ?, ?)", (sighting_id, last, reason))
                self._db.execute("DELETE FROM open_sightings WHERE sighting_id = ?", (sighting_id,))
                newest = "SELECT rowid FROM set_aside ORDER BY rowid DESC LIMIT ?"
                self._db.execute(f"DELETE FROM set_aside WHERE rowid NOT IN ({newest})", (_MAX_SET_ASIDE,))  # noqa: S608 - a constant
        except JournalError as error:
            # The row is found again at the next start.
            log.warning("unreadable row not set aside", extra={"fields": {"reason": str(error)}})

    def count(self, counts: dict[str, int]) -> None:
        """Add to counters; raise JournalError when nothing was written."""
        with self._transaction("counters"):
            self._db.executemany(_COUNT, list(counts.items()))

    def counters(self) -> dict[str, int]:
        """Return all counters; raise JournalError when they cannot be read."""
        return dict(self._read("SELECT name, value FROM counters"))

    def checkpoint(self) -> None:
        """Move the write-ahead log into the main file; waits for the disk, so not on the analysis thread."""
        db = sqlite3.connect(self._path, timeout=1, isolation_level=None)
        try:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            db.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


async def keep_small(journal: Journal, every_s: float = CHECKPOINT_S) -> None:
    """Make checkpoints until cancelled, so that the write-ahead log does not grow without bound."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await asyncio.to_thread(journal.checkpoint)
        except (sqlite3.Error, OSError) as error:
            fields = {"retry_in_s": every_s, "reason": str(error)}
            log.warning("journal not checkpointed", extra={"fields": fields})
