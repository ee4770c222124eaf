"""Receive the heartbeats of a Site's cameras: the last of each that JetStream kept, then live ones.

Live ones come over a plain subscription: the next follows within two seconds, so that none has to be acknowledged. Most
repeat the one before; those are recognised by a few fields and not parsed.
"""

import asyncio
import datetime as dt
import json
from typing import Final

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from vigil_contracts.bus import MessageKind, bus_subjects, camera_stream, parse_subject
from vigil_contracts.bus_permissions import BusRole
from vigil_contracts.conditions import SiteReason
from vigil_contracts.events import CameraHeartbeat, EventError, decode
from vigil_operator.bus.heartbeats import BusProblem, Heartbeats
from vigil_runtime.backoff import KUBERNETES, Backoff
from vigil_runtime.bus import BUS_ERRORS, BusConnection, describe_error, read_last_values
from vigil_runtime.bus_address import BusAddress
from vigil_runtime.clock import clock_offset_s

log = structlog.get_logger(__name__)

FIELDS: Final = (
    *("sessionId", "state", "reason", "message", "fitness", "width", "height"),
    *("inferenceEndpoint", "inferenceTrouble"),
)
"""Fields of a heartbeat as JSON: the same as `heartbeats.meaning`."""
REFUSED: Final = "the server refuses the token; check the Secret that spec.bus.credentialsSecretRef names"


class BusListener:
    """One connection to one bus, for as long as it is wanted.

    Parameters
    ----------
    namespace
        The namespace of the Site that names this bus; other Cameras are ignored. None: the installation's own bus,
        which carries those of every namespace.
    """

    def __init__(self, address: BusAddress, heartbeats: Heartbeats, namespace: str | None = None) -> None:
        self.address = address
        self._namespace = namespace
        self._heartbeats = heartbeats
        self._connection = BusConnection(address, "vigil-operator", BusRole.OPERATOR, on_down=self._on_down)
        self._subscribed: Client | None = None
        self.settled = asyncio.Event()
        """Set when the last heartbeats were read, or could not be."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connection.connected

    async def run(self) -> None:
        """Connect, however long it takes, and listen until cancelled."""
        self._set_error(SiteReason.CONNECTING, "connecting")
        connecting = asyncio.create_task(self._connection.run(), name=f"connection {self.address.site}")
        try:
            await self._listen()
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            self._heartbeats.forget_bus(self.address.site, self._namespace)

    async def _listen(self) -> None:
        """Subscribe and read the last heartbeats after each connection."""
        seen, backoff = 0, Backoff(*KUBERNETES)
        while True:
            connection = await self._connection.wait_connected(after=seen)
            try:
                await self._subscribe()
                self._heartbeats.set_bus_problem(self.address.site, None, self._namespace)
                await self._read_last()
            except BUS_ERRORS as error:
                self._set_error(SiteReason.BUS_UNREACHABLE, describe_error(error))
                self.settled.set()
                await asyncio.sleep(backoff.next_s())
                continue
            seen = connection
            backoff.reset()
            self.settled.set()

    async def _subscribe(self) -> None:
        """Subscribe, unless this client has done so before: it renews its subscriptions when it reconnects."""
        client = self._connection.client
        if client is not self._subscribed:
            await client.subscribe(bus_subjects(self.address.site, MessageKind.CAMERA), cb=self._on_message)
            self._subscribed = client

    async def _read_last(self) -> None:
        """Read the last heartbeat of every camera; there is none without the stream."""
        try:
            async for last in read_last_values(self._connection.jetstream, camera_stream(self.address.site)):
                self.receive(last.subject, last.body, last.stored_at)
        except (NatsError, TimeoutError) as error:
            log.info("last heartbeats not read; live ones follow", reason=describe_error(error))

    async def _on_message(self, message: Msg) -> None:
        self.receive(message.subject, message.data)

    def receive(self, subject: str, body: bytes, kept_at: dt.datetime | None = None) -> None:
        """Note a heartbeat; what is none is ignored.

        Parameters
        ----------
        kept_at
            When JetStream stored it; None: it comes live.
        """
        try:
            camera = parse_subject(subject).camera
            if camera is None or self._namespace not in {None, camera.namespace}:
                return
            event = json.loads(body)
            meaning = tuple(event.get("data").get(name) for name in FIELDS)
            offset_s = clock_offset_s(event.get("time"), dt.datetime.now(dt.UTC)) if kept_at is None else None
            if kept_at is None and self._heartbeats.repeats(camera, meaning, offset_s):
                return
            beat = decode(body, CameraHeartbeat)
            if beat.camera.key != camera or beat.site != self.address.site:
                log.warning("heartbeat on another camera's subject", subject=subject, camera=str(beat.camera.key)[:200])
                return
        except (ValueError, AttributeError, EventError) as error:
            log.debug("not a heartbeat", subject=subject, reason=str(error))
            return
        age_s = (dt.datetime.now(dt.UTC) - kept_at).total_seconds() if kept_at is not None else 0.0
        self._heartbeats.note(camera, beat, age_s, meaning, offset_s)

    def _on_down(self, reason: str) -> None:
        if not self._connection.refused:
            self._set_error(SiteReason.BUS_UNREACHABLE, reason)
        elif self._namespace is None:
            self._set_error(SiteReason.BUS_CREDENTIALS_REFUSED, reason)
        else:
            self._set_error(SiteReason.BUS_CREDENTIALS_REFUSED, REFUSED)
        self.settled.set()

    def _set_error(self, reason: SiteReason, message: str) -> None:
        error = BusProblem(reason, f"{self.address.url}: {message}")
        self._heartbeats.set_bus_problem(self.address.site, error, self._namespace)
