"""Erasures: each change and its count are one transaction, so that a receipt adds up."""

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Sequence
from typing import Final, Literal

from vigil_contracts.ids import ResourceKey
from vigil_gateway import personal_data
from vigil_gateway.personal_data import Step
from vigil_gateway.storage.postgres import event_log
from vigil_gateway.storage.postgres.pool import Connection, Database, affected
from vigil_gateway.storage.postgres.resource_rows import ERASURES, ErasureRow
from vigil_gateway.storage.postgres.rows import PUBLISHED, PublishedRow

PAGE: Final = 500
"""Rows in one transaction."""

_DELETE: Final = {
    "subject_embeddings": "DELETE FROM subject_embeddings WHERE subject_id = $1",
    "subject_photos": "DELETE FROM subject_photos WHERE subject_id = $1",
    "subjects": "DELETE FROM subjects WHERE id = $1",
}
_DELETE_SUBJECT: Final = {store.name: _DELETE[store.name] for store in personal_data.erased_in(Step.SUBJECT)}
"""An entry of the registry without a statement fails when this module is loaded."""
_BEGIN: Final = """
    INSERT INTO erasures (subject_id, key_digest, counts, started_at) VALUES ($1, $2, $3::jsonb, clock_timestamp())
    ON CONFLICT (subject_id) DO UPDATE SET started_at = EXCLUDED.started_at, erased_at = NULL, counts = EXCLUDED.counts,
        deleting = '{}'
"""
_LAST_BEGUN: Final = "SELECT max(started_at) FROM erasures WHERE key_digest = $1"
_LATEST: Final = f"""
    SELECT {ERASURES.select} FROM erasures WHERE key_digest = $1
    ORDER BY erased_at IS NULL DESC, started_at DESC LIMIT 1
"""
_BY_ID: Final = f"SELECT {ERASURES.select} FROM erasures WHERE subject_id = $1"
_FINISH: Final = f"""
    UPDATE erasures SET erased_at = coalesce(erased_at, now()) WHERE subject_id = $1 RETURNING {ERASURES.select}
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
Table = Literal["sightings", "matches"]
_ROWS: Final[dict[Table, str]] = {"sightings": _SIGHTINGS, "matches": _MATCHES}
_NAMES: Final = "(payload #>> '{{identity,subject,subjectId}}' = {0} OR payload #>> '{{previous,subjectId}}' = {0})"
"""The condition for events that name a Subject, as the person of the sighting or as the one whom a correction takes
back."""
_PUBLISHED: Final = f"""
    SELECT {PUBLISHED.select} FROM events
    WHERE {_NAMES.format("$1")} AND published_at IS NOT NULL ORDER BY seq LIMIT $2
"""
_DELETING: Final = "SELECT deleting FROM erasures WHERE subject_id = $1"
_BEGIN_DELETING: Final = "UPDATE erasures SET deleting = $2 WHERE subject_id = $1 AND deleting = '{}' RETURNING 1"
_POSITIONS: Final = f"SELECT {PUBLISHED.select} FROM events WHERE seq = ANY($1::bigint[]) ORDER BY seq"
_LEFT: Final = f"SELECT count(*) FROM events WHERE {_NAMES.format('$1')}"
_EVENTS: Final = f"""
    UPDATE events SET payload =
        CASE WHEN payload #>> '{{previous,subjectId}}' = $2 THEN payload - 'previous' ELSE payload END
        || CASE WHEN payload #>> '{{identity,subject,subjectId}}' = $2 THEN jsonb_build_object('identity',
            ((payload -> 'identity') - 'subject' - 'similarity' - 'runnerUpSimilarity') || '{{"status": "Unknown"}}')
        ELSE '{{}}' END
    WHERE seq = ANY($1::bigint[]) AND {_NAMES.format("$2")}
