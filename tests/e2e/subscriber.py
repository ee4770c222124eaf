"""A frontend as its developer would write it: a graphql-transport-ws client that resumes after its last cursor."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import websockets
from websockets.asyncio.client import connect

SIGHTINGS = """
subscription Sightings($after: String) {
  sightings(after: $after) {
    cursor revision superseded
    sighting { id state revision camera { name } openedAt lastSeenAt }
    identity { status similarity subject { name displayName } }
  }
}
"""


@dataclass
class Subscriber:
    """Receives every event after its cursor, over several connections if needed.

    Attributes
    ----------
    url, token
        Of the GraphQL endpoint, `ws://…/graphql`.
    events
        All events so far, in the order of their arrival.
    """

    url: str
    token: str
    cursor: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    refused: list[Any] = field(default_factory=list)
    connections: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Listen until cancelled; a lost connection is made again after a moment."""
        while True:
            try:
                async for event in self._listen():
                    self.cursor = event["cursor"]
                    self.events.append(event)
                    self.changed.set()
            except (OSError, TimeoutError, websockets.WebSocketException):
                await asyncio.sleep(0.2)

    async def _listen(self) -> AsyncIterator[dict[str, Any]]:
        async with connect(
            self.url, subprotocols=[websockets.Subprotocol("graphql-transport-ws")], open_timeout=5
        ) as socket:
            payload = {"authorization": f"Bearer {self.token}"}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            answer = json.loads(await asyncio.wait_for(socket.recv(), 10))
            assert answer["type"] == "connection_ack", answer
            self.connections += 1
            body = {"query": SIGHTINGS, "variables": {"after": self.cursor}}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": body}))
            async for text in socket:
                message = json.loads(text)
                if message["type"] == "next" and not message["payload"].get("errors"):
                    yield message["payload"]["data"]["sightings"]
                elif message["type"] == "ping":
                    await socket.send(json.dumps({"type": "pong"}))
                elif message["type"] != "pong":
                    self.refused.append(message)
                    return
