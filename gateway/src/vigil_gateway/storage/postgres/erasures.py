"""The statements of an erasure: each change and its count are one transaction, so that a receipt adds up."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any, Final

from vigil_gateway.storage.postgres.expired import affected
from vigil_gateway.storage.postgres.ledger import Connection
from vigil_gateway.storage.postgres.pool import Database

PAGE: Final = 500
"""Rows in one transaction."""

_BEGIN: Final = """
    INSERT INTO erasures (subject_id, key_digest, counts, started_at) VALUES ($1, $2, $3::jsonb, clock_timestamp())
    ON CONFLICT (subject_id) DO UPDATE SET started_at = EXCLUDED.started_at, erased_at = NULL, counts = EXCLUDED.counts,
        deleting = '{}'
"""
_LAST_BEGUN: Final = "SELECT max(started_at) FROM erasures WHERE key_digest = $1"
_LATEST: Final = """
    SELECT subject_id, erased_at, counts::text AS counts FROM erasures WHERE key_digest = $1
    ORDER BY erased_at IS NULL DESC, started_at DESC LIMIT 1
"""
_BY_ID: Final = "SELECT subject_id, started_at, erased_at, counts::text AS counts FROM erasures WHERE subject_id = $1"
_FINISH: Final = """
    UPDATE erasures SET erased_at = coalesce(erased_at, now()) WHERE subject_id = $1
    RETURNING subject_id, erased_at, counts::text AS counts
"""
_ADD: Final = """
    UPDATE erasures SET counts = counts || jsonb_build_object($2::text, coalesce((counts ->> $2)::bigint, 0) + $3)
    WHERE subject_id = $1
"""
_ADD_ONCE: Final = """
    UPDATE erasures SET counts = jsonb_build_object($2::text, $3::bigint) || counts WHERE subject_id = $1
"""
_SIGHTINGS: Final = """
    WITH chosen AS (SELECT opened_at, id FROM sightings WHERE subject_id = $1 LIMIT $2)
    UPDATE sightings s SET identity = 'Unknown', subject_id = NULL, subject_namespace = NULL, subject_name = NULL,
        subject_display_name = NULL, similarity = NULL, runner_up_similarity = NULL
    FROM chosen WHERE s.opened_at = chosen.opened_at AND s.id = chosen.id AND s.subject_id = $1
"""
_MATCHES: Final = """
    WITH chosen AS (
        SELECT opened_at, sighting_id FROM matches WHERE subject_id = $1 OR runner_up_id = $1 LIMIT $2)
    UPDATE matches m SET
        identity = CASE WHEN m.subject_id = $1 AND m.identity = 'Known' THEN 'Unknown' ELSE m.identity END,
        similarity = CASE WHEN m.subject_id = $1 THEN NULL ELSE m.similarity END,
        runner_up_similarity = CASE WHEN m.runner_up_id = $1 THEN NULL ELSE m.runner_up_similarity END,
        subject_id = NULLIF(m.subject_id, $1), runner_up_id = NULLIF(m.runner_up_id, $1)
    FROM chosen WHERE m.opened_at = chosen.opened_at AND m.sighting_id = chosen.sighting_id
        AND (m.subject_id = $1 OR m.runner_up_id = $1)
"""
_ROWS: Final = {"sightings": _SIGHTINGS, "matches": _MATCHES}
_PUBLISHED: Final = """
    SELECT seq, stream_seq FROM events
    WHERE payload #>> '{identity,subject,subjectId}' = $1 AND published_at IS NOT NULL ORDER BY seq LIMIT $2
"""
_DELETING: Final = "SELECT deleting FROM erasures WHERE subject_id = $1"
_INTEND: Final = "UPDATE erasures SET deleting = $2 WHERE subject_id = $1 AND deleting = '{}' RETURNING 1"
_PLACES: Final = "SELECT seq, stream_seq FROM events WHERE seq = ANY($1::bigint[]) ORDER BY seq"
_LEFT: Final = "SELECT count(*) FROM events WHERE payload #>> '{identity,subject,subjectId}' = $1"
_EVENTS: Final = """
    UPDATE events SET payload = payload || jsonb_build_object('identity',
        ((payload -> 'identity') - 'subject' - 'similarity' - 'runnerUpSimilarity') || '{"status": "Unknown"}')
    WHERE seq = ANY($1::bigint[]) AND payload #>> '{identity,subject,subjectId}' = $2
