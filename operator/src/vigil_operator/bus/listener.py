"""Hear the heartbeats of a Site's cameras: the last of each that JetStream kept, then live.

Live ones come over a plain subscription: the next is two seconds away, so that nothing has to be made certain. Most say
what the one before said; those are told by a few fields and not parsed.
"""

import asyncio
import contextlib
import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Final

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from vigil_contracts.bus import Kind, camera_stream, parse_subject, subjects
from vigil_contracts.events import CameraHeartbeat, EventError, decode
from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.queue import Backoff

log = structlog.get_logger(__name__)

BATCH: Final = 256
FETCH_S: Final = 2.0
LOOK_S: Final = 10.0
"""How often a connection of which nothing is told is looked at; one that lasts so long is well."""
FIELDS: Final = (
    *("sessionId", "state", "reason", "message", "fitness", "width", "height"),
    *("inferenceEndpoint", "inferenceTrouble"),
)
"""Of a heartbeat as JSON: the same as `heartbeats.meaning`."""


@dataclass(frozen=True, slots=True)
class BusAddress:
    """Where a Site's bus is.

    Attributes
    ----------
    url
        `nats://host:port`, without credentials.
    namespace
        Of the Site that names this bus: what it says of Cameras elsewhere is not believed. None: the installation's own
        bus, which carries those of every namespace.
    """

    site: str
    url: str
    token: str | None = field(repr=False)
    namespace: str | None = None


class BusListener:
    """One connection to one bus, for as long as it is wanted."""

    def __init__(self, address: BusAddress, heartbeats: Heartbeats) -> None:
        self.address = address
        self._heartbeats = heartbeats
        self._client = Client()
        self._turned = asyncio.Event()
        """Set when the client connected again or gave up for good."""
        self._backoff: Backoff[None] = Backoff(first_s=1.0, most_s=30.0)
        self._told = False
        self.settled = asyncio.Event()
        """Set when the last heartbeats were read, or could not be."""

    async def run(self) -> None:
        """Connect, however long it takes, and listen until cancelled."""
        self._trouble("connecting")
        try:
            while True:
                try:
                    await self._connect_and_listen()
                except (NatsError, TimeoutError, OSError) as error:
                    self._broken(error)
                    await asyncio.sleep(self._backoff.next_s(None))
        finally:
            self._heartbeats.forget_bus(self.address.site, self.address.namespace)

    async def _connect_and_listen(self) -> None:
        self._client = Client()
        try:
            await self._connect()
            await self._listen()
        finally:
            # A client that connected goes on by itself; another takes its place.
            await self._client.close()

    async def _connect(self) -> None:
        await self._client.connect(
            servers=[self.address.url],
            token=self.address.token,
            name="vigil-operator",
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            connect_timeout=3,
            ping_interval=5,
            max_outstanding_pings=2,
            error_cb=self._error,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
            closed_cb=self._closed,
        )

    async def _listen(self) -> None:
        await self._client.subscribe(subjects(self.address.site, Kind.CAMERA), cb=self._heard)
        self._well()
        while True:
            self._turned.clear()
            await self._catch_up()
            self.settled.set()
            await self._until_it_turns()

    async def _until_it_turns(self) -> None:
        """Wait until the client connected again by itself; NatsError when it gave up, which the server can make it do.

        An error that the server sends over a connection that stood, such as that its token holds no longer, closes the
        client for good.
        """
        while not self._turned.is_set() and not self._client.is_closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._turned.wait()
            if self._client.is_connected:
                self._backoff.forget(None)
        if self._client.is_closed:
            why = self._client.last_error
            raise why if isinstance(why, NatsError) else ConnectionClosedError from why

    async def _catch_up(self) -> None:
        """Read the last heartbeat of every camera; without the stream nobody has ever sent one."""
        jetstream = self._client.jetstream(timeout=5)
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=30,
            mem_storage=True,
        )
        stream = camera_stream(self.address.site)
        try:
            kept = await jetstream.pull_subscribe(stream.subjects[0], stream=stream.name, config=config)
            pending = (await kept.consumer_info()).num_pending
            while pending:
                messages = await kept.fetch(min(BATCH, pending), timeout=FETCH_S)
                for message in messages:
                    self._take(message.subject, message.data, message.metadata.timestamp)
                pending = messages[-1].metadata.num_pending if messages else 0
            await kept.unsubscribe()
        except NotFoundError:
            return
        except (NatsError, TimeoutError) as error:
            log.info("the last heartbeats were not read; live ones follow", reason=f"{type(error).__name__}: {error}")

    async def _heard(self, message: Msg) -> None:
        self._take(message.subject, message.data, None)

    def _take(self, subject: str, body: bytes, sent_at: dt.datetime | None) -> None:
        try:
            camera = parse_subject(subject).camera
            if camera is None or self.address.namespace not in {None, camera.namespace}:
                return
            data = json.loads(body).get("data")
            meaning = tuple(data.get(name) for name in FIELDS)
            if sent_at is None and self._heartbeats.repeats(camera, meaning):
                return
            beat = decode(body, CameraHeartbeat)
        except (ValueError, AttributeError, EventError) as error:
            log.debug("not a heartbeat", subject=subject, reason=str(error))
            return
        age_s = (dt.datetime.now(dt.UTC) - sent_at).total_seconds() if sent_at is not None else 0.0
        self._heartbeats.note(camera, beat, age_s, meaning)

    def _trouble(self, reason: str) -> None:
        self._set_trouble(f"{self.address.url}: {reason}")

    def _set_trouble(self, told: str) -> None:
        self._heartbeats.set_bus_trouble(self.address.site, told, self.address.namespace)

    def _well(self) -> None:
        self._told = False
        self._set_trouble("")
        log.info("bus connected", site=self.address.site)

    async def _error(self, error: Exception) -> None:
        if not self._client.is_connected:
            self._broken(error)
        else:
            self._tell(error)

    def _broken(self, error: Exception) -> None:
        self._trouble(_reason(error))
        self.settled.set()
        self._tell(error)

    def _tell(self, error: Exception) -> None:
        if not self._told:  # one line per outage: each attempt is reported
            site, reason = self.address.site, _reason(error)
            log.warning("trouble with the bus; trying again until it works", site=site, reason=reason)
            self._told = True

    async def _disconnected(self) -> None:
        if not self._client.is_closed:
            self._trouble("disconnected")

    async def _reconnected(self) -> None:
        self._well()
        self._turned.set()

    async def _closed(self) -> None:
        self._turned.set()


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
