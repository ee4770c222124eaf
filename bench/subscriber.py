"""A GraphQL subscriber that notes the arrival of each event."""

import asyncio
import contextlib
import datetime as dt
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import websockets
from websockets.asyncio.client import connect

QUERY = """
subscription {
  sightings {
    seq revision superseded
    sighting { id state frames camera { name } }
    identity { status subject { name } }
    trace { capturedAt detectedAt embeddedAt publishedAt identifiedAt }
  }
}
"""
STAGES = ("capturedAt", "detectedAt", "embeddedAt", "publishedAt", "identifiedAt")


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One event.

    Attributes
    ----------
    at
        Seconds since the epoch when it arrived.
    seq
        Its number in the site's order.
    state
        Of the sighting.
    subject
        Name of the Subject; None when the person is not in the gallery.
    stations
        Seconds since the epoch at which the frame that caused it passed each of `STAGES`, as far as it did.
    """

    at: float
    seq: int
    state: str
    subject: str | None
    stations: dict[str, float]


@dataclass(slots=True)
class Listener:
    """The events received so far, and the error that ended the subscription."""

    received: list[ReceivedEvent] = field(default_factory=list)
    error: str = ""

    def since(self, epoch_s: float) -> list[ReceivedEvent]:
        """Return the events that arrived after a moment."""
        return [event for event in self.received if event.at >= epoch_s]


def read_event(event: dict[str, Any], at: float) -> ReceivedEvent:
    """Convert an event of the subscription."""
    trace = event.get("trace") or {}
    stations = {name: dt.datetime.fromisoformat(trace[name]).timestamp() for name in STAGES if trace.get(name)}
    subject = event["identity"]["subject"]
    return ReceivedEvent(at, int(event["seq"]), event["sighting"]["state"], subject and subject["name"], stations)


@contextlib.asynccontextmanager
async def listen(url: str, token: str) -> AsyncIterator[Listener]:
    """Receive every sighting as long as the context lasts; it is entered when the subscription is active."""
    listener = Listener()
    protocol = websockets.Subprotocol("graphql-transport-ws")
    async with connect(url, subprotocols=[protocol], open_timeout=10, compression=None) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
        reply = json.loads(await asyncio.wait_for(socket.recv(), 10))
        if reply["type"] != "connection_ack":
            msg = f"the api refused the subscriber: {reply}"
            raise RuntimeError(msg)
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": QUERY}}))
        task = asyncio.create_task(_receive(socket, listener))
        try:
            yield listener
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _receive(socket: Any, listener: Listener) -> None:  # noqa: ANN401 - websockets' connection
    try:
        async for text in socket:
            at, message = time.time(), json.loads(text)
            if message["type"] == "ping":
                await socket.send(json.dumps({"type": "pong"}))
            elif message["type"] == "next" and not message["payload"].get("errors"):
                listener.received.append(read_event(message["payload"]["data"]["sightings"], at))
            elif message["type"] != "pong":
                listener.error = text
                return
    except websockets.WebSocketException as error:
        listener.error = str(error)
