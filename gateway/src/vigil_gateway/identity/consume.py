"""The loop from the bus to the pipeline: messages are acknowledged after the commit, else delivered again."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Final

import structlog

from vigil_contracts.bus import parse_subject
from vigil_contracts.ids import ResourceKey
from vigil_gateway.bus.consumer import Received, SightingConsumer, acknowledge, redeliver, terminate
from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.identity.incoming import Incoming
from vigil_gateway.identity.metrics import Metrics
from vigil_gateway.identity.pipeline import Pipeline
from vigil_gateway.identity.recorder import Outcome, Result
from vigil_gateway.services.missing_events import MissingEvents
from vigil_gateway.storage.errors import DatabaseError, GalleryError
from vigil_runtime.backoff import STORE, Backoff
from vigil_runtime.bus import BUS_ERRORS
from vigil_runtime.clock import clock_offset_s

log = structlog.get_logger(__name__)

MAX_DELIVERIES: Final = 12
"""An event that causes an unforeseen error is rejected after so many attempts, about a minute."""

TRANSIENT: Final = (DatabaseError, GalleryError, TimeoutError)


class SightingProcessor:
    """Processes sightings from the bus."""

    def __init__(self, bus: SiteBus, pipeline: Pipeline, missing: MissingEvents, metrics: Metrics) -> None:
        self.consumer = SightingConsumer(bus)
        self._missing = missing
        self._bus = bus
        self._pipeline = pipeline
        self._metrics = metrics
        self._backoff = Backoff(*STORE)

    async def run(self, stopping: asyncio.Event) -> None:
        """Process sightings until `stopping` is set; the batch that is being recorded then is finished."""
        await self._bus.wait_ready()
        fetching: asyncio.Task[list[Received]] | None = None
        stopped = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                fetching = asyncio.create_task(self._fetch())
                await asyncio.wait([fetching, stopped], return_when=asyncio.FIRST_COMPLETED)
                if not fetching.done():
                    return
                await self._process(fetching.result())
        finally:
            stopped.cancel()
            if fetching is not None:
                fetching.cancel()

    async def _fetch(self) -> list[Received]:
        try:
            return await self.consumer.fetch()
        except BUS_ERRORS as error:
            self._metrics.errors.labels("bus").inc()
            log.info("no sightings from the bus; retrying", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._backoff.next_s())
            return []

    async def _process(self, received: Sequence[Received]) -> None:
        if not received:
            return
        incoming = [_incoming(one) for one in received]
        try:
            outcomes = await self._pipeline.process(incoming)
            await self._note(received)
        except asyncio.CancelledError:
            await redeliver(list(received), at_once=True)
            raise
        except TRANSIENT as error:
            part = "gallery" if isinstance(error, GalleryError) else "database"
            self._metrics.errors.labels(part).inc()
            log.warning("sightings not recorded; redelivered", count=len(received), reason=str(error))
            await redeliver(list(received))
            await asyncio.sleep(self._backoff.next_s())
        except Exception:
            self._metrics.errors.labels("identity").inc()
            log.exception(
                "sightings not recorded because of an unforeseen error; processed singly", count=len(received)
            )
            await self._process_singly(received)
        else:
            self._backoff.reset()
            await self._acknowledge(received, outcomes)

    async def _note(self, received: Sequence[Received]) -> None:
        """Note what is processed, before it is acknowledged: else it comes again, and is noted then."""
        found = [(_camera(one.subject), one.position) for one in received]
        await self._missing.note([(camera, position) for camera, position in found if camera and position])

    async def _acknowledge(self, received: Sequence[Received], outcomes: Sequence[Outcome]) -> None:
        refused = [one for one, made in zip(received, outcomes, strict=True) if made.result is Result.REJECTED]
        await terminate(refused)
        await acknowledge(
            [one for one, made in zip(received, outcomes, strict=True) if made.result is not Result.REJECTED]
        )

    async def _process_singly(self, received: Sequence[Received]) -> None:
        """Process each event alone, so that only the one at fault fails; after some attempts it is rejected."""
        for one in received:
            incoming = _incoming(one)
            try:
                if one.deliveries >= MAX_DELIVERIES:
                    await self._pipeline.reject(incoming, "it causes an unforeseen error repeatedly")
                    await self._note([one])
                    await terminate([one])
                else:
                    outcomes = await self._pipeline.process([incoming])
                    await self._note([one])
                    await self._acknowledge([one], outcomes)
            except Exception as error:  # noqa: BLE001 - logged above in full; the others go on
                log.warning("sighting not recorded; redelivered", reason=f"{type(error).__name__}: {error}")
                await redeliver([one])


def _camera(subject: str) -> ResourceKey | None:
    try:
        return parse_subject(subject).camera
    except ValueError:
        return None


def _incoming(one: Received) -> Incoming:
    offset_s = clock_offset_s(one.sent_at, one.received_at)
    return Incoming(
        one.subject,
        one.body,
        one.stream_seq,
        message_id=one.message_id,
        received_at=one.received_at,
        clock_offset=None if offset_s is None else dt.timedelta(seconds=offset_s),
    )
