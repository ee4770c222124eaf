"""The statements with which identity records sightings, inside its one transaction per batch."""

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from vigil_contracts.ids import ResourceKey, sighting_time
from vigil_gateway.storage.postgres.pool import Connection
from vigil_gateway.storage.postgres.resource_rows import CAMERA_RULES, SUBJECTS, CameraRuleRow, SubjectRow
from vigil_gateway.storage.postgres.rows import (
    BY_CLAIMED_MOMENT,
    BY_ID_ALONE,
    MATCHES,
    REVISIONS,
    SIGHTINGS,
    MatchRow,
    RevisionRow,
    SightingRow,
)

NOTIFY_CHANNEL: Final = "vigil_events"
"""Notified at the commit, so that the relay runs at once, in whichever process it is."""

_LOCK: Final = "SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key"
_CAMERAS: Final = f"""
    SELECT {CAMERA_RULES.select} FROM cameras
    WHERE (namespace, name) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
_CURRENT: Final = f"""
    SELECT {SIGHTINGS.select} FROM sightings WHERE {BY_CLAIMED_MOMENT}
    UNION ALL SELECT {SIGHTINGS.select} FROM sightings WHERE {BY_ID_ALONE}
"""
_REVISIONS: Final = """
    SELECT sighting_id, revision FROM sighting_revisions
    WHERE (opened_at, sighting_id, revision) IN (SELECT * FROM unnest($1::timestamptz[], $2::uuid[], $3::int[]))
"""
_SUBJECTS: Final = f"SELECT {SUBJECTS.select} FROM subjects WHERE id = ANY($1::uuid[]) ORDER BY id FOR KEY SHARE"
_TAKE_POSITIONS: Final = "UPDATE event_counter SET last = last + $1 RETURNING last, pg_notify($2, '')"
_INSERT_REVISION: Final = REVISIONS.insert("sighting_revisions")
_UPSERT_SIGHTING: Final = SIGHTINGS.upsert(
    "sightings", ("opened_at", "id"), where="sightings.revision < EXCLUDED.revision"
)
_UPSERT_MATCH: Final = MATCHES.upsert(
    "matches", ("opened_at", "sighting_id"), where="matches.revision < EXCLUDED.revision"
)
_INSERT_EVENT: Final = """
    INSERT INTO events (seq, type, subject, sighting_id, sighting_opened_at, revision, payload)
    VALUES ($1, $2, $3, $4, $5, $6, jsonb_build_object('seq', $1::bigint) || $7::jsonb)
"""


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
        The type of the CloudEvent, and its subject on the bus.
    payload
        The event's data in JSON, without its seq.
    revision
        The revision of a sighting that the event is of; None: of none.
    """

    type: str
    subject: str
    payload: str
    revision: RevisionKey | None = None


async def lock(connection: Connection, sighting_ids: Collection[uuid.UUID]) -> None:
    """Lock these sightings until the commit, those without a row included."""
    # Always in the same order, so that two batches cannot wait for each other.
    await connection.execute(_LOCK, sorted({(one.int & (1 << 63) - 1) - (1 << 62) for one in sighting_ids}))


async def cameras(connection: Connection, keys: Collection[ResourceKey]) -> list[CameraRuleRow]:
    """Return what the registered resources of these cameras ask of recognition."""
    ordered = sorted(keys)
    return CAMERA_RULES.read_all(
        await connection.fetch(_CAMERAS, [key.namespace for key in ordered], [key.name for key in ordered])
    )


async def current_sightings(connection: Connection, ids: Collection[uuid.UUID]) -> list[SightingRow]:
    """Return the rows of these sightings."""
    return SIGHTINGS.read_all(await connection.fetch(_CURRENT, [sighting_time(one) for one in ids], list(ids)))


async def known_revisions(connection: Connection, keys: Sequence[RevisionKey]) -> set[tuple[uuid.UUID, int]]:
    """Return those of these revisions that are recorded."""
    rows = await connection.fetch(
        _REVISIONS, [key.opened_at for key in keys], [key.sighting_id for key in keys], [key.revision for key in keys]
    )
    return {(row["sighting_id"], row["revision"]) for row in rows}


async def subjects(connection: Connection, ids: Collection[uuid.UUID]) -> list[SubjectRow]:
    """Return these Subjects, and keep them from being erased until the commit."""
    if not ids:
        return []
    return SUBJECTS.read_all(await connection.fetch(_SUBJECTS, sorted(ids)))


async def insert_revisions(connection: Connection, rows: Sequence[RevisionRow]) -> None:
    """Record revisions."""
    await connection.executemany(_INSERT_REVISION, [REVISIONS.values(row) for row in rows])


async def upsert_matches(connection: Connection, rows: Sequence[MatchRow]) -> None:
    """Record decisions, unless that of a later revision is there."""
    await connection.executemany(_UPSERT_MATCH, [MATCHES.values(row) for row in rows])


async def take_positions(connection: Connection, count: int) -> int:
    """Take the next positions in the site's order and return the first; other transactions wait until the commit.

    The relay is notified at the commit.
    """
    last: int = await connection.fetchval(_TAKE_POSITIONS, count, NOTIFY_CHANNEL)
    return last - count + 1


async def upsert_sightings(connection: Connection, rows: Sequence[SightingRow]) -> None:
    """Record sightings, unless a later revision is there."""
    await connection.executemany(_UPSERT_SIGHTING, [SIGHTINGS.values(row) for row in rows])


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