"""
_DELETED: Final = "UPDATE erasures SET deleting = '{}' WHERE subject_id = $1 AND deleting = $2"


class Erasures:
    """Receipts, and what is counted in them; everything raises DatabaseError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    async def begin(connection: Connection, subject_id: uuid.UUID, key_digest: bytes, counts: str) -> None:
        """Write down, in the transaction that takes a Subject away, that an erasure was begun."""
        await connection.execute(_BEGIN, subject_id, key_digest, counts)

    @staticmethod
    async def last_begun(connection: Connection, key_digest: bytes) -> dt.datetime | None:
        """Tell when the last erasure under a name was begun, by Postgres' clock; None when there was none."""
        begun: dt.datetime | None = await connection.fetchval(_LAST_BEGUN, key_digest)
        return begun

    async def latest(self, key_digest: bytes) -> Any | None:  # noqa: ANN401 - asyncpg has no types
        """Give the newest erasure under a name, one that is not finished before all others."""
        rows = await self._database.fetch(_LATEST, key_digest)
        return rows[0] if rows else None

    async def of(self, subject_id: uuid.UUID) -> Any | None:  # noqa: ANN401 - asyncpg has no types
        """Give the erasure of a Subject."""
        rows = await self._database.fetch(_BY_ID, subject_id)
        return rows[0] if rows else None

    async def finish(self, subject_id: uuid.UUID) -> Any:  # noqa: ANN401 - asyncpg has no types
        """Close an erasure, and give it."""
        return (await self._database.fetch(_FINISH, subject_id))[0]

    async def count_once(self, subject_id: uuid.UUID, place: str, count: int) -> None:
        """Count what is about to be removed from elsewhere, unless an earlier attempt did."""
        async with self._database.connection() as connection:
            await connection.execute(_ADD_ONCE, subject_id, place, count)

    async def erase_rows(self, subject_id: uuid.UUID, table: str) -> int:
        """Take a Subject out of some rows of `sightings` or `matches`; gives how many, 0 when none is left."""
        async with self._database.transaction() as connection:
            changed = affected(await connection.execute(_ROWS[table], subject_id, PAGE))
            if changed:
                await connection.execute(_ADD, subject_id, f"postgres.{table}", changed)
        return changed

    async def left(self, subject_id: uuid.UUID) -> int:
        """Give how many events still name a Subject, published or not."""
        found: int = await self._database.value(_LEFT, str(subject_id))
        return found

    async def published(self, subject_id: uuid.UUID, limit: int) -> Sequence[Any]:
        """Give published events that name a Subject, each with its place in the stream."""
        return await self._database.fetch(_PUBLISHED, str(subject_id), limit)

    async def being_deleted(self, subject_id: uuid.UUID) -> Sequence[Any]:
        """Give the events that an attempt counted and may not have deleted from the bus, with their places."""
        return await self._database.fetch(_PLACES, await self._database.value(_DELETING, subject_id) or [])

    async def intend(self, subject_id: uuid.UUID, seqs: Sequence[int], messages: int) -> bool:
        """Count the messages of these events before they are deleted; False when another attempt is at others."""
        async with self._database.transaction() as connection:
            if not await connection.fetchval(_INTEND, subject_id, seqs):
                return False
            await connection.execute(_ADD, subject_id, "nats.messages", messages)
        return True

    async def erase_events(self, subject_id: uuid.UUID, seqs: Sequence[int]) -> None:
        """Take a Subject out of events whose messages are gone from the bus."""
        async with self._database.transaction() as connection:
            await connection.execute(_DELETED, subject_id, seqs)
            changed = affected(await connection.execute(_EVENTS, seqs, str(subject_id)))
            await connection.execute(_ADD, subject_id, "postgres.events", changed)
