"""Promises of the transport: authentication, limits, and answers to misuse of the protocol."""

import asyncio
import contextlib
import datetime as dt
import json
from typing import Any

import httpx
import pytest
import websockets
from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport
from tests.integration.gateway_api.clients import socket_to
from tests.integration.gateway_api.identity import SITE, Identity, a_match
from tests.integration.gateway_api.running import DEADLINE_S, TOKEN, Api, eventually, running_api
from tests.support.servers import NatsServer
from websockets.asyncio.client import ClientConnection, connect

from vigil_contracts.bus import MessageKind, bus_subject
from vigil_contracts.conditions import SourceReason
from vigil_contracts.events import CameraHeartbeat, CameraRef, CameraState, encode_heartbeat
from vigil_contracts.ids import ResourceKey

pytestmark = pytest.mark.integration
INIT = json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {TOKEN}"}})
PROTOCOL = [websockets.Subprotocol("graphql-transport-ws")]


async def closed(ws: ClientConnection) -> tuple[int | None, str]:
    """Wait for the end of a connection: its code and reason."""
    with contextlib.suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await ws.recv()
    return ws.close_code, ws.close_reason or ""


async def answer(ws: ClientConnection, query: Any, operation: str = "1") -> dict[str, Any]:
    """Send one operation and return the first answer to it."""
    await ws.send(json.dumps({"id": operation, "type": "subscribe", "payload": {"query": query}}))
    async with asyncio.timeout(DEADLINE_S):
        while True:
            message: dict[str, Any] = json.loads(await ws.recv())
            if message.get("id") == operation:
                return message


async def test_an_ordinary_client_library_receives_events(api: Api, identity: Identity) -> None:
    transport = WebsocketsTransport(
        url=api.ws, init_payload={"authorization": f"Bearer {TOKEN}"}, subprotocols=[*PROTOCOL], close_timeout=1
    )
    async with Client(transport=transport, fetch_schema_from_transport=True) as session:
        events = session.subscribe(gql("subscription { sightings { cursor sighting { camera { name } } } }"))
        first = asyncio.ensure_future(anext(events))
        await eventually(lambda: len(api.parts.services.hub.followers) == 1, "subscribed")
        await identity.emit(a_match("door"))
        assert (await asyncio.wait_for(first, DEADLINE_S))["sightings"]["sighting"]["camera"] == {"name": "door"}
        await events.aclose()
    await eventually(lambda: len(api.parts.services.hub.followers) == 0, "the subscription ended")


@pytest.mark.parametrize("token", [None, "wrong", TOKEN + "x", "ä"])
async def test_a_connection_without_the_token_is_refused(api: Api, token: str | None) -> None:
    async with connect(api.ws, subprotocols=PROTOCOL) as ws:
        payload = {} if token is None else {"authorization": f"Bearer {token}"}
        await ws.send(json.dumps({"type": "connection_init", "payload": payload}))
        code, reason = await closed(ws)
    assert code == 4403
    assert "connection_init" in reason
    async with httpx.AsyncClient(base_url=api.http) as client:
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        refused = await client.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer TOKEN" in refused.json()["errors"][0]["message"]


async def test_the_token_may_come_in_the_handshake(api: Api) -> None:
    async with connect(api.ws, subprotocols=PROTOCOL, additional_headers={"authorization": f"bearer {TOKEN}"}) as ws:
        await ws.send(json.dumps({"type": "connection_init"}))
        assert json.loads(await asyncio.wait_for(ws.recv(), DEADLINE_S))["type"] == "connection_ack"
        assert (await answer(ws, "{ __typename }"))["payload"]["data"] == {"__typename": "Query"}


