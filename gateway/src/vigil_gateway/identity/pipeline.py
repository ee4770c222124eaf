"""Decode → search the gallery → one transaction, for sightings from the bus and for those that waited."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import structlog

from vigil_contracts.events import EventError, RejectReason
from vigil_gateway.identity import decision
from vigil_gateway.identity.incoming import Incoming, Rejection, check_embeddings, read
from vigil_gateway.identity.metrics import Metrics
from vigil_gateway.identity.recorder import Outcome, ProcessedMessage, Recorder, Result
from vigil_gateway.identity.replay import Replayer
from vigil_gateway.services.models import Models
from vigil_gateway.storage.postgres import partitions
from vigil_gateway.storage.postgres.pool import REFUSED_VALUE, Database
from vigil_gateway.storage.qdrant.gallery import Gallery

log = structlog.get_logger(__name__)

BATCH_TIMEOUT_S: Final = 12.0
"""For a whole batch."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that the pipeline reads and writes."""

    database: Database
    gallery: Gallery
    models: Models


class Pipeline:
    """Processes batches of messages.

    Attributes
    ----------
    on_commit
        Set after a commit with events to publish; the relay waits for it.
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
        """Record a batch and return the outcome of each message, in their order.

        Raises
        ------
        DatabaseError, GalleryError, TimeoutError
            Nothing was recorded; another attempt may succeed.
        """
        now = dt.datetime.now(dt.UTC)
        messages = [self._read(incoming, now) for incoming in batch]
        async with asyncio.timeout(BATCH_TIMEOUT_S):
            messages = await self._search(messages)
            await self._ensure_partitions(messages)
            try:
                outcomes = await self._record(messages)
            except REFUSED_VALUE as error:
                outcomes = await self._record_singly(messages, error)
        self._report(messages, outcomes)
        return outcomes

    async def reject(self, incoming: Incoming, message: str) -> None:
        """Reject one message that failed repeatedly."""
        rejection = Rejection(RejectReason.INVALID_DATA, message)
        messages = [ProcessedMessage(incoming, rejection=rejection)]
        self._report(messages, await self._record(messages))

    def _read(self, incoming: Incoming, now: dt.datetime) -> ProcessedMessage:
        try:
            sighting = read(incoming, self._site, now)
        except EventError as error:
            return ProcessedMessage(incoming, rejection=Rejection(error.reason, str(error)))
        rejection = check_embeddings(sighting, self._stores.models.sizes())
        if rejection is not None:
            if rejection.reason is RejectReason.UNKNOWN_MODEL:
                self._stores.models.refresh_soon()
            return ProcessedMessage(incoming, rejection=rejection)
        probe = decision.probe(sighting)
        model = self._stores.models.known[probe.model_id] if probe is not None else None
        return ProcessedMessage(incoming, sighting, probe=probe, model=model)

    async def _search(self, messages: list[ProcessedMessage]) -> list[ProcessedMessage]:
        """Return the messages with their neighbours; all faces of a model are searched at once."""
        found = list(messages)
        by_model: dict[str, list[int]] = {}
        for number, one in enumerate(messages):
            if one.probe is not None:
                by_model.setdefault(one.probe.model_id, []).append(number)
        for model_id, numbers in by_model.items():
            faces = np.stack([probe.vector for number in numbers if (probe := messages[number].probe) is not None])
            with self._metrics.search_duration.time():
                neighbours = await self._stores.gallery.search(model_id, faces, decision.SEARCH_LIMIT)
            for number, near in zip(numbers, neighbours, strict=True):
                found[number] = await self._search_shots(replace(messages[number], found=near))
        return found

    async def _search_shots(self, message: ProcessedMessage) -> ProcessedMessage:
        """Return the message with the neighbours of each shot, unless the shots agree."""
        probe, model = message.probe, message.model
        if probe is None or model is None or (agreement := probe.agreement()) >= model.same_person:
            return message
        near = await self._stores.gallery.search(probe.model_id, probe.shots, decision.SEARCH_LIMIT)
        return replace(message, shots=decision.Shots(agreement, tuple(near)))

    async def _ensure_partitions(self, messages: Sequence[ProcessedMessage]) -> None:
        months = {partitions.month_of(one.sighting.opened_at) for one in messages if one.sighting is not None}
        if not months <= self._months:
            async with self._stores.database.connection() as connection:
                await partitions.ensure(connection, months)
            self._months |= months

    async def _record(self, messages: Sequence[ProcessedMessage]) -> list[Outcome]:
        with self._metrics.transaction_duration.time():
            async with self._stores.database.transaction() as connection:
                return await self._recorder.record(connection, messages)

    async def _record_singly(self, messages: Sequence[ProcessedMessage], error: Exception) -> list[Outcome]:
        """Record each message alone, and reject the one that Postgres refuses."""
        # A partition that this process has made may be gone, because the database was restored or replaced.
        self._months.clear()
        await self._ensure_partitions(messages)
        outcomes: list[Outcome] = []
        for one in messages:
            try:
                outcomes += await self._record([one])
            except REFUSED_VALUE as refused:
                log.warning("event refused by the database", reason=str(refused), batch=str(error))
                reason = f"the database refuses it: {type(refused).__name__}: {refused}"
                rejection = Rejection(RejectReason.INVALID_DATA, reason)
                outcomes += await self._record([ProcessedMessage(one.incoming, rejection=rejection)])
        return outcomes

    def _report(self, messages: Sequence[ProcessedMessage], outcomes: Sequence[Outcome]) -> None:
        if any(outcome.result in {Result.RECORDED, Result.SUPERSEDED} for outcome in outcomes):
            self.on_commit.set()
        for one, outcome in zip(messages, outcomes, strict=True):
            self._metrics.count(one, outcome)
            if outcome.rejection is None:
                continue
            if outcome.rejection.waits_for is not None:
                # The camera or model that it waits for may have become known while it was being rejected.
                self._replayer.wake()
            log.warning(
                "event rejected",
                subject=one.incoming.subject[:200],
                reason=str(outcome.rejection.reason),
                message=outcome.rejection.message,
            )
