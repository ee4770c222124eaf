"""Listen to the bus: match events for the feed, heartbeats for the cameras.

A plain subscription, not a consumer: nothing is kept on the server for a gateway that may never come back, and what is
missed while the connection is away is read from Postgres.
"""

import asyncio
from collections.abc import Callable

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from vigil_contracts.bus import Kind, camera_stream, subjects

log = structlog.get_logger(__name__)

SNAPSHOT_BATCH = 256
SNAPSHOT_FOR_S = 60
"""After a restart JetStream needs a while; heartbeats fill in what the snapshot would have told."""


class BusListener:
    """The connection to NATS, for as long as the process lives."""

    def __init__(
        self,
        url: str,
        token: str | None,
        site: str,
        on_match: Callable[[bytes], None],
        on_camera: Callable[[bytes], None],
    ) -> None:
        self._url = url
        self._token = token
        self._site = site
        self._on_match = on_match
        self._on_camera = on_camera
        self._client: Client | None = None
        self._snapshot: asyncio.Task[None] | None = None
        self._told = False

    @property
    def connected(self) -> bool:
        """Whether the bus can be heard at this moment."""
        return self._client is not None and self._client.is_connected

    async def run(self) -> None:
        """Connect, however long it takes, and listen until cancelled."""
        client = Client()
        try:
            await client.connect(
                servers=[self._url],
                token=self._token,
                name="vigil-gateway api",
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                connect_timeout=5,
                ping_interval=10,
                max_outstanding_pings=2,
                error_cb=self._error,
                disconnected_cb=self._disconnected,
                reconnected_cb=self._reconnected,
            )
            self._client = client
            await client.subscribe(subjects(self._site, Kind.MATCH), cb=self._matched)
            await client.subscribe(subjects(self._site, Kind.CAMERA), cb=self._camera)
            log.info("listening to the bus", site=self._site)
            await self._reconnected()
            await asyncio.Event().wait()
        finally:
            if self._snapshot is not None:
                self._snapshot.cancel()
            await client.close()

    async def _matched(self, message: Msg) -> None:
        self._on_match(message.data)

    async def _camera(self, message: Msg) -> None:
        self._on_camera(message.data)

    async def _error(self, error: Exception) -> None:
        if not self._told:  # one line per outage: reconnecting reports each attempt
            log.warning("bus cannot be reached; trying again until it can", error=f"{type(error).__name__}: {error}")
            self._told = True

    async def _disconnected(self) -> None:
        log.warning("bus disconnected")

    async def _reconnected(self) -> None:
        self._told = False
        if self._snapshot is not None:
            self._snapshot.cancel()
        self._snapshot = asyncio.create_task(self._take_snapshot())

    async def _take_snapshot(self) -> None:
        """Ask for the last heartbeat of every camera, those that no longer send one included."""
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type((NatsError, OSError)),
                stop=stop_after_delay(SNAPSHOT_FOR_S),
                wait=wait_random_exponential(multiplier=0.2, max=5),
                reraise=True,
            ):
                with attempt:
                    await self._read_states()
        except (NatsError, OSError) as error:
            log.warning("last heartbeats could not be read", error=f"{type(error).__name__}: {error}")

    async def _read_states(self) -> None:
        if self._client is None:
            return
        stream = camera_stream(self._site).name
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT, ack_policy=AckPolicy.NONE, inactive_threshold=30
        )
        try:
            consumer = await self._client.jetstream().pull_subscribe(
                subjects(self._site, Kind.CAMERA), stream=stream, config=config
            )
        except NotFoundError:
            return  # no camera has spoken at this site yet
        try:
            pending = (await consumer.consumer_info()).num_pending or 0
            while pending > 0:
                batch = await consumer.fetch(min(pending, SNAPSHOT_BATCH), timeout=5)
                for message in batch:
                    self._on_camera(message.data)
                pending -= len(batch)
        finally:
            await consumer.unsubscribe()
