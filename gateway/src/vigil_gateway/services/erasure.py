"""Erase a Subject from every store of the registry of personal data, and leave a receipt that names nobody.

Sightings of the Subject stay, as sightings of an unknown person. The erasure goes in steps, each of which may be
repeated; the first deletes the Subject, so that no further sighting is attributed to it, and the next request finishes
an erasure that was interrupted. Messages on the bus are deleted one by one; what a subscriber received is out of reach.
"""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from nats.js.errors import NotFoundError

from vigil_contracts.bus import MSG_ID_HEADER, event_stream
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import ErasureReceipt, Tombstone
from vigil_gateway import personal_data
from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.bus.tombstones import Tombstones
from vigil_gateway.personal_data import Kind, Step
from vigil_gateway.principal import Permission, Principal
from vigil_gateway.services.gallery_sync import GallerySync
from vigil_gateway.storage.postgres import embeddings, erasures, event_log, remnants, subjects
from vigil_gateway.storage.postgres.erasures import ErasureStore
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.resource_rows import ErasureRow
from vigil_gateway.storage.postgres.rows import PublishedRow
from vigil_runtime.bus import BUS_ERRORS

log = structlog.get_logger(__name__)

PAGE: Final = 64
"""Messages deleted between two commits."""

WAIT_FOR_RELAY_S: Final = 10.0
"""For an event to be published, after which it is erased; then the caller has to ask again."""

MEMORY_S: Final = event_log.STALE_S + 1
"""Between the last change of an event and the receipt: by then every API has dropped what it had in memory."""

REWRITE_S: Final = 15.0
"""For writing tables anew in one request, until which the last one is begun."""

GALLERY: Final = "gallery"
"""Among what is written anew, beside the names of tables."""

REQUEST_S: Final = 40.0
"""For one request, which is less than callers wait; the next request goes on."""


class ErasureUnfinishedError(Exception):
    """A server could not be reached; the same request goes on later where this one stopped."""