"""
_ALL: Final = f"SELECT {ERASURES.select} FROM erasures ORDER BY started_at"
_DELETE_OLD: Final = "DELETE FROM erasures WHERE erased_at < $1"
_DELETED: Final = "UPDATE erasures SET deleting = '{}' WHERE subject_id = $1 AND deleting = $2"


def key_digest(key: ResourceKey) -> bytes:
    """Return what is kept of the name of an erased Subject."""
    return hashlib.sha256(str(key).encode()).digest()


async def begin(connection: Connection, subject_id: uuid.UUID, digest: bytes) -> None:
    """Delete a Subject with its photos' assessments and embeddings, and open its receipt, in a transaction.

    Parameters
    ----------
    digest
        Of the Subject's name: `key_digest`.
    """
    counts = {
        f"postgres.{table}": affected(await connection.execute(statement, subject_id))
        for table, statement in _DELETE_SUBJECT.items()
    }
    await connection.execute(_BEGIN, subject_id, digest, json.dumps(counts))


async def delete_old(connection: Connection, before: dt.datetime) -> None:
    """Delete receipts of erasures that were finished before a moment."""
    await connection.execute(_DELETE_OLD, before)


async def last_begun(connection: Connection, key: ResourceKey) -> dt.datetime | None:
    """Return when the last erasure under a name was begun, by Postgres' clock; None when there was none."""
    begun: dt.datetime | None = await connection.fetchval(_LAST_BEGUN, key_digest(key))
    return begun


class ErasureStore:
    """Receipts and their counts; every method raises DatabaseError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def latest(self, key: ResourceKey) -> ErasureRow | None:
        """Return the newest erasure under a name; one that is not finished comes before all others."""
        rows = await self._database.fetch(_LATEST, key_digest(key))
        return ERASURES.read(rows[0]) if rows else None

    async def of_subject(self, subject_id: uuid.UUID) -> ErasureRow | None:
        """Return the erasure of a Subject."""
        rows = await self._database.fetch(_BY_ID, subject_id)
        return ERASURES.read(rows[0]) if rows else None

    async def everything(self) -> list[ErasureRow]:
        """Return all erasures, oldest first."""
        return ERASURES.read_all(await self._database.fetch(_ALL))

    async def finish(self, subject_id: uuid.UUID) -> ErasureRow:
        """Close an erasure and return it."""
        return ERASURES.read((await self._database.fetch(_FINISH, subject_id))[0])

    async def count_once(self, subject_id: uuid.UUID, store: str, count: int) -> None:
        """Count what is about to be removed from another store, unless an earlier attempt did."""
        async with self._database.connection() as connection:
            await connection.execute(_ADD_ONCE, subject_id, store, count)

    async def erase_rows(self, subject_id: uuid.UUID, table: Table) -> int:
        """Erase a Subject from some rows of a table and return how many; 0 when none is left."""
        async with self._database.transaction() as connection:
            changed = affected(await connection.execute(_ROWS[table], subject_id, PAGE))
            if changed:
                await connection.execute(_ADD, subject_id, f"postgres.{table}", changed)
        return changed

    async def events_left(self, subject_id: uuid.UUID) -> int:
        """Return how many events still name a Subject, published or not."""
        return int((await self._database.fetch(_LEFT, str(subject_id)))[0][0])

    async def published(self, subject_id: uuid.UUID, limit: int) -> list[PublishedRow]:
        """Return published events that name a Subject."""
        return PUBLISHED.read_all(await self._database.fetch(_PUBLISHED, str(subject_id), limit))

    async def being_deleted(self, subject_id: uuid.UUID) -> list[PublishedRow]:
        """Return the events that an earlier attempt counted and may not have deleted from the bus."""
        async with self._database.connection() as connection:
            seqs = await connection.fetchval(_DELETING, subject_id) or []
            return PUBLISHED.read_all(await connection.fetch(_POSITIONS, seqs))

    async def begin_deleting(self, subject_id: uuid.UUID, seqs: Sequence[int], messages: int) -> bool:
        """Count the messages of these events before they are deleted; False while another attempt deletes others."""
        async with self._database.transaction() as connection:
            if not await connection.fetchval(_BEGIN_DELETING, subject_id, seqs):
                return False
            await connection.execute(_ADD, subject_id, "nats.messages", messages)
        return True

    async def erase_events(self, subject_id: uuid.UUID, seqs: Sequence[int]) -> None:
        """Erase a Subject from events whose messages are deleted from the bus."""
        async with self._database.transaction() as connection:
            await connection.execute(_DELETED, subject_id, seqs)
            changed = affected(await connection.execute(_EVENTS, seqs, str(subject_id)))
            await connection.execute(_ADD, subject_id, "postgres.events", changed)
            await event_log.count_rewrite(connection)
