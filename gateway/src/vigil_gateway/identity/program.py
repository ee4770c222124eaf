"""Run identity until it is told to stop.

HTTP answers from the first moment; what identity depends on is waited for in the background, and /readyz says for what.
When something goes away later, whoever needs it tries again with growing pauses; the process lives.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog
import uvicorn

from vigil_gateway.identity import factory
from vigil_gateway.identity.factory import Parts
from vigil_gateway.migrations.check import SchemaError, check_schema
from vigil_gateway.services import housekeeping
from vigil_gateway.settings import IdentitySettings
from vigil_gateway.storage.errors import DatabaseError, GalleryError
from vigil_gateway.storage.postgres import outbox
from vigil_runtime.backoff import Backoff, retry
from vigil_runtime.tasks import BackgroundTasks, run_forever

log = structlog.get_logger(__name__)

FIRST_PAUSE_S: Final = 0.2
MAX_PAUSE_S: Final = 5.0
REPAIR_EVERY_S: Final = 5.0
DRAIN_S: Final = 3.0
"""For what was committed to be published after SIGTERM; what is left is published at the next start."""


def run(settings: IdentitySettings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises
    ------
    SchemaError
        The database is older or newer than this program.
    RuntimeError
        The gallery's folder or the HTTP port cannot be used.
    """
    asyncio.run(Program(settings).serve())


class Program:
    """One identity process.

    Attributes
    ----------
    port
        That HTTP listens on; 0 before it does.
    stopping
        Set it to end the program.
    """

    def __init__(self, settings: IdentitySettings) -> None:
        self.parts: Parts = factory.build(settings)
        self.stopping = asyncio.Event()
        self.port = 0
        self._settings = settings
        self._background = BackgroundTasks()
        self._consuming: asyncio.Task[None] | None = None
        self._fatal: Exception | None = None
        self._schema_fits = asyncio.Event()

    async def serve(self) -> None:
        """Run in this event loop until `stopping` is set or a signal comes; raises as `run`."""
        listening = listen(self._settings.http_host, self._settings.http_port)
        host, self.port = listening.getsockname()[:2]
        log.info("identity starts", site=self._settings.site, host=host, port=self.port)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread: a test stops it otherwise
                loop.add_signal_handler(number, self.stopping.set)
        server = _Server(_http(self._settings, self.parts))
        serving = asyncio.create_task(server.serve([listening]))
        await self.parts.database.open()
        self._start()
        await self.stopping.wait()
        log.info("identity stops")
        await self._stop()
        server.should_exit = True
        await serving
        if self._fatal is not None:
            raise self._fatal

    def _start(self) -> None:
        parts = self.parts
        self._background.start("bus", parts.bus.run)
        self._background.start("relay", self._relay)
        self._background.start("repair", self._repair)
        self._consuming = asyncio.create_task(self._consume())

    async def _consume(self) -> None:
        """Wait for all that is needed, then take sightings until told to stop."""
        try:
            await self._prepare()
        except (SchemaError, RuntimeError) as error:
            self._fatal = error
            self.stopping.set()
            return
        parts = self.parts
        parts.health.starting = ""
        log.info("identity takes sightings", model=parts.models.current and parts.models.current.model_id)
        await run_forever("consumer", lambda: parts.consumption.run(self.stopping), until=self.stopping)

    async def _prepare(self) -> None:
        parts, health = self.parts, self.parts.health
        health.starting = "waiting for the database"
        await self._patiently(self._check_schema)
        self._schema_fits.set()
        self._background.start("housekeeping", lambda: housekeeping.run(parts.database))
        self._background.start("retention", parts.retention.run)
        health.starting = "bringing the gallery up to date"
        await self._patiently(self._open_gallery)
        health.starting = "waiting for Triton to say which recognition model it serves"
        changed = asyncio.Event()
        self._background.start("models", lambda: parts.models.watch(changed))
        while parts.models.current is None:
            await changed.wait()
            changed.clear()
        self._background.start("replay", lambda: parts.replayer.run(parts.pipeline.process))
        self._background.start("new models", lambda: self._wake_replay(changed))

    async def _check_schema(self) -> None:
        async with self.parts.database.connection() as connection:
            await check_schema(connection)

    async def _open_gallery(self) -> None:
        await self.parts.gallery.open()
        await self.parts.models.load()
        self.parts.health.opened = True

    async def _patiently(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Try until it works; SchemaError and RuntimeError are final."""
        await retry(
            work,
            on=(DatabaseError, GalleryError),
            backoff=Backoff(FIRST_PAUSE_S, MAX_PAUSE_S),
            failed=lambda error: log.info("waiting", reason=str(error)),
        )

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
            if self.parts.keeper.doubtful:
                with contextlib.suppress(DatabaseError, GalleryError):
                    await self.parts.keeper.repair()

    async def _stop(self) -> None:
        """End the last batch, publish what was committed, let go of everything; each within a deadline."""
        idle = bool(self.parts.health.starting)
        self.parts.health.starting = "stopping"
        if self._consuming is not None:
            if idle:
                self._consuming.cancel()
            _, pending = await asyncio.wait([self._consuming], timeout=self._settings.shutdown_s / 2)
            for task in pending:
                task.cancel()
        with contextlib.suppress(TimeoutError, DatabaseError):
            async with asyncio.timeout(DRAIN_S):
                await self._drained()
        await self._background.stop(2)
        with contextlib.suppress(GalleryError, TimeoutError):
            async with asyncio.timeout(self._settings.shutdown_s):
                await factory.close(self.parts)

    async def _drained(self) -> None:
        """Wait until the relay, in this process or another, has published all."""
        while True:
            if not self._schema_fits.is_set() or not self.parts.bus.ready:
                return
            async with self.parts.database.connection() as connection:
                if not await outbox.has_pending(connection):
                    return
            await asyncio.sleep(0.05)


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals, which would end the process before its other parts."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:  # noqa: ANN401 - a generator, as its base declares
        """Leave signals to the program."""
        yield


def _http(settings: IdentitySettings, parts: Parts) -> uvicorn.Config:
    return uvicorn.Config(
        parts.app,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=max(1, round(settings.shutdown_s / 2)),
        log_config=None,
        access_log=False,
        server_header=False,
    )


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket; raises RuntimeError, which says what to do."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        msg = f"cannot listen on {host}:{port}: {error}; choose another with VIGIL_HTTP_HOST or VIGIL_HTTP_PORT"
        raise RuntimeError(msg) from None