async def test_subscribing_before_the_ack_ends_the_connection(api: Api) -> None:
    async with connect(api.ws, subprotocols=PROTOCOL) as ws:
        await ws.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": "{ __typename }"}}))
        assert (await closed(ws))[0] == 4401


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", 4400),
        ("[]", 4400),
        ("{}", 4400),
        ('{"type": 7}', 4400),
        ('{"type": "absurd"}', 4400),
        ('{"type": "subscribe", "id": "1"}', 4400),
        ('{"type": "subscribe", "id": 1, "payload": {}}', 4400),
        ('{"type": "subscribe", "id": "1", "payload": {}}', 4400),
        ('{"type": "subscribe", "id": "1", "payload": []}', 4400),
        ('{"type": "complete"}', 4400),
        ('{"type": "connection_init"}', 4429),
        ('{"type": "ping", "payload": "' + "x" * 100_000 + '"}', 1009),
    ],
)
async def test_messages_outside_the_protocol_end_the_connection(api: Api, text: str, code: int) -> None:
    async with socket_to(api) as ws:
        await ws.send(text)
        assert (await closed(ws))[0] == code
    async with socket_to(api) as ws:
        assert (await answer(ws, "{ __typename }"))["type"] == "next"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (7, "`query` must be a text"),
        ("subscription {", "Syntax Error"),
        ("subscription { nothing }", "Cannot query field 'nothing'"),
        ("subscription { sightings { cursor } cameras { camera { name } } }", "must select only one top level field"),
        ("{" * 500, "brackets open at once"),
        ("subscription { sightings { " + "sighting { id } " * 400 + "} }", "tokens in the document"),
        ('subscription { sightings(filter: {cameras: [{name: "A B"}]}) { cursor } }', "is not a name"),
        ("query A { __typename } query B { __typename }", "the document has no operation, or several"),
        ("mutation { nothing }", "The mutation operation is not supported"),
    ],
)
async def test_wrong_operations_are_refused_and_the_socket_stays(api: Api, query: object, reason: str) -> None:
    async with socket_to(api) as ws:
        refused = await answer(ws, query)
        assert refused["type"] == "error"
        assert reason in refused["payload"][0]["message"]
        assert (await answer(ws, "{ __typename }", "2"))["payload"]["data"] == {"__typename": "Query"}


async def test_limits_of_connections_and_operations(database_url: str, nats_server: NatsServer) -> None:
    limits = {"max_connections": 2, "max_operations": 2, "init_timeout_s": 0.5}
    async with running_api(database_url, nats_server, **limits) as api:
        async with socket_to(api) as ws, socket_to(api):
            for operation in ("1", "2"):
                payload = {"query": "subscription { sightings { cursor } }"}
                await ws.send(json.dumps({"id": operation, "type": "subscribe", "payload": payload}))
            await eventually(lambda: len(api.parts.services.hub.followers) == 2, "two subscriptions")
            refused = await answer(ws, "subscription { sightings { cursor } }", "3")
            assert refused["type"] == "error"
            assert refused["payload"][0]["message"] == "operations at once on a connection: 3 given, at most 2 allowed"
            async with connect(api.ws, subprotocols=PROTOCOL) as third:
                await third.send(INIT)
                assert await closed(third) == (1013, "all 2 connections are taken; try again in 2 s")
        await eventually(lambda: api.parts.gate.open == 0, "both are closed")
        async with connect(api.ws, subprotocols=PROTOCOL) as silent:
            assert (await closed(silent))[0] == 4408


async def test_bodies_that_are_too_large_are_refused(api: Api) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=api.http, headers=headers) as client:
        refused = await client.post("/graphql", content=b"x" * 100_000)
        assert refused.status_code == 413
        assert refused.json()["errors"][0]["message"].startswith("bytes in the request's body: 100000 given")

        async def chunks() -> Any:
            for _ in range(100):
                yield b"x" * 1000

        with contextlib.suppress(httpx.TransportError):  # the answer may be lost with what is still on its way
            answered = await client.post("/graphql", content=chunks())
            assert answered.status_code == 413, answered.text


async def test_cors_is_off_unless_asked_for(api: Api, database_url: str, nats_server: NatsServer) -> None:
    origin = {"origin": "https://dashboard.example"}
    async with httpx.AsyncClient() as client:
        assert "access-control-allow-origin" not in (await client.get(f"{api.http}/healthz", headers=origin)).headers
    async with (
        running_api(database_url, nats_server, cors_origins=[origin["origin"]]) as opened,
        httpx.AsyncClient() as client,
    ):
        headers = (await client.get(f"{opened.http}/healthz", headers=origin)).headers
        assert headers["access-control-allow-origin"] == origin["origin"]


