"""The statements with which identity records sightings, inside its one transaction per batch."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vigil_contracts.ids import ResourceKey

Connection = Any
"""asyncpg's, which has no types."""

NOTIFY_CHANNEL: Final = "vigil_events"
"""Told at commit, so that the relay runs at once wherever it runs."""

_LOCK: Final = "SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key"
_CAMERAS: Final = """
    SELECT namespace, name, deleted_at, resource #>> '{spec,recognition,mode}' AS mode,
        (resource #>> '{spec,recognition,thresholdPermille}')::int AS threshold_permille
    FROM cameras WHERE (namespace, name) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
_CURRENT: Final = """
    SELECT id, opened_at, site, camera_namespace, camera_name, session_id, state, revision, last_seen_at, closed_at,
        close_reason, frames, box::text AS box, best_shot::text AS best_shot, identity, subject_id, subject_namespace,
        subject_name, subject_display_name, similarity, runner_up_similarity, threshold, margin, model_id, decided_at
    FROM sightings WHERE (opened_at, id) IN (SELECT * FROM unnest($1::timestamptz[], $2::uuid[]))
"""
_REVISIONS: Final = """
    SELECT sighting_id, revision FROM sighting_revisions
    WHERE (opened_at, sighting_id, revision) IN (SELECT * FROM unnest($1::timestamptz[], $2::uuid[], $3::int[]))
"""
_SUBJECTS: Final = """
    SELECT id, namespace, name, display_name, consent, active_from, active_until FROM subjects
    WHERE id = ANY($1::uuid[]) ORDER BY id FOR KEY SHARE
"""
_TAKE: Final = "UPDATE event_counter SET last = last + $1 RETURNING last, pg_notify($2, '')"
_INSERT_REVISION: Final = """
    INSERT INTO sighting_revisions (opened_at, sighting_id, revision, state, last_seen_at, frames, trace, superseded)
    VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8)
"""
_INSERT_EVENT: Final = """
    INSERT INTO events (seq, type, subject, sighting_id, sighting_opened_at, revision, payload)
    VALUES ($1, $2, $3, $4, $5, $6, jsonb_build_object('seq', $1::bigint) || $7::jsonb)
"""
_INSERT_REJECTED: Final = """
    INSERT INTO rejected_events (digest, subject, stream_seq, reason, message, waits_for, payload)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (digest) DO NOTHING
