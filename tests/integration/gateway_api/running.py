"""The API in the event loop of a test, and a connection to its bus."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import nats
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from pydantic import SecretStr
from tests.integration.gateway_api.identity import SITE
from tests.support import waiting
from tests.support.servers import NatsServer

from vigil_contracts.bus import streams
from vigil_gateway.api.factory import Parts
from vigil_gateway.api.limits import ApiLimits
from vigil_gateway.api.program import ApiProgram
from vigil_gateway.settings import ApiSettings
from vigil_runtime.bus import ensure_stream

TOKEN = "a-token-of-the-tests"
METRICS_TOKEN = "another-token-of-the-tests"
DEADLINE_S = 20.0
READY_S = 1.0
"""For an API whose database is there to know the newest event."""


async def eventually(condition: Callable[[], Any], what: str) -> None:
    """Wait until a condition holds."""
    await waiting.eventually(condition, DEADLINE_S, what, poll_s=0.02)


@dataclass
class Api:
    """The running API."""

    port: int
    parts: Parts
    stop: Callable[[], None]

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    def cursor(self, seq: int) -> str:
        """Return the cursor of an event of this history, once that is known."""
        assert self.parts.services.hub.feed.ready.is_set()
        return self.parts.services.hub.cursor(seq)

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def running_api(database_url: str, nats_server: NatsServer, **limits: Any) -> AsyncIterator[Api]:
    """Run the API in this event loop, on a free port."""
    settings = ApiSettings(
        site=SITE,
        nats_url=nats_server.url,
        nats_token=SecretStr(nats_server.token),
        database_url=SecretStr(database_url),
        token=SecretStr(TOKEN),
        metrics_token=SecretStr(METRICS_TOKEN),
    )
    program = ApiProgram(settings, ApiLimits(**limits))
    task = asyncio.create_task(program.serve())
    await eventually(lambda: program.started or task.done(), "the server listens")
    feed = program.parts.services.hub.feed
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            await feed.ready.wait()
    try:
        yield Api(program.port, program.parts, program.stopping.set)
    finally:
        program.stopping.set()
        await asyncio.wait_for(task, DEADLINE_S)


async def httpx_get(api: Api, path: str) -> httpx.Response:
    """Ask the API over plain HTTP."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=api.http, timeout=DEADLINE_S, headers=headers) as client:
        return await client.get(path)


async def bus_client(nats_server: NatsServer) -> Client:
    """Connect to the bus, with the site's streams there and empty."""
    client = await nats.connect(
        nats_server.url, token=nats_server.token, max_reconnect_attempts=-1, reconnect_time_wait=0.1
    )
    for stream in streams(SITE):
        with contextlib.suppress(NotFoundError):
            await client.jetstream().delete_stream(stream.name)
        await ensure_stream(client.jetstream(), stream)
    return client