async def test_the_page_needs_no_token_and_holds_a_ready_subscription(api: Api) -> None:
    async with httpx.AsyncClient(base_url=api.http, follow_redirects=True) as client:
        page = await client.get("/")
        script = await client.get("/graphql/page.js")
        style = await client.get("/graphql/page.css")
    assert page.headers["content-type"].startswith("text/html")
    assert "subscription Live {" in script.text
    assert TOKEN not in page.text + script.text
    assert style.headers["content-type"].startswith("text/css")


def a_heartbeat(camera: str, state: CameraState, reason: SourceReason, **more: Any) -> bytes:
    now = dt.datetime.now(dt.UTC)
    beat = CameraHeartbeat(
        site=SITE,
        camera=CameraRef(namespace="default", name=camera),
        session_id="s",
        state=state,
        reason=reason,
        since=now,
        **more,
    )
    return encode_heartbeat(beat, now)


async def test_changes_of_cameras_are_sent(api: Api, bus: Any) -> None:
    door = bus_subject(SITE, MessageKind.CAMERA, ResourceKey("default", "door"))
    await bus.publish(door, a_heartbeat("door", CameraState.CONNECTING, SourceReason.CONNECTING))
    await eventually(lambda: len(api.parts.services.cameras) == 1, "the first heartbeat")
    async with socket_to(api) as ws:
        query = "subscription { cameras { camera { name } heartbeat { state analysedFps } } }"
        first = await answer(ws, query)
        assert first["payload"]["data"]["cameras"]["heartbeat"]["state"] == "CONNECTING"
        await bus.publish(door, b"not an event")
        for fps in (4.0, 5.0):
            await bus.publish(
                door, a_heartbeat("door", CameraState.STREAMING, SourceReason.CONNECTED, analysed_fps=fps)
            )
        await bus.publish(door, a_heartbeat("door", CameraState.ENDED, SourceReason.ENDED))
        states = []
        async with asyncio.timeout(DEADLINE_S):
            while "ENDED" not in states:
                states.append(json.loads(await ws.recv())["payload"]["data"]["cameras"]["heartbeat"]["state"])
    assert states in (["STREAMING", "ENDED"], ["ENDED"])  # a state that was not read yet is replaced


async def register(identity: Identity, name: str) -> None:
    await identity.database.execute(
        "INSERT INTO cameras (namespace, name, site, resource) VALUES ('default', $1, $2, '{}')", name, SITE
    )


async def test_last_heartbeats_are_known_after_a_start(
    database_url: str, identity: Identity, bus: Any, nats_server: NatsServer
) -> None:
    """Those of registered cameras; that of a removed one is dropped."""
    for name in ("door", "gate", "removed"):
        body = a_heartbeat(name, CameraState.STOPPED, SourceReason.STOPPED)
        await bus.jetstream().publish(bus_subject(SITE, MessageKind.CAMERA, ResourceKey("default", name)), body)
    for name in ("door", "gate"):
        await register(identity, name)
    async with running_api(database_url, nats_server) as api:
        states = api.parts.services.cameras
        await eventually(lambda: len(states) == 2 and states.last(ResourceKey("default", "door")), "both states")
        assert states.last(ResourceKey("default", "removed")) is None


async def test_a_camera_that_was_removed_is_forgotten_once_it_stops(api: Api, identity: Identity, bus: Any) -> None:
    key = ResourceKey("default", "door")
    door = bus_subject(SITE, MessageKind.CAMERA, key)
    await register(identity, "door")
    await bus.publish(door, a_heartbeat("door", CameraState.STREAMING, SourceReason.CONNECTED))
    await eventually(lambda: api.parts.services.cameras.last(key), "the heartbeat")

    await identity.database.execute("UPDATE cameras SET deleted_at = now() WHERE name = 'door'")
    await bus.publish(door, a_heartbeat("door", CameraState.STOPPED, SourceReason.STOPPED))

    await eventually(lambda: len(api.parts.services.cameras) == 0, "it is forgotten")
