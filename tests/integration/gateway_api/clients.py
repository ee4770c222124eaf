"""Clients of the subscription `sightings`: one that listens, and one that does not."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import websockets
from tests.integration.gateway_api.running import DEADLINE_S, TOKEN, Api, eventually
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

EVENT_FIELDS = "cursor seq revision superseded sighting { id state camera { name } } identity { status }"


@contextlib.asynccontextmanager
async def socket_to(api: Api, token: str | None = TOKEN, **options: Any) -> AsyncIterator[ClientConnection]:
    """Open a WebSocket and let it in."""
    protocols = [websockets.Subprotocol("graphql-transport-ws")]
    async with connect(api.ws, subprotocols=protocols, close_timeout=2, **options) as ws:
        payload = {"authorization": f"Bearer {token}"} if token else {}
        await ws.send(json.dumps({"type": "connection_init", "payload": payload}))
        answer = json.loads(await asyncio.wait_for(ws.recv(), DEADLINE_S))
        assert answer["type"] == "connection_ack", answer
        yield ws


@dataclass
class Listener:
    """One subscription of `sightings` that keeps what it received."""

    ws: ClientConnection
    received: list[dict[str, Any]] = field(default_factory=list)
    last: dict[str, Any] | None = None

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.received]

    async def run(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in self.ws:
                message = json.loads(text)
                if message["type"] == "next" and not message["payload"].get("errors"):
                    self.received.append(next(iter(message["payload"]["data"].values())))
                else:
                    self.last = message


@contextlib.asynccontextmanager
async def listening(
    api: Api, after: str | None = None, filter_: str = "", fields: str = EVENT_FIELDS
) -> AsyncIterator[Listener]:
    """Subscribe to `sightings`, and wait until the subscription has begun."""
    arguments = f"(after: $after{', filter: ' + filter_ if filter_ else ''})"
    query = f"subscription Live($after: String) {{ sightings{arguments} {{ {fields} }} }}"
    async with socket_to(api) as ws:
        before = len(api.parts.services.hub.followers)
        await ws.send(
            json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query, "variables": {"after": after}}})
        )
        listener = Listener(ws)
        task = asyncio.create_task(listener.run())
        try:
            await eventually(
                lambda: len(api.parts.services.hub.followers) > before or listener.last is not None, "subscribed"
            )
            yield listener
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@dataclass
class StalledSocket:
    """A client that subscribes and then does not read: a plain socket with a small buffer."""

    reader: asyncio.StreamReader
    protocol: ClientProtocol
    seqs: list[int] = field(default_factory=list)

    async def _read(self) -> bool:
        data = await asyncio.wait_for(self.reader.read(65536), DEADLINE_S)
        if not data:
            return False
        self.protocol.receive_data(data)
        for frame in self.protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode is Opcode.TEXT:
                self.seqs.append(json.loads(bytes(frame.data))["payload"]["data"]["sightings"]["seq"])
        return True

    async def read_until(self, count: int) -> list[int]:
        """Read until so many events have come."""
        while len(self.seqs) < count and await self._read():
            pass
        return self.seqs

    async def read_on(self) -> tuple[int | None, str, int]:
        """Read to the end: close code (None when the connection broke), reason and the last event."""
        with contextlib.suppress(ConnectionError):
            while await self._read():
                pass
        close = self.protocol.close_rcvd
        return (close.code if close else None), (close.reason if close else ""), (self.seqs[-1] if self.seqs else 0)


@contextlib.asynccontextmanager
async def stalled_socket(api: Api) -> AsyncIterator[StalledSocket]:
    """Subscribe by hand over a socket with a receive buffer of 4 KiB, and read nothing more."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", api.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=4096)
    protocol = ClientProtocol(parse_uri(api.ws), subprotocols=[websockets.Subprotocol("graphql-transport-ws")])

    async def send(text: str | None = None) -> None:
        if text is not None:
            protocol.send_text(text.encode())
        writer.write(b"".join(protocol.data_to_send()))
        await writer.drain()

    protocol.send_request(protocol.connect())
    await send()
    while protocol.state is not State.OPEN:
        protocol.receive_data(await asyncio.wait_for(reader.read(4096), DEADLINE_S))
    protocol.events_received()
    await send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {TOKEN}"}}))
    while not protocol.events_received():
        protocol.receive_data(await asyncio.wait_for(reader.read(4096), DEADLINE_S))
    query = "subscription { sightings { seq identity { subject { displayName } } } }"
    await send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
    try:
        yield StalledSocket(reader, protocol)
    finally:
        writer.transport.abort()
