"""Every text and every moment in an argument or a header is handled, or refused as the client's mistake."""

import asyncio
import json
from typing import Any, Final

import httpx
import pytest
from tests.integration.gateway_api.clients import socket_to
from tests.integration.gateway_api.identity import Identity, a_match
from tests.integration.gateway_api.running import DEADLINE_S, TOKEN, Api
from tests.integration.gateway_api.test_transport import answer

pytestmark = pytest.mark.integration

VALUES: Final[list[Any]] = [
    *("", " ", "\x00", "a\x00b", "\u202e", "\ufffe", "\x7f", "<b>", "ä" * 70, "😀" * 5000, "%s", "'; --", "{", "../x"),
    *(0, -1, 2**31, 2**63, 10**60, 1.5, -0.0, True, None, [], ["a"], {}, {"a": 1}),
    *(
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "9999-12-31T23:59:60Z",
        "2026-01-01",
        "0000-01-01T00:00:00Z",
    ),
    *("ffffffff-ffff-7fff-bfff-ffffffffffff", "{ffffffff-ffff-7fff-bfff-ffffffffffff}", "NjQ6", "OjE", "AA==", "AAAA"),
]
"""What may come wherever anything is expected."""

ARGUMENTS: Final = {
    "String": "{ sightings(after: $v) { nodes { state } } }",
    "String!": "{ camera(name: $v) { url } }",
    "ID!": "{ node(id: $v) { id } }",
    "[ID!]!": "{ nodes(ids: $v) { id } }",
    "UUID!": "{ sighting(sightingId: $v) { state } }",
    "Int": "{ sightings(first: $v) { nodes { state } } }",
    "DateTime": "{ sightings(filter: {openedFrom: $v}) { nodes { state } } }",
    "SightingFilter": "{ sightings(filter: $v) { nodes { state } } }",
    "CameraKey!": "{ sightings(filter: {cameras: [$v]}) { nodes { state } } }",
    "SubjectKey!": "{ sightings(filter: {subjects: [$v]}) { nodes { state } } }",
}


async def test_text_and_moments(api: Api) -> None:
    """Each value in each kind of argument, in a query and at a subscription."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=api.http, headers=headers, timeout=DEADLINE_S, trust_env=False) as client:
        for kind, field in ARGUMENTS.items():
            for value in VALUES:
                document = {"query": f"query Q($v: {kind}) {field}", "variables": {"v": value}}
                response = await client.post("/graphql", json=document)
                codes = [one["extensions"]["code"] for one in response.json().get("errors", [])]
                assert set(codes) <= {"BAD_ARGUMENT", "BAD_ID", "BAD_CURSOR", "LIMIT"}, (kind, value, response.text)
        for name in ("authorization", "accept", "traceparent", "origin", "x-any"):
            for value in (b"caf\xe9", "Bearer ä".encode(), b"x" * 9000, b""):
                response = await client.request(
                    "POST", "/graphql", json={"query": "{ a }"}, headers=[(name.encode(), value)]
                )
                assert 400 <= response.status_code < 500
                assert response.json()["errors"]


BOUNDS: Final = [
    ('openedBefore: "9999-12-31T23:59:59-12:00"', 1),
    ('openedBefore: "9999-12-31T23:59:59.999999Z"', 1),
    ('openedFrom: "0001-01-01T00:00:00+14:00"', 1),
    ('openedFrom: "0001-01-01T00:00:00+14:00", openedBefore: "9999-12-31T23:59:59-12:00"', 1),
    ('openedFrom: "9999-12-31T23:59:59-12:00"', 0),
    ('openedBefore: "0001-01-01T00:00:00+14:00"', 0),
]


async def test_never_ends(api: Api, identity: Identity) -> None:
    """The first and the last moment in any zone bound a list and a subscription."""
    await identity.emit(a_match())
    async with socket_to(api) as ws:
        for number, (bounds, count) in enumerate(BOUNDS):
            found = await answer(ws, f"{{ sightings(filter: {{{bounds}}}) {{ nodes {{ state }} }} }}", f"q{number}")
            assert len(found["payload"]["data"]["sightings"]["nodes"]) == count, bounds
            assert json.loads(await asyncio.wait_for(ws.recv(), DEADLINE_S))["type"] == "complete"
            if count:
                live = f"s{number}"
                query = f'subscription {{ sightings(after: "djE6MA", filter: {{{bounds}}}) {{ seq }} }}'
                assert (await answer(ws, query, live))["payload"] == {"data": {"sightings": {"seq": 1}}}, bounds
                await ws.send(json.dumps({"id": live, "type": "complete"}))
