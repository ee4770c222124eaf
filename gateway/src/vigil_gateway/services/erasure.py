"""Take a Subject out of everything, and leave a receipt that names nobody.

What was seen stays as a sighting of somebody unknown. It goes in steps, each of which may be repeated; the first takes
the Subject away, so that no sighting can be given its name any more, and a receipt that is not finished is finished by
the next request. Messages on the bus are deleted one by one; what a subscriber was told before is out of reach.
"""

import asyncio
import datetime as dt
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import structlog
from nats.js.errors import NotFoundError

from vigil_contracts.bus import MSG_ID_HEADER, event_stream
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import ErasureReceipt
from vigil_gateway.bus.connection import BUS_ERRORS, Bus, BusAwayError
from vigil_gateway.services.gallery_keeper import GalleryKeeper
from vigil_gateway.storage.postgres import register
from vigil_gateway.storage.postgres.expired import affected
from vigil_gateway.storage.postgres.pool import Database

log = structlog.get_logger(__name__)

PAGE: Final = 500
WAIT_FOR_RELAY_S: Final = 10.0
"""An event that is being published is erased after it was."""

_BEGIN: Final = """
    INSERT INTO erasures (subject_id, key_digest, counts) VALUES ($1, $2, $3::jsonb)
    ON CONFLICT (subject_id) DO UPDATE SET erased_at = NULL, counts = EXCLUDED.counts
"""
_LATEST: Final = """
    SELECT subject_id, erased_at, counts::text AS counts FROM erasures WHERE key_digest = $1
    ORDER BY erased_at IS NULL DESC, started_at DESC LIMIT 1
"""
_BY_ID: Final = "SELECT subject_id, started_at, erased_at, counts::text AS counts FROM erasures WHERE subject_id = $1"
_FINISH: Final = "UPDATE erasures SET counts = $2::jsonb, erased_at = now() WHERE subject_id = $1 RETURNING erased_at"
_SAVE: Final = "UPDATE erasures SET counts = $2::jsonb WHERE subject_id = $1"
_SIGHTINGS: Final = """
    WITH chosen AS (SELECT opened_at, id FROM sightings WHERE subject_id = $1 LIMIT $2)
    UPDATE sightings s SET identity = 'Unknown', subject_id = NULL, subject_namespace = NULL, subject_name = NULL,
        subject_display_name = NULL, similarity = NULL, runner_up_similarity = NULL
    FROM chosen WHERE s.opened_at = chosen.opened_at AND s.id = chosen.id
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
"""
_PUBLISHED: Final = """
    SELECT seq, stream_seq FROM events
    WHERE payload #>> '{identity,subject,subjectId}' = $1 AND published_at IS NOT NULL ORDER BY seq LIMIT $2
"""
_LEFT: Final = "SELECT count(*) FROM events WHERE payload #>> '{identity,subject,subjectId}' = $1"
_EVENTS: Final = """
    UPDATE events SET payload = payload || jsonb_build_object('identity',
        ((payload -> 'identity') - 'subject' - 'similarity' - 'runnerUpSimilarity') || '{"status": "Unknown"}')
    WHERE seq = ANY($1::bigint[])
"""


class ErasureUnfinishedError(Exception):
    """Something could not be reached; the same request later goes on where this one stopped."""