"""


def upsert(table: str, columns: Sequence[str], key: Sequence[str], jsonb: Collection[str] = ()) -> str:
    """Write the statement that inserts a row or replaces one of an earlier revision."""
    places = ", ".join(f"${n}{'::jsonb' if name in jsonb else ''}" for n, name in enumerate(columns, 1))
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns if name not in key)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes} WHERE {table}.revision < EXCLUDED.revision"
    )


SIGHTING_COLUMNS: Final = (
    *("opened_at", "id", "site", "camera_namespace", "camera_name", "session_id", "state", "revision", "last_seen_at"),
    *("closed_at", "close_reason", "frames", "box", "best_shot", "identity", "subject_id", "subject_namespace"),
    *("subject_name", "subject_display_name", "similarity", "runner_up_similarity", "threshold", "margin", "model_id"),
    *("decided_at", "last_seq"),
)
MATCH_COLUMNS: Final = (
    *("opened_at", "sighting_id", "revision", "identity", "subject_id", "runner_up_id", "similarity"),
    *("runner_up_similarity", "threshold", "margin", "model_id", "decided_at"),
)
_UPSERT_SIGHTING: Final = upsert("sightings", SIGHTING_COLUMNS, ("opened_at", "id"), {"box", "best_shot"})
_UPSERT_MATCH: Final = upsert("matches", MATCH_COLUMNS, ("opened_at", "sighting_id"))


@dataclass(frozen=True, slots=True)
class RevisionKey:
    """One revision of one sighting."""

    opened_at: dt.datetime
    sighting_id: uuid.UUID
    revision: int


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One event to publish.

    Attributes
    ----------
    type, subject
        Of the CloudEvent, and on the bus.
    payload
        The event's data in JSON, without its seq.
    revision
        The revision of a sighting that the event is of; None: of none.
    """

    type: str
    subject: str
    payload: str
    revision: RevisionKey | None = None


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One message that is set aside."""

    subject: str
    stream_seq: int | None
    reason: str
    message: str
    waits_for: str | None
    payload: bytes


async def lock(connection: Connection, sighting_ids: Collection[uuid.UUID]) -> None:
    """Keep other transactions away from these sightings, also from those that have no row yet, until the commit."""
    # Always in the same order, so that two batches cannot wait for each other.
    await connection.execute(_LOCK, sorted({(one.int & (1 << 63) - 1) - (1 << 62) for one in sighting_ids}))


async def cameras(connection: Connection, keys: Collection[ResourceKey]) -> Sequence[Any]:
    """Read what is registered of these cameras."""
    ordered = sorted(keys)
    rows: Sequence[Any] = await connection.fetch(
        _CAMERAS, [key.namespace for key in ordered], [key.name for key in ordered]
    )
    return rows


async def current(connection: Connection, keys: Collection[tuple[dt.datetime, uuid.UUID]]) -> Sequence[Any]:
    """Read the rows of these sightings."""
    rows: Sequence[Any] = await connection.fetch(_CURRENT, [at for at, _ in keys], [one for _, one in keys])
    return rows


async def known_revisions(connection: Connection, keys: Sequence[RevisionKey]) -> set[tuple[uuid.UUID, int]]:
    """Tell which of these revisions are recorded already."""
    rows = await connection.fetch(
        _REVISIONS, [key.opened_at for key in keys], [key.sighting_id for key in keys], [key.revision for key in keys]
    )
    return {(row["sighting_id"], row["revision"]) for row in rows}


async def subjects(connection: Connection, ids: Collection[uuid.UUID]) -> Sequence[Any]:
    """Read these Subjects, and keep them from being erased until the commit."""
    if not ids:
        return []
    rows: Sequence[Any] = await connection.fetch(_SUBJECTS, sorted(ids))
    return rows


async def insert_revisions(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Record revisions."""
    await connection.executemany(_INSERT_REVISION, rows)


async def upsert_matches(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Record decisions, in the order of MATCH_COLUMNS."""
    await connection.executemany(_UPSERT_MATCH, rows)


async def take(connection: Connection, count: int) -> int:
    """Take the next places in the site's order, and give the first; others wait for theirs until the commit.

    The relay is told at the commit.
    """
    last: int = await connection.fetchval(_TAKE, count, NOTIFY_CHANNEL)
    return last - count + 1


async def upsert_sightings(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Record sightings as of their newest revision, in the order of SIGHTING_COLUMNS."""
    await connection.executemany(_UPSERT_SIGHTING, rows)


async def insert_events(connection: Connection, first: int, events: Sequence[NewEvent]) -> None:
    """Write events into the outbox, at positions from `first` on."""
    no_revision = (None, None, None)
    rows = [
        (
            seq,
            event.type,
            event.subject,
            *((one.sighting_id, one.opened_at, one.revision) if (one := event.revision) else no_revision),
            event.payload,
        )
        for seq, event in enumerate(events, first)
    ]
    await connection.executemany(_INSERT_EVENT, rows)


async def insert_rejected(connection: Connection, rows: Sequence[RejectedRow]) -> None:
    """Set messages aside; the same message is kept once."""
    await connection.executemany(
        _INSERT_REJECTED,
        [
            (
                hashlib.sha256(row.subject.encode() + b"\0" + row.payload).digest(),
                _text(row.subject),
                row.stream_seq,
                row.reason,
                _text(row.message),
                _text(row.waits_for) if row.waits_for else None,
                row.payload,
            )
            for row in rows
        ],
    )


async def delete_rejected(connection: Connection, ids: Collection[int]) -> None:
    """Forget messages that are taken after all."""
    if ids:
        await connection.execute("DELETE FROM rejected_events WHERE id = ANY($1::bigint[])", list(ids))


def _text(value: str) -> str:
    """Make text that Postgres takes out of what anybody may have sent."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()[:2000]
