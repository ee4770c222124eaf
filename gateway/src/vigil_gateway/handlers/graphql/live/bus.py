"""From the bus: that there are new matches, for the feed; heartbeats, for the cameras.

A plain subscription, not a consumer: the server keeps nothing for a gateway that may never come back, and events that
are missed while there is no connection are read from Postgres.
"""

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Final

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from vigil_contracts.bus import MSG_ID_HEADER, MessageKind, bus_subjects, camera_stream, parse_subject
from vigil_contracts.bus_permissions import BusRole
from vigil_contracts.ids import ResourceKey
from vigil_runtime.backoff import CONNECTION, Backoff, retry
from vigil_runtime.bus import BUS_ERRORS, BusConnection, read_last_values
from vigil_runtime.bus_address import BusAddress

log = structlog.get_logger(__name__)

_MAX_DIGITS: Final = 19
"""Of a position: they are 64 bit integers."""

SNAPSHOT_S: Final = 60.0
"""For the last heartbeats to be read: after its restart, JetStream needs a while; new heartbeats replace them."""


class BusListener(BusConnection):
    """The connection of one API process to the bus of its site."""

    def __init__(
        self,
        address: BusAddress,
        on_match: Callable[[int | None], None],
        on_camera: Callable[[ResourceKey, bytes, float], None],
    ) -> None:
        super().__init__(address, "vigil-gateway api", BusRole.API)
        self._on_match = on_match
        self._on_camera = on_camera
        self._subscribed: Client | None = None

    async def run(self) -> None:
        """Hold the connection and listen until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            await super().run()

    async def _listen(self) -> None:
        """Subscribe with each new client, and read the last heartbeats after each connection."""
        number = 0
        while True:
            number = await self.wait_connected(after=number)
            await retry(self._subscribe, on=BUS_ERRORS, backoff=Backoff(*CONNECTION))
            try:
                async with asyncio.timeout(SNAPSHOT_S):
                    await retry(self._read_heartbeats, on=BUS_ERRORS, backoff=Backoff(*CONNECTION))
            except TimeoutError:
                log.warning("last heartbeats not read in time", seconds=SNAPSHOT_S)

    async def _subscribe(self) -> None:
        """Subscribe, unless this client has: it does so by itself after it reconnected."""
        client = self.client
        if client is self._subscribed:
            return
        await client.subscribe(bus_subjects(self.address.site, MessageKind.MATCH), cb=self._receive_match)
        await client.subscribe(bus_subjects(self.address.site, MessageKind.CAMERA), cb=self._receive_heartbeat)
        self._subscribed = client

    async def _receive_match(self, message: Msg) -> None:
        self._on_match(_position(message))
        message.data = b""  # the client keeps a message until the next one, and this one may name somebody

    async def _receive_heartbeat(self, message: Msg) -> None:
        self._receive(message.subject, message.data, age_s=0.0)

    def _receive(self, subject: str, body: bytes, age_s: float) -> None:
        try:
            camera = parse_subject(subject).camera
        except ValueError as error:
            log.warning("heartbeat on a subject of no camera", reason=str(error)[:500])
            return
        if camera is not None:
            self._on_camera(camera, body, age_s)

    async def _read_heartbeats(self) -> None:
        """Receive the last heartbeat of every camera, those that no longer send one included."""
        async for last in read_last_values(self.jetstream, camera_stream(self.address.site)):
            self._receive(last.subject, last.body, (dt.datetime.now(dt.UTC) - last.stored_at).total_seconds())


def _position(message: Msg) -> int | None:
    """Return the position that a match's message id names, as a hint: `match:7`."""
    _, _, position = (message.headers or {}).get(MSG_ID_HEADER, "").rpartition(":")
    return int(position) if position.isdecimal() and len(position) < _MAX_DIGITS else None
