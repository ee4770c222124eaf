"""Decode → search the gallery → one transaction, for sightings from the bus and for those taken up again."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import asyncpg
import numpy as np
import structlog

from vigil_contracts.events import EventError, RejectReason
from vigil_gateway.identity import decision
from vigil_gateway.identity.incoming import Incoming, Rejection, check_embeddings, read
from vigil_gateway.identity.metrics import Metrics
from vigil_gateway.identity.recorder import Judged, Outcome, Recorder, Result
from vigil_gateway.identity.replay import Replayer
from vigil_gateway.services.models import Models
from vigil_gateway.storage.postgres import partitions
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.qdrant.gallery import Gallery

log = structlog.get_logger(__name__)

BATCH_TIMEOUT_S: Final = 12.0
"""For a whole batch."""

REFUSED_BY_POSTGRES: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,
    OverflowError,
)
"""One of the events holds a value that cannot be stored; trying again changes nothing."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the pipeline reads and writes."""

    database: Database
    gallery: Gallery
    models: Models


class Pipeline:
    """Takes messages in, and gives what became of each.

    Attributes
    ----------
    on_commit
        Set after a commit that has something to tell; the relay waits for it.
    """

    def __init__(self, site: str, stores: Stores, metrics: Metrics, replayer: Replayer) -> None:
        self.on_commit = asyncio.Event()
        self._site = site
        self._stores = stores
        self._metrics = metrics
        self._replayer = replayer
        self._recorder = Recorder(stores.gallery)
        self._months: set[dt.date] = set()

    async def process(self, batch: Sequence[Incoming]) -> list[Outcome]:
        """Record a batch; gives what became of each message, in their order.

        Raises
        ------
        DatabaseError, GalleryError, TimeoutError
            Nothing was recorded; trying again may help.
        """
        now = dt.datetime.now(dt.UTC)
        judged = [self._read(incoming, now) for incoming in batch]
        async with asyncio.timeout(BATCH_TIMEOUT_S):
            judged = await self._search(judged)
            await self._ensure_partitions(judged)
            try:
                outcomes = await self._record(judged)
            except REFUSED_BY_POSTGRES as error:
                outcomes = await self._one_by_one(judged, error)
        self._tell(judged, outcomes)
        return outcomes

    async def reject(self, incoming: Incoming, message: str) -> None:
        """Set one message aside that fails again and again."""
        rejection = Rejection(RejectReason.INVALID_DATA, message)
        judged = [Judged(incoming, rejection=rejection)]
        self._tell(judged, await self._record(judged))

    def _read(self, incoming: Incoming, now: dt.datetime) -> Judged:
        try:
            sighting = read(incoming, self._site, now)
        except EventError as error:
            return Judged(incoming, rejection=Rejection(error.reason, str(error)))
        rejection = check_embeddings(sighting, self._stores.models.sizes())
        if rejection is not None:
            if rejection.reason is RejectReason.UNKNOWN_MODEL:
                self._stores.models.ask()
            return Judged(incoming, rejection=rejection)
        face = decision.template(sighting)
        model = self._stores.models.known[face.model_id] if face is not None else None
        return Judged(incoming, sighting, face=face, model=model)

    async def _search(self, judged: list[Judged]) -> list[Judged]:
        """Ask the gallery for all faces of a model at once."""
        found = list(judged)
        by_model: dict[str, list[int]] = {}
        for number, one in enumerate(judged):
            if one.face is not None:
                by_model.setdefault(one.face.model_id, []).append(number)
        for model_id, numbers in by_model.items():
            faces = np.stack([face.vector for number in numbers if (face := judged[number].face) is not None])
            with self._metrics.search_duration.time():
                answers = await self._stores.gallery.search(model_id, faces, decision.SEARCH_LIMIT)
            for number, answer in zip(numbers, answers, strict=True):
                found[number] = replace(judged[number], found=answer)
        return found

    async def _ensure_partitions(self, judged: Sequence[Judged]) -> None:
        months = {partitions.month_of(one.sighting.opened_at) for one in judged if one.sighting is not None}
        if not months <= self._months:
            async with self._stores.database.connection() as connection:
                await partitions.ensure(connection, months)
            self._months |= months

    async def _record(self, judged: Sequence[Judged]) -> list[Outcome]:
        with self._metrics.transaction_duration.time():
            async with self._stores.database.transaction() as connection:
                return await self._recorder.record(connection, judged)

    async def _one_by_one(self, judged: Sequence[Judged], error: Exception) -> list[Outcome]:
        """Find the event that Postgres does not take, and set it aside alone."""
        # A partition that this process believes in may be gone: the database was restored, or made anew.
        self._months.clear()
        await self._ensure_partitions(judged)
        outcomes: list[Outcome] = []
        for one in judged:
            try:
                outcomes += await self._record([one])
            except REFUSED_BY_POSTGRES as refused:
                log.warning("event refused by the database", reason=str(refused), batch=str(error))
                told = f"the database does not take it: {type(refused).__name__}: {refused}"
                rejection = Rejection(RejectReason.INVALID_DATA, told)
                outcomes += await self._record([Judged(one.incoming, rejection=rejection)])
        return outcomes

    def _tell(self, judged: Sequence[Judged], outcomes: Sequence[Outcome]) -> None:
        if any(outcome.result in {Result.RECORDED, Result.SUPERSEDED} for outcome in outcomes):
            self.on_commit.set()
        for one, outcome in zip(judged, outcomes, strict=True):
            self._metrics.count(one, outcome)
            if outcome.rejection is None:
                continue
            if outcome.rejection.waits_for is not None:
                # What it waits for may have become known while it was being set aside.
                self._replayer.wake()
            log.warning(
                "event set aside",
                subject=one.incoming.subject[:200],
                reason=str(outcome.rejection.reason),
                told=outcome.rejection.message,
            )
