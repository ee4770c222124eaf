"""Process events that waited for their camera to be registered or their model to be served."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from vigil_gateway.identity.incoming import Incoming
from vigil_gateway.storage.errors import DatabaseError, GalleryError
from vigil_gateway.storage.postgres import rejected
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.rows import WaitingRow

log = structlog.get_logger(__name__)

BATCH: Final = 64
CHECK_EVERY_S: Final = 30.0
"""Another identity process may have registered the camera and been killed before it processed what waited."""

Process = Callable[[Sequence[Incoming]], Awaitable[object]]


class Replayer:
    """Searches such events when woken, and every half minute.

    Parameters
    ----------
    known_models
        Returns the ids of the models that events may be of.
    """

    def __init__(self, database: Database, known_models: Callable[[], Sequence[str]]) -> None:
        self._database = database
        self._known_models = known_models
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Replay soon: a camera or a model has become known, or an event was rejected that waits for one."""
        self._wake.set()

    async def replay(self, process: Process) -> int:
        """Process all events that can be, and return how many; raises DatabaseError, GalleryError."""
        count = 0
        while True:
            async with self._database.connection() as connection:
                rows = await rejected.processable(connection, self._known_models(), BATCH)
            if not rows:
                return count
            batch = [_incoming(row) for row in rows]
            await process(batch)
            count += len(batch)

    async def run(self, process: Process) -> None:
        """Replay when woken and periodically, until cancelled."""
        while True:
            self._wake.clear()
            try:
                count = await self.replay(process)
                if count:
                    log.info("waiting events processed", count=count)
            except (DatabaseError, GalleryError, TimeoutError) as error:
                log.debug("waiting events not processed yet", reason=str(error))
                await asyncio.sleep(1)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_S):
                    await self._wake.wait()


def _incoming(row: WaitingRow) -> Incoming:
    offset = None if row.clock_offset_ms is None else dt.timedelta(milliseconds=row.clock_offset_ms)
    return Incoming(row.subject, row.payload, row.stream_seq, row.id, received_at=row.received_at, clock_offset=offset)