class Eraser:
    """Erases Subjects."""

    def __init__(self, database: Database, keeper: GalleryKeeper, bus: Bus) -> None:
        self._database = database
        self._keeper = keeper
        self._bus = bus

    async def receipt(self, subject_id: uuid.UUID) -> ErasureReceipt | None:
        """Give the receipt of an erasure again; None when there was none.

        Raises
        ------
        ErasureUnfinishedError
            It was begun and is not finished.
        DatabaseError
            It is away.
        """
        rows = await self._database.fetch(_BY_ID, subject_id)
        if not rows:
            return None
        if rows[0]["erased_at"] is None:
            msg = f"the erasure begun at {rows[0]['started_at'].isoformat()} is not finished; erase the Subject again"
            raise ErasureUnfinishedError(msg)
        return _receipt(rows[0])

    async def erase_subject(self, key: ResourceKey, uid: uuid.UUID | None = None) -> ErasureReceipt:
        """Take a Subject out; doing it again gives the same receipt.

        Parameters
        ----------
        uid
            Of the resource that is deleted. When nothing is there and the last receipt under this name is of another,
            an earlier Subject, an empty receipt is given instead of that one's.

        Raises
        ------
        ErasureUnfinishedError
            The bus is away.
        DatabaseError, GalleryError
            They are away.
        """
        begun = await self._begin(key)
        row = await self._latest(key)
        if row is None:
            return ErasureReceipt(subject_id=uid, erased_at=dt.datetime.now(dt.UTC))
        subject_id, counts = row["subject_id"], Counter(json.loads(row["counts"]))
        if row["erased_at"] is not None:
            if not begun and uid not in {None, subject_id}:
                return ErasureReceipt(subject_id=uid, erased_at=dt.datetime.now(dt.UTC))
            return _receipt(row)
        try:
            await self._erase_rest(subject_id, counts)
        finally:
            await self._database.value(_SAVE, subject_id, json.dumps(counts))
        erased_at = await self._database.value(_FINISH, subject_id, json.dumps(counts))
        log.info("subject erased", subject_id=str(subject_id), counts=dict(counts))
        return ErasureReceipt(subject_id=subject_id, erased_at=erased_at, counts=dict(counts))

    async def _begin(self, key: ResourceKey) -> bool:
        """Take the Subject away, with its photos' results and embeddings; gives whether it was there."""
        async with self._database.transaction() as connection:
            await register.lock_subject(connection, key)
            there = await register.find_subject(connection, key)
            if there is None:
                return False
            subject_id = there["id"]
            counts = {"postgres.subjects": 1}
            for table in ("subject_embeddings", "subject_photos"):
                status = await connection.execute(f"DELETE FROM {table} WHERE subject_id = $1", subject_id)  # noqa: S608 - ours
                counts[f"postgres.{table}"] = affected(status)
            await connection.execute("DELETE FROM subjects WHERE id = $1", subject_id)
            await connection.execute(_BEGIN, subject_id, register.key_digest(key), json.dumps(counts))
        return True

    async def _latest(self, key: ResourceKey) -> Any | None:  # noqa: ANN401 - asyncpg has no types
        rows = await self._database.fetch(_LATEST, register.key_digest(key))
        return rows[0] if rows else None

    async def _erase_rest(self, subject_id: uuid.UUID, counts: Counter[str]) -> None:
        counts["qdrant.vectors"] += await self._keeper.remove(subject_id)
        for table, statement in (("sightings", _SIGHTINGS), ("matches", _MATCHES)):
            while changed := await self._change(statement, subject_id):
                counts[f"postgres.{table}"] += changed
        try:
            async with asyncio.timeout(WAIT_FOR_RELAY_S) as waiting:
                while await self._database.value(_LEFT, str(subject_id)):
                    if await self._erase_events(subject_id, counts):
                        waiting.reschedule(asyncio.get_running_loop().time() + WAIT_FOR_RELAY_S)
                    else:
                        await asyncio.sleep(0.1)
        except TimeoutError:
            msg = "some events of the Subject are not yet published and cannot be erased; is the bus there? try again"
            raise ErasureUnfinishedError(msg) from None
        except (BusAwayError, *BUS_ERRORS) as error:
            msg = f"messages of the Subject cannot be deleted from the bus now ({error}); try again"
            raise ErasureUnfinishedError(msg) from error

    async def _change(self, statement: str, subject_id: uuid.UUID) -> int:
        async with self._database.connection() as connection:
            return affected(await connection.execute(statement, subject_id, PAGE))

    async def _erase_events(self, subject_id: uuid.UUID, counts: Counter[str]) -> int:
        rows = await self._database.fetch(_PUBLISHED, str(subject_id), PAGE)
        if rows:
            counts["nats.messages"] += await self._delete_messages(rows)
            await self._database.value(_EVENTS, [row["seq"] for row in rows])
            counts["postgres.events"] += len(rows)
        return len(rows)

    async def _delete_messages(self, rows: Sequence[Any]) -> int:
        """Delete messages from the stream, after a look that it is them: a stream made anew counts from 1 again."""
        jetstream, stream, deleted = self._bus.jetstream, event_stream(self._bus.address.site).name, 0
        for row in rows:
            if row["stream_seq"] is None:
                continue
            try:
                message = await jetstream.get_msg(stream, row["stream_seq"])
                if (message.headers or {}).get(MSG_ID_HEADER) == f"match:{row['seq']}":
                    deleted += await jetstream.delete_msg(stream, row["stream_seq"])
            except NotFoundError:
                continue  # older than the stream keeps
        return deleted


def _receipt(row: Any) -> ErasureReceipt:  # noqa: ANN401 - asyncpg has no types
    return ErasureReceipt(subject_id=row["subject_id"], erased_at=row["erased_at"], counts=json.loads(row["counts"]))
