"""The skeleton of the gateway's programs: HTTP from the first moment, background tasks, and an orderly end.

The servers that a program depends on need not be there at its start: what needs one waits in the background, and
/readyz names what is missing.
"""

import asyncio
import contextlib
import os
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, cast

import structlog
import uvicorn
from fastapi import FastAPI

from vigil_gateway.http.server import GatewayHttp, Lobby
from vigil_gateway.settings import ServerSettings
from vigil_runtime.health import ListenError
from vigil_runtime.tasks import BackgroundTasks

log = structlog.get_logger(__name__)

BACKLOG: Final = 2048
"""Connections that wait to be accepted: thousands of subscribers may come back in the same second."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Program(ABC):
    """One process of the gateway.

    Attributes
    ----------
    port
        That HTTP listens on; 0 before it does.
    stopping
        Set it to end the program.
    tasks
        What runs in the background; `close` stops it.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.port = 0
        self.stopping = asyncio.Event()
        self.tasks = BackgroundTasks()
        self._settings = settings
        self._error: Exception | None = None
        self._server: uvicorn.Server | None = None

    @abstractmethod
    def http(self) -> uvicorn.Config:
        """Return what is served over HTTP, made by `http_config`."""

    @abstractmethod
    async def start(self) -> None:
        """Start what runs in the background; wait for nothing."""

    async def drain(self) -> None:  # noqa: B027 - a program may have nothing to finish
        """Finish what was begun, while HTTP still answers."""

    @abstractmethod
    async def close(self) -> None:
        """Stop the background tasks and release everything, after HTTP has ended."""

    def fail(self, error: Exception) -> None:
        """End the program with an error that another attempt would not cure."""
        self._error = error
        self.stopping.set()

    @property
    def started(self) -> bool:
        """Whether HTTP answers."""
        return self._server is not None and self._server.started

    async def serve(self) -> None:
        """Run in this event loop until `stopping` is set or a signal comes.

        Raises
        ------
        ListenError
            The address for HTTP cannot be used.
        Exception
            The error that `fail` was called with, or that `start` raised.
        """
        with listen(self._settings.http_host, self._settings.http_port) as opened, self._signals():
            host, self.port = opened.getsockname()[:2]
            log.info("program starts", host=host, port=self.port)
            try:
                await self.start()
                await self._serve_http(opened)
            finally:
                await self.close()
        log.info("program stopped")
        if self._error is not None:
            raise self._error

    async def _serve_http(self, opened: socket.socket) -> None:
        """Serve until the program stops; a server that ends by itself ends the program."""
        self._server = _Server(self.http())
        serving = asyncio.create_task(self._server.serve([opened]))
        stopped = asyncio.create_task(self.stopping.wait())
        await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        log.info("program stops")
        await self.drain()
        self._server.should_exit = True
        await serving

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        try:
            for number in SIGNALS:
                loop.add_signal_handler(number, self._on_signal)
        except (ValueError, RuntimeError):  # not in the main thread: a test, which sets `stopping`
            yield
            return
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        """Stop; the second signal closes connections without waiting for responses under way."""
        if self.stopping.is_set() and self._server is not None:
            self._server.force_exit = True
        self.stopping.set()


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals, which would end the process before its other parts."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program."""
        yield


def http_config(
    app: FastAPI,
    shutdown_s: float,
    lobby: Lobby,
    **options: Any,  # noqa: ANN401 - uvicorn's
) -> uvicorn.Config:
    """Return the configuration of the HTTP server.

    Parameters
    ----------
    shutdown_s
        Seconds for requests to finish at the end.
    lobby
        Of the connections that wait for a request.
    """
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(GatewayHttp, lobby)),
        lifespan="off",
        timeout_graceful_shutdown=max(1, round(shutdown_s)),
        log_config=None,
        log_level="warning",  # at info uvicorn writes two lines per connection
        access_log=False,
        server_header=False,
        **options,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise ListenError when the address cannot be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        code = error.errno or 0  # below 0: of getaddrinfo, whose error has the text
        reason = os.strerror(code) if code > 0 else error.strerror or str(error)
        msg = f"cannot listen on {host}:{port} ({reason}); set VIGIL_HTTP_HOST or VIGIL_HTTP_PORT"
        raise ListenError(msg) from error
