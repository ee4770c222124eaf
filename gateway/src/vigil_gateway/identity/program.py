"""The program `vigil-gateway identity`: what it waits for, what it runs, and in which order it ends."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import uvicorn

from vigil_gateway.http.server import Lobby
from vigil_gateway.identity import factory
from vigil_gateway.identity.factory import Parts
from vigil_gateway.program import Program, http_config
from vigil_gateway.services import housekeeping
from vigil_gateway.services.erasure import ErasureUnfinishedError
from vigil_gateway.settings import IdentitySettings
from vigil_gateway.storage.errors import DatabaseError, GalleryError
from vigil_gateway.storage.postgres import outbox
from vigil_runtime.backoff import CONNECTION, Backoff, retry
from vigil_runtime.tasks import run_forever

log = structlog.get_logger(__name__)

REPAIR_EVERY_S: Final = 5.0
DRAIN_S: Final = 3.0
"""For what was committed to be published after SIGTERM; what is left is published at the next start."""

TASKS_END_S: Final = 2.0


class IdentityProgram(Program):
    """One identity process.

    `serve` also raises SchemaError (the database is older or newer than this program) and RuntimeError (the gallery's
    folder cannot be used).
    """

    def __init__(self, settings: IdentitySettings) -> None:
        super().__init__(settings)
        self.parts: Parts = factory.build(settings)
        self._shutdown_s = settings.shutdown_s
        self._consuming: asyncio.Task[None] | None = None
        self._schema_fits = asyncio.Event()

    def http(self) -> uvicorn.Config:
        """Return the registry, probes and metrics."""
        return http_config(self.parts.app, self._shutdown_s / 2, Lobby(), ws="none")

    async def start(self) -> None:
        """Start the tasks that need nothing; `_prepare` starts the others."""
        for database in self.parts.databases.all:
            await database.open()
        self.tasks.start("bus", self.parts.bus.run)
        self.tasks.start("relay", self._relay)
        self.tasks.start("repair", self._repair)
        self._consuming = asyncio.create_task(self._consume())

    async def drain(self) -> None:
        """Record the last batch and publish what was committed, each within a deadline."""
        waiting = bool(self.parts.health.starting)
        self.parts.health.starting = "stopping"
        if self._consuming is not None:
            if waiting:
                self._consuming.cancel()
            _, pending = await asyncio.wait([self._consuming], timeout=self._shutdown_s / 2)
            for task in pending:
                task.cancel()
        with contextlib.suppress(TimeoutError, DatabaseError):
            async with asyncio.timeout(DRAIN_S):
                await self._wait_published()

    async def close(self) -> None:
        """Stop the tasks and release the gallery, the database and the client of Triton."""
        if self._consuming is not None:
            self._consuming.cancel()
        await self.tasks.stop(TASKS_END_S)
        with contextlib.suppress(GalleryError, TimeoutError):
            async with asyncio.timeout(self._shutdown_s):
                await factory.close(self.parts)

    async def _consume(self) -> None:
        """Wait for all that is needed, then process sightings until the program stops."""
        try:
            await self._prepare()
        except Exception as error:  # noqa: BLE001 - whatever it is: a program that waits for ever helps nobody
            self.fail(error)
            return
        parts = self.parts
        parts.health.starting = ""
        log.info("processing sightings", model=parts.models.current and parts.models.current.model_id)
        await run_forever("consumer", lambda: parts.processor.run(self.stopping), until=self.stopping)

    async def _prepare(self) -> None:
        parts, health = self.parts, self.parts.health
        health.starting = "waiting for the database"
        await _until_available(parts.databases.ingestion.check_schema)
        self._schema_fits.set()
        self.tasks.start("housekeeping", lambda: housekeeping.run(factory.HOUSEKEEPING, parts.databases.registry))
        self.tasks.start("retention", parts.retention.run)
        self.tasks.start("missing events", parts.missing.run)
        health.starting = "bringing the gallery up to date"
        await _until_available(self._open_gallery)
        health.starting = "comparing erasures with those that the bus remembers"
        await _until_available(self._apply_tombstones)
        health.starting = "waiting for Triton to name the recognition model that it serves"
        changed = asyncio.Event()
        self.tasks.start("models", lambda: parts.models.watch(changed))
        while parts.models.current is None:
            await changed.wait()
            changed.clear()
        self.tasks.start("replay", lambda: parts.replayer.run(parts.pipeline.process))
        self.tasks.start("new models", lambda: self._wake_replay(changed))

    async def _open_gallery(self) -> None:
        await self.parts.gallery.open()
        await self.parts.models.load()
        self.parts.health.opened = True

    async def _apply_tombstones(self) -> None:
        """Erase again whom a restored backup brought back, before anybody is recognised."""
        await self.parts.bus.wait_ready()
        await self.parts.eraser.apply_tombstones(factory.ERASURE)

    async def _wake_replay(self, changed: asyncio.Event) -> None:
        while True:
            await changed.wait()
            changed.clear()
            self.parts.replayer.wake()

    async def _relay(self) -> None:
        await self._schema_fits.wait()
        await self.parts.relay.run()

    async def _repair(self) -> None:
        while True:
            await asyncio.sleep(REPAIR_EVERY_S)
            if self.parts.gallery_sync.doubtful:
                with contextlib.suppress(DatabaseError, GalleryError):
                    await self.parts.gallery_sync.repair(factory.GALLERY)

    async def _wait_published(self) -> None:
        """Wait until the relay, in this process or another, has published all events."""
        while True:
            if not self._schema_fits.is_set() or not self.parts.bus.ready:
                return
            async with self.parts.databases.ingestion.connection() as connection:
                if not await outbox.has_pending(connection):
                    return
            await asyncio.sleep(0.05)


async def _until_available(work: Callable[[], Awaitable[None]]) -> None:
    """Call `work` until the stores answer; all other errors are final."""
    await retry(
        work,
        on=(DatabaseError, GalleryError, ErasureUnfinishedError),
        backoff=Backoff(*CONNECTION),
        failed=lambda error: log.info("waiting for a store", reason=str(error)),
    )
