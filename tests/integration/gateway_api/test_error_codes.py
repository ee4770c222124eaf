"""Every way in which a request can fail has its code."""

import json
from typing import Any

import httpx
import pytest
from tests.integration.gateway_api.clients import listening, socket_to
from tests.integration.gateway_api.identity import Identity, a_match
from tests.integration.gateway_api.running import DEADLINE_S, TOKEN, Api, eventually, running_api
from tests.support.servers import NatsServer

from vigil_contracts.ids import new_sighting_id
from vigil_gateway.api import app
from vigil_gateway.principal import Permission, Principal, PrincipalKind

pytestmark = pytest.mark.integration

ONE_ID = "query One($id: UUID!) { sighting(sightingId: $id) { state } }"
PAGE = "query Page($first: Int) { sightings(first: $first) { nodes { state } } }"

BODIES: list[tuple[bytes, str]] = [
    (b"{", "BAD_REQUEST"),
    (b"7", "BAD_REQUEST"),
    (b"{}", "BAD_REQUEST"),
    (b'{"query": 7}', "BAD_REQUEST"),
    (b'{"query": "{ __typename }", "variables": 7}', "BAD_REQUEST"),
    (b"x" * 100_000, "LIMIT"),
]
OPERATIONS: list[tuple[str, dict[str, Any], str]] = [
    ("{ sightings(", {}, "BAD_DOCUMENT"),
    ("{ nothing }", {}, "BAD_DOCUMENT"),
    ("{ status }", {}, "BAD_DOCUMENT"),
    ("mutation { nothing }", {}, "BAD_DOCUMENT"),
    ('{ sightings(first: "one") { nodes { state } } }', {}, "BAD_DOCUMENT"),
    ("{ sightings(filter: {identity: [Known]}) { nodes { state } } }", {}, "BAD_DOCUMENT"),
    (PAGE, {"first": "one"}, "BAD_ARGUMENT"),
    (PAGE, {"first": 0}, "BAD_ARGUMENT"),
    (PAGE, {"first": 201}, "LIMIT"),
    (ONE_ID, {}, "BAD_ARGUMENT"),
    (ONE_ID, {"id": "x"}, "BAD_ARGUMENT"),
    (ONE_ID, {"id": "00000000-0000-4000-8000-000000000000"}, "BAD_ARGUMENT"),
    ('{ sightings(filter: {openedFrom: "yesterday"}) { nodes { state } } }', {}, "BAD_ARGUMENT"),
    ('{ sightings(after: "absurd") { nodes { state } } }', {}, "BAD_CURSOR"),
    ('{ node(id: "absurd") { id } }', {}, "BAD_ID"),
    ("query Ids($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["x"] * 201}, "LIMIT"),
    ("{" * 500, {}, "LIMIT"),
]


async def http_code(api: Api, body: bytes, token: str = TOKEN) -> str:
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=api.http, headers=headers, timeout=DEADLINE_S) as client:
        answer = (await client.post("/graphql", content=body)).json()
    (error,) = answer["errors"]
    return str(error["extensions"]["code"])


async def operation_code(api: Api, query: str, variables: dict[str, Any] | None = None) -> str:
    return await http_code(api, json.dumps({"query": query, "variables": variables or {}}).encode())


async def subscription_code(api: Api, after: str) -> str:
    async with listening(api, after=after) as listener:
        await eventually(lambda: listener.last, "an error")
    assert listener.last is not None
    return str(listener.last["payload"][0]["extensions"]["code"])


async def test_mistakes_over_http_have_codes(api: Api) -> None:
    assert await http_code(api, b"{}", "wrong") == "UNAUTHENTICATED"
    assert [await http_code(api, body) for body, _ in BODIES] == [code for _, code in BODIES]
    found = [(query, variables, await operation_code(api, query, variables)) for query, variables, _ in OPERATIONS]
    assert found == OPERATIONS
    assert await operation_code(api, "subscription { sightings { seq } }") == "BAD_ARGUMENT"


async def test_mistakes_over_a_websocket_have_codes(api: Api) -> None:
    bodies: list[tuple[Any, Any, str]] = [
        *OPERATIONS,
        (7, {}, "BAD_REQUEST"),
        ("{ a }", 7, "BAD_REQUEST"),
        ("query A { __typename } query B { __typename }", {}, "BAD_DOCUMENT"),
    ]
    async with socket_to(api) as ws:
        for number, (query, variables, code) in enumerate(bodies):
            payload = {"query": query, "variables": variables}
            await ws.send(json.dumps({"id": str(number), "type": "subscribe", "payload": payload}))
            message = json.loads(await ws.recv())
            payload = message["payload"]
            errors = payload if message["type"] == "error" else payload["errors"]
            assert [error["extensions"]["code"] for error in errors] == [code], query
            if message["type"] == "next":
                assert json.loads(await ws.recv())["type"] == "complete"


async def test_missing_permissions_have_a_code(
    database_url: str, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk = Principal(PrincipalKind.TOKEN, "clerk", frozenset({Permission.READ_SUBJECTS}))
    monkeypatch.setattr(app, "bearer", lambda _: lambda value: clerk if value else None)
    async with running_api(database_url, nats_server) as api:
        assert await operation_code(api, PAGE) == "FORBIDDEN"
        assert await operation_code(api, ONE_ID, {"id": str(new_sighting_id())}) == "FORBIDDEN"
        assert await subscription_code(api, api.cursor(0)) == "FORBIDDEN"


async def test_failures_of_servers_have_codes(
    api: Api, identity: Identity, nats_server: NatsServer, database_url: str
) -> None:
    async with identity.database.transaction():
        await identity.database.execute("LOCK TABLE sightings IN ACCESS EXCLUSIVE MODE")
        assert await operation_code(api, PAGE) == "TIMEOUT"
    await identity.database.execute("ALTER TABLE sightings RENAME COLUMN frames TO images")
    assert await operation_code(api, PAGE) == "INTERNAL"
    nowhere = database_url.rsplit("/", 1)[0] + "/nothing"
    async with running_api(nowhere, nats_server) as lost:
        assert await operation_code(lost, PAGE) == "UNAVAILABLE"


async def test_cursors_that_cannot_be_served_have_codes(
    database_url: str, nats_server: NatsServer, identity: Identity
) -> None:
    for _ in range(10):
        await identity.write(a_match())
    await identity.database.execute("DELETE FROM events WHERE seq <= 5")
    async with running_api(database_url, nats_server, ring_events=2) as api:
        assert await subscription_code(api, "absurd") == "BAD_CURSOR"
        assert await subscription_code(api, api.cursor(11)) == "CURSOR_AHEAD"
        assert await subscription_code(api, api.cursor(1)) == "CURSOR_EXPIRED"
