"""Take a Subject out of everything, and leave a receipt that names nobody.

What was seen stays as a sighting of somebody unknown. It goes in steps, each of which may be repeated; the first takes
the Subject away, so that no sighting can be given its name any more, and a receipt that is not finished is finished by
the next request. Messages on the bus are deleted one by one; what a subscriber was told before is out of reach.
"""

import asyncio
import contextlib
import datetime as dt
import json
import uuid
from collections.abc import Sequence
from typing import Any, Final

import structlog
from nats.js.errors import NotFoundError

from vigil_contracts.bus import MSG_ID_HEADER, event_stream
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import ErasureReceipt
from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.services.gallery_keeper import GalleryKeeper
from vigil_gateway.storage.postgres import register
from vigil_gateway.storage.postgres.erasures import Erasures
from vigil_gateway.storage.postgres.expired import affected
from vigil_gateway.storage.postgres.pool import Database
from vigil_runtime.bus import BUS_ERRORS

log = structlog.get_logger(__name__)

PAGE: Final = 64
"""Messages that are deleted between two commits."""

WAIT_FOR_RELAY_S: Final = 10.0
"""An event that is being published is erased after it was; so long without one, and the caller has to come again."""

TURN_S: Final = 40.0
"""One request takes no longer, which is less than callers wait; the next one goes on."""


class ErasureUnfinishedError(Exception):
    """Something could not be reached; the same request later goes on where this one stopped."""


class Eraser:
    """Erases Subjects."""

    def __init__(self, database: Database, keeper: GalleryKeeper, bus: SiteBus) -> None:
        self._database = database
        self._erasures = Erasures(database)
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
        row = await self._erasures.of(subject_id)
        if row is None:
            return None
        if row["erased_at"] is None:
            msg = f"the erasure begun at {row['started_at'].isoformat()} is not finished; erase the Subject again"
            raise ErasureUnfinishedError(msg)
        return _receipt(row)

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
            The bus is away, or events are not yet published, or there is more than one turn takes: the text says which.
        DatabaseError, GalleryError
            They are away.
        """
        begun = await self._begin(key)
        row = await self._erasures.latest(register.key_digest(key))
        if row is None:
            return ErasureReceipt(subject_id=uid, erased_at=dt.datetime.now(dt.UTC))
        subject_id: uuid.UUID = row["subject_id"]
        if row["erased_at"] is not None:
            if not begun and uid not in {None, subject_id}:
                return ErasureReceipt(subject_id=uid, erased_at=dt.datetime.now(dt.UTC))
            return _receipt(row)
        await self._erase_rest(subject_id)
        receipt = _receipt(await self._erasures.finish(subject_id))
        log.info("subject erased", subject_id=str(subject_id), counts=receipt.counts)
        return receipt

    async def _begin(self, key: ResourceKey) -> bool:
        """Take the Subject away, with its photos' results and embeddings; gives whether it was there."""
        async with self._database.transaction() as connection:
            await register.lock_subject(connection, key)
            there = await register.find_subject(connection, key)
            if there is None:
                return False
            # Who was putting its embeddings into the gallery is done; who begins after the commit does not find them.
            await register.hold_gallery(connection)
            subject_id = there["id"]
            counts = {"postgres.subjects": 1}
            for table in ("subject_embeddings", "subject_photos"):
                status = await connection.execute(f"DELETE FROM {table} WHERE subject_id = $1", subject_id)  # noqa: S608 - ours
                counts[f"postgres.{table}"] = affected(status)
            await connection.execute("DELETE FROM subjects WHERE id = $1", subject_id)
            await self._erasures.begin(connection, subject_id, register.key_digest(key), json.dumps(counts))
        return True

    async def _erase_rest(self, subject_id: uuid.UUID) -> None:
        await self._erasures.count_once(subject_id, "qdrant.vectors", await self._keeper.vectors(subject_id))
        await self._keeper.remove(subject_id)
        for table in ("sightings", "matches"):
            while await self._erasures.erase_rows(subject_id, table):
                pass
        try:
            await self._erase_all_events(subject_id)
        except BUS_ERRORS as error:
            told = str(error) or type(error).__name__
            msg = f"messages of the Subject cannot be deleted from the bus now ({told}); the next request goes on"
            raise ErasureUnfinishedError(msg) from error

    async def _erase_all_events(self, subject_id: uuid.UUID) -> None:
        """Erase all events, those that are published meanwhile too; only waiting for these counts as waiting."""
        clock = asyncio.get_running_loop().time
        end, patience = clock() + TURN_S, clock() + WAIT_FOR_RELAY_S
        while left := await self._erasures.left(subject_id):
            if await self._erase_events(subject_id):
                patience = clock() + WAIT_FOR_RELAY_S
            elif clock() < patience:
                await asyncio.sleep(0.1)
            else:
                raise ErasureUnfinishedError(self._not_published(left))
            if clock() > end:
                msg = (
                    f"erasing the Subject's events takes more than one request ({left} are left); the next one goes on"
                )
                raise ErasureUnfinishedError(msg)

    def _not_published(self, left: int) -> str:
        told = f"waiting until events of the Subject are published, to erase them then ({left} are left)"
        if self._bus.ready:
            return f"{told}; the bus is there, and the next request goes on"
        return f"{told}; the bus is away ({self._bus.last_error}), and the next request goes on once it is there"

    async def _erase_events(self, subject_id: uuid.UUID) -> int:
        """Erase some published events; their messages are counted before, so that a crash in between loses no count."""
        rows = await self._erasures.being_deleted(subject_id)
        if not rows:
            rows = await self._erasures.published(subject_id, PAGE)
            there = await self._messages(rows)
            if not rows or not await self._erasures.intend(subject_id, _seqs(rows), len(there)):
                return 0
        else:
            there = await self._messages(rows)
        await asyncio.gather(*(self._delete(place) for place in there))
        await self._erasures.erase_events(subject_id, _seqs(rows))
        return len(rows)

    async def _messages(self, rows: Sequence[Any]) -> list[int]:
        """Give the places of the events' messages in the stream that are there."""
        found = await asyncio.gather(*(self._is_there(row) for row in rows))
        return [row["stream_seq"] for row, there in zip(rows, found, strict=True) if there]

    async def _is_there(self, row: Any) -> bool:  # noqa: ANN401 - asyncpg has no types
        """Look whether a message is there and is the event's: a stream made anew counts from 1 again."""
        if row["stream_seq"] is None:
            return False
        try:
            message = await self._bus.jetstream.get_msg(self._stream, row["stream_seq"])
        except NotFoundError:
            return False  # older than the stream keeps
        return (message.headers or {}).get(
            MSG_ID_HEADER
        ) == f"match:{row['seq']}"  # events of other types name no Subject yet

    async def _delete(self, place: int) -> None:
        with contextlib.suppress(NotFoundError):
            await self._bus.jetstream.delete_msg(self._stream, place)

    @property
    def _stream(self) -> str:
        return event_stream(self._bus.address.site).name


def _seqs(rows: Sequence[Any]) -> list[int]:
    return [row["seq"] for row in rows]


def _receipt(row: Any) -> ErasureReceipt:  # noqa: ANN401 - asyncpg has no types
    return ErasureReceipt(subject_id=row["subject_id"], erased_at=row["erased_at"], counts=json.loads(row["counts"]))