class Eraser:
    """Erases Subjects."""

    def __init__(self, database: Database, gallery: GallerySync, bus: SiteBus) -> None:
        self._database = database
        self._erasures = ErasureStore(database)
        self._gallery = gallery
        self._bus = bus
        self._tombstones = Tombstones(bus)
        self._writing = asyncio.Lock()
        self._written: dict[uuid.UUID, set[str]] = {}
        functions: dict[Step, Callable[[Principal, uuid.UUID], Awaitable[None]]] = {
            Step.GALLERY: self._erase_from_gallery,
            Step.SIGHTINGS: lambda _, subject_id: self._erase_rows(subject_id, "sightings"),
            Step.MATCHES: lambda _, subject_id: self._erase_rows(subject_id, "matches"),
            Step.EVENTS: self._erase_from_events,
        }
        self._steps = [functions[step] for step in personal_data.steps_after_the_subject()]

    async def receipt(self, principal: Principal, subject_id: uuid.UUID) -> ErasureReceipt | None:
        """Return the receipt of an erasure; None when there was none.

        Raises
        ------
        ErasureUnfinishedError
            It was begun and is not finished.
        DatabaseError
            Postgres is away.
        """
        principal.require(Permission.ERASE_SUBJECTS)
        row = await self._erasures.of_subject(subject_id)
        return None if row is None else _receipt(row)

    async def erase_subject(
        self, principal: Principal, key: ResourceKey, uid: uuid.UUID | None = None
    ) -> ErasureReceipt:
        """Erase a Subject and return the receipt; erasing again returns the same one.

        Parameters
        ----------
        uid
            The uid of the deleted resource. When no Subject is registered and the last receipt under this name is of
            another, an earlier Subject, the receipt is empty.

        Raises
        ------
        ErasureUnfinishedError
            The bus is away, events are not yet published, or one request is too short; the message has the cause.
        DatabaseError, GalleryError
            A store is away.
        """
        principal.require(Permission.ERASE_SUBJECTS)
        begun = await self._begin(key)
        row = await self._erasures.latest(key)
        if row is None:
            return ErasureReceipt(subject_id=uid, erased_at=dt.datetime.now(dt.UTC))
        if row.erased_at is not None:
            if not begun and uid not in {None, row.subject_id}:
                return ErasureReceipt(subject_id=uid, erased_at=dt.datetime.now(dt.UTC))
            return _receipt(row)
        return await self._finish(principal, row)

    async def apply_tombstones(self, principal: Principal) -> int:
        """Erase everybody anew whose erasure this database does not know, and return how many.

        A backup from before the erasure was restored. Erasures that the bus does not know, because its disk was lost or
        an earlier version made them, are recorded there. Raises what `erase_subject` raises.
        """
        principal.require(Permission.ERASE_SUBJECTS)
        count, tombstones = 0, await self._read_tombstones()
        recorded = {tombstone.subject_id for tombstone in tombstones}
        for row in await self._erasures.everything():
            if row.subject_id not in recorded:
                await self._keep_tombstone(row)
        for tombstone in tombstones:
            known = await self._erasures.of_subject(tombstone.subject_id)
            if known is not None and known.erased_at is not None:
                continue
            if known is None:
                log.warning(
                    "an erased Subject is back, from a backup; erasing again", subject_id=str(tombstone.subject_id)
                )
                async with self._database.transaction() as connection:
                    await embeddings.hold_gallery(connection)
                    await erasures.begin(connection, tombstone.subject_id, bytes.fromhex(tombstone.key_digest))
                known = await self._erasures.of_subject(tombstone.subject_id)
            if known is not None:
                await self._finish(principal, known)
                count += 1
        return count

    async def _read_tombstones(self) -> list[Tombstone]:
        try:
            return await self._tombstones.read()
        except BUS_ERRORS as error:
            msg = f"the erasures that the bus remembers cannot be read now ({_reason(error)})"
            raise ErasureUnfinishedError(msg) from error

    async def _finish(self, principal: Principal, row: ErasureRow) -> ErasureReceipt:
        await self._keep_tombstone(row)
        await self._erase_rest(principal, row.subject_id)
        receipt = _receipt(await self._erasures.finish(row.subject_id))
        log.info("subject erased", subject_id=str(row.subject_id), counts=receipt.counts, principal=principal.id)
        return receipt

    async def _keep_tombstone(self, row: ErasureRow) -> None:
        tombstone = Tombstone(subject_id=row.subject_id, key_digest=row.key_digest.hex(), begun_at=row.started_at)
        try:
            await self._tombstones.put(tombstone)
        except BUS_ERRORS as error:
            msg = f"the erasure cannot be recorded on the bus now ({_reason(error)}); the next request goes on"
            raise ErasureUnfinishedError(msg) from error

    async def _begin(self, key: ResourceKey) -> bool:
        """Delete the Subject with its photos' assessments and embeddings, and return whether it was registered."""
        async with self._database.transaction() as connection:
            await subjects.lock_subject(connection, key)
            subject_id = await subjects.find_subject(connection, key)
            if subject_id is None:
                return False
            # A rebuild of the gallery that read its embeddings ends first; one that begins later does not find them.
            await embeddings.hold_gallery(connection)
            await erasures.begin(connection, subject_id, erasures.key_digest(key))
        return True

    async def _erase_rest(self, principal: Principal, subject_id: uuid.UUID) -> None:
        for erase in self._steps:
            await erase(principal, subject_id)
        forgotten_at = asyncio.get_running_loop().time() + MEMORY_S
        async with self._writing:  # several at once would wait for each other's locks
            await self._remove_remnants(principal, subject_id)
        row = await self._erasures.of_subject(subject_id)
        if row is not None and row.counts.get("postgres.events"):
            await asyncio.sleep(forgotten_at - asyncio.get_running_loop().time())

    async def _remove_remnants(self, principal: Principal, subject_id: uuid.UUID) -> None:
        """Remove what the stores' files still hold of rows and points that are gone; a repeated request goes on."""
        written = self._written.setdefault(subject_id, set())
        if GALLERY not in written:
            await self._gallery.rewrite(principal)
            written.add(GALLERY)
        tables = [store.name for store in personal_data.of_kind(Kind.TABLE)]
        if not await remnants.remove(self._database, tables, written, REWRITE_S):
            msg = "writing tables anew takes more than one request; the next one goes on"
            raise ErasureUnfinishedError(msg)
        self._written.pop(subject_id, None)

    async def _erase_from_gallery(self, principal: Principal, subject_id: uuid.UUID) -> None:
        vectors = await self._gallery.vectors(principal, subject_id)
        await self._erasures.count_once(subject_id, "qdrant.vectors", vectors)
        await self._gallery.remove(principal, subject_id)

    async def _erase_rows(self, subject_id: uuid.UUID, table: erasures.Table) -> None:
        while await self._erasures.erase_rows(subject_id, table):
            pass

    async def _erase_from_events(self, _principal: Principal, subject_id: uuid.UUID) -> None:
        try:
            await self._erase_all_events(subject_id)
        except BUS_ERRORS as error:
            msg = f"messages of the Subject cannot be deleted now ({_reason(error)}); the next request goes on"
            raise ErasureUnfinishedError(msg) from error

    async def _erase_all_events(self, subject_id: uuid.UUID) -> None:
        """Erase all events, including those that are published meanwhile; the wait for each of these is limited."""
        clock = asyncio.get_running_loop().time
        end, relay_deadline = clock() + REQUEST_S, clock() + WAIT_FOR_RELAY_S
        while left := await self._erasures.events_left(subject_id):
            if await self._erase_events(subject_id):
                relay_deadline = clock() + WAIT_FOR_RELAY_S
            elif clock() < relay_deadline:
                await asyncio.sleep(0.1)
            else:
                raise ErasureUnfinishedError(self._not_published(left))
            if clock() > end:
                msg = (
                    f"erasing the Subject's events takes more than one request ({left} are left); the next one goes on"
                )
                raise ErasureUnfinishedError(msg)

    def _not_published(self, left: int) -> str:
        waiting = f"waiting until events of the Subject are published, to erase them then ({left} are left)"
        if self._bus.ready:
            return f"{waiting}; the bus is there, and the next request goes on"
        return f"{waiting}; the bus is away ({self._bus.last_error}), and the next request goes on once it is there"

    async def _erase_events(self, subject_id: uuid.UUID) -> int:
        """Erase some published events and return how many; messages are counted first, so a crash loses no count."""
        rows = await self._erasures.being_deleted(subject_id)
        if not rows:
            rows = await self._erasures.published(subject_id, PAGE)
            there = await self._messages(rows)
            if not rows or not await self._erasures.begin_deleting(subject_id, _seqs(rows), len(there)):
                return 0
        else:
            there = await self._messages(rows)
        await asyncio.gather(*(self._delete(stream_seq) for stream_seq in there))
        await self._erasures.erase_events(subject_id, _seqs(rows))
        return len(rows)

    async def _messages(self, rows: Sequence[PublishedRow]) -> list[int]:
        """Return the positions in the stream of the events' messages that still exist."""
        found = await asyncio.gather(*(self._position(row) for row in rows))
        return [stream_seq for stream_seq in found if stream_seq is not None]

    async def _position(self, row: PublishedRow) -> int | None:
        """Return where the event's message is; a stream that was made again has another message there, or none."""
        if row.stream_seq is None:
            return None
        try:
            message = await self._bus.jetstream.get_msg(self._stream, row.stream_seq)
        except NotFoundError:
            return None  # older than the stream keeps
        message_id = (message.headers or {}).get(MSG_ID_HEADER)
        return row.stream_seq if message_id == f"match:{row.seq}" else None  # other events name no Subject yet

    async def _delete(self, stream_seq: int) -> None:
        with contextlib.suppress(NotFoundError):
            await self._bus.jetstream.delete_msg(self._stream, stream_seq)

    @property
    def _stream(self) -> str:
        return event_stream(self._bus.address.site).name


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _seqs(rows: Sequence[PublishedRow]) -> list[int]:
    return [row.seq for row in rows]


def _receipt(row: ErasureRow) -> ErasureReceipt:
    """Return the receipt of an erasure; raise ErasureUnfinishedError when it is not finished."""
    if row.erased_at is None:
        msg = f"the erasure begun at {row.started_at.isoformat()} is not finished; erase the Subject again"
        raise ErasureUnfinishedError(msg)
    return ErasureReceipt(subject_id=row.subject_id, erased_at=row.erased_at, counts=row.counts)
