"""Notice sighting events that a camera made and that never came, and report them.

Each stream process counts its sighting events in its journal, and identity records which of them it has processed. What
is missing may still come: out of order, or after an outage. Events that a full journal had to drop never do.
"""

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import structlog

from vigil_contracts.bus import Position
from vigil_contracts.ids import ResourceKey
from vigil_gateway.services.metrics import ServiceMetrics
from vigil_gateway.storage.errors import DatabaseError
from vigil_gateway.storage.postgres import positions
from vigil_gateway.storage.postgres.pool import Database
from vigil_runtime.backoff import jittered

log = structlog.get_logger(__name__)

EVERY_S: Final = 10.0
BETWEEN_CHECKS: Final = dt.timedelta(seconds=30)
"""What is missing at two checks in succession is reported: what came out of order was delivered again by then."""

JOURNALS: Final = 1000
"""Of one check."""

FORGOTTEN: Final = dt.timedelta(days=90)
"""After which a journal that sends nothing is forgotten; one that comes back then has lost all before."""


class MissingEvents:
    """Records processed positions, and reports what is missing; any number of processes do so at once."""

    def __init__(self, database: Database, metrics: ServiceMetrics) -> None:
        self._database = database
        self._metrics = metrics

    async def note(self, processed: Iterable[tuple[ResourceKey, Position]]) -> None:
        """Record positions as processed, those of rejected events included; raises DatabaseError."""
        numbers: dict[tuple[ResourceKey, str], list[int]] = defaultdict(list)
        for camera, position in processed:
            numbers[camera, position.epoch].append(position.number)
        if not numbers:
            return
        async with self._database.transaction() as connection:
            for camera, epoch in sorted(numbers):  # in order, so that two processes do not wait for each other
                await positions.note(connection, camera, epoch, numbers[camera, epoch])

    async def run(self) -> None:
        """Report periodically until cancelled."""
        while True:
            try:
                await self.report(dt.datetime.now(dt.UTC) - BETWEEN_CHECKS)
            except DatabaseError as error:
                self._metrics.errors.labels("database").inc()
                log.info("missing events not counted", reason=str(error))
            await asyncio.sleep(jittered(EVERY_S))

    async def report(self, unchecked_since: dt.datetime) -> None:
        """Count what is missing, and log what has been for two checks; raises DatabaseError."""
        async with self._database.transaction() as connection:
            rows = await positions.check(connection, unchecked_since, JOURNALS)
            self._metrics.missing.set(await positions.count_missing(connection))
            await positions.forget(connection, dt.datetime.now(dt.UTC) - FORGOTTEN)
        for row in rows:
            self._metrics.missed.inc(row.events)
            log.error(
                "sighting events of a camera are missing; its journal was full, or its stream lost them",
                camera=f"{row.camera_namespace}/{row.camera_name}",
                epoch=row.epoch,
                count=row.events,
                positions=row.ranges,
            )
