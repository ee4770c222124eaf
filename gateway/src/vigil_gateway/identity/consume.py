"""The loop from the bus to the pipeline: acknowledged after the commit, handed back when there could be none."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from vigil_gateway.bus.consumer import Received, SightingConsumer, acknowledge, hand_back, refuse
from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.identity.incoming import Incoming
from vigil_gateway.identity.metrics import Metrics
from vigil_gateway.identity.pipeline import Pipeline
from vigil_gateway.identity.recorder import Outcome, Result
from vigil_gateway.storage.errors import DatabaseError, GalleryError
from vigil_runtime.backoff import Backoff
from vigil_runtime.bus import BUS_ERRORS

log = structlog.get_logger(__name__)

FIRST_PAUSE_S: Final = 0.1
MAX_PAUSE_S: Final = 3.0
MAX_DELIVERIES: Final = 12
"""An event that brings about an error which nobody foresaw is set aside after so many attempts, about a minute."""

TRANSIENT: Final = (DatabaseError, GalleryError, TimeoutError)


class Consumption:
    """Takes sightings from the bus until told to stop."""

    def __init__(self, bus: SiteBus, pipeline: Pipeline, metrics: Metrics) -> None:
        self.consumer = SightingConsumer(bus)
        self._bus = bus
        self._pipeline = pipeline
        self._metrics = metrics
        self._backoff = Backoff(FIRST_PAUSE_S, MAX_PAUSE_S)

    async def run(self, stopping: asyncio.Event) -> None:
        """Go on until `stopping` is set; a batch that is being recorded then is finished."""
        await self._bus.wait_ready()
        fetching: asyncio.Task[list[Received]] | None = None
        stopped = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                fetching = asyncio.create_task(self._fetch())
                await asyncio.wait([fetching, stopped], return_when=asyncio.FIRST_COMPLETED)
                if not fetching.done():
                    return
                await self._deal_with(fetching.result())
        finally:
            stopped.cancel()
            if fetching is not None:
                fetching.cancel()

    async def _fetch(self) -> list[Received]:
        try:
            return await self.consumer.fetch()
        except BUS_ERRORS as error:
            self._metrics.errors.labels("bus").inc()
            log.info("no sightings from the bus; trying again", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._backoff.next_s())
            return []

    async def _deal_with(self, received: Sequence[Received]) -> None:
        if not received:
            return
        incoming = [Incoming(one.subject, one.body, one.stream_seq) for one in received]
        try:
            outcomes = await self._pipeline.process(incoming)
        except asyncio.CancelledError:
            await hand_back(list(received), at_once=True)
            raise
        except TRANSIENT as error:
            part = "gallery" if isinstance(error, GalleryError) else "database"
            self._metrics.errors.labels(part).inc()
            log.warning("sightings not recorded yet; they come again", count=len(received), reason=str(error))
            await hand_back(list(received))
            await asyncio.sleep(self._backoff.next_s())
        except Exception:
            self._metrics.errors.labels("identity").inc()
            log.exception("sightings not recorded by an error of ours; they come again", count=len(received))
            await self._after_surprise(received)
        else:
            self._backoff.reset()
            await self._settle(received, outcomes)

    async def _settle(self, received: Sequence[Received], outcomes: Sequence[Outcome]) -> None:
        refused = [one for one, made in zip(received, outcomes, strict=True) if made.result is Result.REJECTED]
        await refuse(refused)
        await acknowledge(
            [one for one, made in zip(received, outcomes, strict=True) if made.result is not Result.REJECTED]
        )

    async def _after_surprise(self, received: Sequence[Received]) -> None:
        """Alone, most events go well; the one that does not is tried some more times and then set aside."""
        for one in received:
            incoming = Incoming(one.subject, one.body, one.stream_seq)
            try:
                if one.deliveries >= MAX_DELIVERIES:
                    await self._pipeline.reject(incoming, "it brought about an unforeseen error again and again")
                    await refuse([one])
                else:
                    await self._settle([one], await self._pipeline.process([incoming]))
            except Exception as error:  # noqa: BLE001 - told above in full; whatever it is, the others go on
                log.warning("sighting not recorded yet", reason=f"{type(error).__name__}: {error}")
                await hand_back([one])
