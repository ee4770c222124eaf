"""Take events up again that waited for their camera to be registered or their model to be served."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from vigil_gateway.identity.incoming import Incoming
from vigil_gateway.storage.errors import DatabaseError, GalleryError
from vigil_gateway.storage.postgres.pool import Database

log = structlog.get_logger(__name__)

BATCH: Final = 64
LOOK_EVERY_S: Final = 30.0
"""Another identity process may have registered the camera and been killed before it took up what waited for it."""

_RIPE: Final = """
    SELECT id, subject, stream_seq, payload FROM rejected_events r
    WHERE waits_for IS NOT NULL AND (
        EXISTS (SELECT FROM cameras c
            WHERE r.waits_for = 'camera:' || c.namespace || '/' || c.name AND c.deleted_at IS NULL)
        OR waits_for = ANY($1::text[]))
    ORDER BY id LIMIT $2
"""

Process = Callable[[Sequence[Incoming]], Awaitable[object]]


class Replayer:
    """Looks for such events when woken, and every half minute."""

    def __init__(self, database: Database, known_models: Callable[[], Sequence[str]]) -> None:
        self._database = database
        self._known_models = known_models
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look soon: a camera or a model has become known, or an event was set aside that waits for one."""
        self._wake.set()

    async def replay(self, process: Process) -> int:
        """Take up all that can be; gives how many. Raises DatabaseError, GalleryError."""
        count = 0
        while True:
            models = [f"model:{model_id}" for model_id in self._known_models()]
            rows = await self._database.fetch(_RIPE, models, BATCH)
            if not rows:
                return count
            batch = [Incoming(row["subject"], row["payload"], row["stream_seq"], row["id"]) for row in rows]
            await process(batch)
            count += len(batch)

    async def run(self, process: Process) -> None:
        """Look again and again until cancelled."""
        while True:
            self._wake.clear()
            try:
                count = await self.replay(process)
                if count:
                    log.info("events taken up again", count=count)
            except (DatabaseError, GalleryError, TimeoutError) as error:
                log.debug("waiting events not taken up yet", reason=str(error))
                await asyncio.sleep(1)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
