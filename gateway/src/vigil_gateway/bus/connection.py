"""The connection to NATS, for as long as the process lives."""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from vigil_contracts.bus import Stream, streams

log = structlog.get_logger(__name__)

API_TIMEOUT_S: Final = 5.0
"""For one request to JetStream."""

BUS_ERRORS: Final = (NatsError, TimeoutError, OSError)
"""What trying again may cure."""


class BusAwayError(Exception):
    """NATS cannot be reached now."""


@dataclass(frozen=True, slots=True)
class BusAddress:
    """Where the bus is.

    Attributes
    ----------
    url
        `nats://host:port`, without credentials.
    """

    url: str
    token: str | None
    site: str


class Bus:
    """One connection with its JetStream context, and the site's streams."""

    def __init__(self, address: BusAddress, name: str) -> None:
        self.address = address
        self.errors = 0
        self.reason = "not connected yet"
        self._name = name
        self._client = Client()
        self._jetstream: JetStreamContext | None = None
        self._ready = asyncio.Event()
        self._told = False
        self._closing = False

    @property
    def connected(self) -> bool:
        """Whether NATS is there at this moment."""
        return bool(self._client.is_connected)

    @property
    def ready(self) -> bool:
        """Whether NATS is there and has the site's streams."""
        return self.connected and self._ready.is_set()

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream; raises BusAwayError before the first connection."""
        if self._jetstream is None:
            raise BusAwayError(self.reason)
        return self._jetstream

    async def wait_ready(self) -> None:
        """Wait until the connection was made and the streams are there."""
        await self._ready.wait()

    async def run(self) -> None:
        """Connect, however long it takes, make the streams, and hold the connection until cancelled."""
        try:
            await self._connect()
            await self.ensure_streams()
            self._ready.set()
            self._told = False
            log.info("bus connected", site=self.address.site)
            await asyncio.Event().wait()
        finally:
            self._closing = True
            await self._client.close()

    async def _connect(self) -> None:
        await self._client.connect(
            servers=[self.address.url],
            token=self.address.token,
            name=self._name,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            connect_timeout=3,
            ping_interval=5,
            max_outstanding_pings=2,
            error_cb=self._error,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
        )
        self._jetstream = self._client.jetstream(timeout=API_TIMEOUT_S)

    async def ensure_streams(self) -> None:
        """Make the site's streams unless they are there, however long it takes."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(BUS_ERRORS), wait=wait_random_exponential(multiplier=0.1, max=2), reraise=True
        ):
            with attempt:
                try:
                    for stream in streams(self.address.site):
                        await ensure_stream(self.jetstream, stream)
                except BUS_ERRORS as error:
                    await self._error(BusAwayError(f"streams cannot be made: {type(error).__name__}: {error}"))
                    raise

    async def _error(self, error: Exception) -> None:
        self.errors += 1
        self.reason = f"{type(error).__name__}: {error}"
        if not self._told:  # one line per outage: each attempt is reported
            log.warning("bus cannot be reached; trying again until it can", reason=self.reason)
            self._told = True

    async def _disconnected(self) -> None:
        if not self._closing:
            log.warning("bus disconnected")

    async def _reconnected(self) -> None:
        self._told = False
        log.info("bus connected again")


async def ensure_stream(jetstream: JetStreamContext, stream: Stream) -> None:
    """Make a stream as the contracts describe it; one that is there is given our subjects, and else left alone."""
    try:
        config = (await jetstream.stream_info(stream.name)).config
    except NotFoundError:
        await jetstream.add_stream(_config(stream))
        return
    held = config.subjects or []
    if missing := stream.missing_from(held):
        log.warning("stream does not take all of our subjects; they are added", stream=stream.name, added=missing)
        await jetstream.update_stream(config.evolve(subjects=[*held, *missing]))


def _config(stream: Stream) -> StreamConfig:
    return StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=stream.max_age_s,
        max_bytes=stream.max_bytes,
        max_msgs_per_subject=stream.max_msgs_per_subject,
        duplicate_window=stream.effective_duplicate_window_s,
    )
