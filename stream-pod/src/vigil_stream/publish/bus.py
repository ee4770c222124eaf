"""From the journal to JetStream: in order, a bounded number under way, each until it is acknowledged.

Losing the bus never loses an event and never delays the analysis. An event without an acknowledgement is sent again;
its id lets JetStream, and identity behind it, recognise the repetition.
"""

import asyncio
import contextlib
import datetime as dt
import time
from typing import Final

from nats.js import JetStreamContext
from nats.js.errors import NoStreamResponseError

from vigil_contracts import bus
from vigil_contracts.addresses import shown_address
from vigil_contracts.bus import MessageKind
from vigil_contracts.bus_permissions import BusRole
from vigil_contracts.ids import ResourceKey
from vigil_runtime.backoff import CONNECTION, Backoff
from vigil_runtime.bus import BUS_ERRORS, BusAwayError, BusConnection, describe_error
from vigil_runtime.bus_address import BusAddress
from vigil_stream.observer import StreamObserver
from vigil_stream.publish.journal import Entry, Journal, JournalError

WINDOW: Final = 64
"""Events under way at once: enough to send an hour's backlog in seconds, few enough to be sent again without harm."""

POLL_S: Final = 30.0
"""Seconds after which the journal is read again without a report of new events."""

PENDING_BYTES: Final = 1 << 20
"""Bytes that nats.py may hold without a connection: a late heartbeat is of no use, and events wait in the journal."""

_ERRORS: Final = (*BUS_ERRORS, JournalError)


class Publisher:
    """Sends the events of the journal; runs on an event loop.

    Parameters
    ----------
    journal
        Where events wait.
    address
        The address of the bus.
    camera
        Names the subjects.
    observer
        Takes the error of the bus, and the seconds from sending an event to its acknowledgement.
    new_events
        Set when the journal has new events; on the event loop.
    """

    def __init__(
        self,
        journal: Journal,
        address: BusAddress,
        camera: ResourceKey,
        observer: StreamObserver,
        new_events: asyncio.Event,
    ) -> None:
        self._journal = journal
        self._address = address
        self._camera = camera
        self._subjects = {kind: bus.bus_subject(address.site, kind, camera) for kind in MessageKind}
        self._observer = observer
        self._new_events = new_events
        self._connection = BusConnection(
            address,
            f"vigil-stream {camera}",
            BusRole.STREAM,
            camera=camera,
            on_up=self._on_up,
            on_down=self._on_down,
            pending_bytes=PENDING_BYTES,
        )
        self._connecting: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connection.connected

    async def run(self) -> None:
        """Connect and send, until cancelled. The connection stays for the last events and heartbeat, until `close`."""
        self._connecting = asyncio.create_task(self._connection.run(), name="bus connection")
        sending = asyncio.create_task(self._send_forever(), name="send events")
        try:
            # Neither ends by itself: an error of one of them is a fault of the process.
            done, _ = await asyncio.wait({self._connecting, sending}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            sending.cancel()
            await asyncio.wait({sending})

    async def _send_forever(self) -> None:
        await self._connection.wait_connected()
        backoff = Backoff(*CONNECTION)
        while True:
            self._new_events.clear()
            try:
                await self._send_all()
                backoff.reset()
            except _ERRORS as error:
                # Without their number: a Camera's condition is written anew with each change of the message.
                reason = _describe(error)
                url = shown_address(self._address.url)
                self._set_error(f"the bus at {url} takes no events ({reason}); events wait on disk")
                await asyncio.sleep(backoff.next_s())
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._new_events.wait()

    def _set_error(self, message: str) -> None:
        self._observer.set_error("bus", message)

    def _on_up(self) -> None:
        self._set_error("")
        self._new_events.set()

    def _on_down(self, reason: str) -> None:
        self._set_error(f"the bus at {shown_address(self._address.url)} is away ({reason}); events wait on disk")

    async def _send_all(self) -> None:
        """Send until no event waits; raises when the bus does not take one."""
        if not self._connection.connected:
            # nats.py would keep it in memory until it is connected, and time out.
            if self._journal.pending:
                raise BusAwayError(self._connection.last_error or "not connected")
            return
        jetstream = self._connection.jetstream
        after = 0
        while batch := self._journal.next_batch(after, WINDOW):
            results = await asyncio.gather(*(self._send(jetstream, entry) for entry in batch), return_exceptions=True)
            acknowledged = [entry.seq for entry, result in zip(batch, results, strict=True) if result is None]
            if acknowledged:
                self._journal.acknowledged(acknowledged)
            failed = next((result for result in results if isinstance(result, Exception)), None)
            if failed is not None:
                raise failed
            after = batch[-1].seq
        self._set_error("")

    async def _send(self, jetstream: JetStreamContext, entry: Entry) -> None:
        started = time.perf_counter()
        headers = {
            bus.MSG_ID_HEADER: bus.message_id(self._camera, entry.event_id, entry.body),
            bus.SENT_AT_HEADER: dt.datetime.now(dt.UTC).isoformat(),
            "Content-Type": bus.CONTENT_TYPE,
        }
        if entry.position is not None:
            headers[bus.POSITION_HEADER] = str(entry.position)
        await jetstream.publish(self._subjects[entry.kind], entry.body, headers=headers)
        self._observer.observe_duration("publish", time.perf_counter() - started)

    async def publish_heartbeat(self, body: bytes) -> None:
        """Publish a heartbeat if there is a connection; the next heartbeat follows within two seconds."""
        with contextlib.suppress(*BUS_ERRORS):
            await self._connection.client.publish(self._subjects[MessageKind.CAMERA], body)

    async def flush(self, deadline_s: float) -> bool:
        """Send the waiting events at the end of the process; return False when the deadline came first."""
        try:
            async with asyncio.timeout(deadline_s):
                await self._send_all()
                if self._connection.connected:
                    await self._connection.client.flush()
        except _ERRORS:
            return False
        return True

    async def close(self, deadline_s: float) -> None:
        """Close the connection; after the deadline it is left to the end of the process."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting}, timeout=deadline_s)


def _describe(error: Exception) -> str:
    if isinstance(error, NoStreamResponseError):
        return "it has no stream for sightings yet, which identity makes"
    return describe_error(error)
