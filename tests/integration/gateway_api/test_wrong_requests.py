"""Requests that are not what GraphQL over HTTP and graphql-transport-ws ask for are refused by name."""

import gzip
import json
from typing import Any, Final

import httpx
import pytest
from tests.integration.gateway_api.clients import socket_to
from tests.integration.gateway_api.identity import Identity, a_match
from tests.integration.gateway_api.running import DEADLINE_S, TOKEN, Api, eventually
from tests.integration.gateway_api.test_transport import answer, closed

pytestmark = pytest.mark.integration

JSON: Final = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
DEEP: Final = "[" * 3000 + "]" * 3000
NAMED: Final = "query A { __typename } query B { status { version } }"
LIST: Final = "query L($f: SightingFilter, $a: String) { sightings(filter: $f, after: $a) { nodes { state } } }"


def body(**members: Any) -> bytes:
    return json.dumps({"query": "{ __typename }", **members}).encode()


def typed(content_type: str, **more: str) -> dict[str, str]:
    return {**JSON, "content-type": content_type, **more}


async def ask(api: Api, method: str, path: str = "/graphql", **options: Any) -> httpx.Response:
    options = {"headers": JSON, **options}
    async with httpx.AsyncClient(base_url=api.http, timeout=DEADLINE_S, trust_env=False) as client:
        return await client.request(method, path, **options)


BODIES: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"", JSON, 400, "it is not JSON"),
    (b"{", JSON, 400, "it is not JSON"),
    (b"7", JSON, 400, "the body is an object with `query`"),
    (b'"text"', JSON, 400, "the body is an object with `query`"),
    (b"{}", JSON, 400, "has no `query`"),
    (b'{"query": 7}', JSON, 400, "`query` must be a text"),
    (b'{"query": "caf\xe9"}', JSON, 400, "it is not UTF-8 (byte 15)"),
    ('{"query": "{ __typename }"}'.encode("utf-16"), JSON, 400, "it is not UTF-8"),
    (gzip.compress(body()), typed("application/json", **{"content-encoding": "gzip"}), 415, "compressed"),
    (gzip.compress(body()), JSON, 400, "it is not UTF-8"),
    (b"[" + body() + b"]", JSON, 400, "operations are sent one by one"),
    (f'{{"query": "{{ __typename }}", "variables": {{"a": {DEEP}}}}}'.encode(), JSON, 400, "64 levels"),
    (DEEP.encode(), JSON, 400, "64 levels"),
    (b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 5000 + b"}}", JSON, 400, "5000 characters"),
    (b'{"query": "{ __typename }", "variables": {"a": 1e999}}', JSON, 400, "too large"),
    (b'{"query": "{ __typename }", "variables": {"a": NaN}}', JSON, 400, "NaN is no value"),
    (rb'{"query": "{ __typename }", "variables": {"a": "\ud800"}}', JSON, 400, "half a surrogate pair"),
    (b'{"query": "{ __typename }", "query": "{ a }"}', JSON, 400, "'query' is in one object twice"),
    (body(operationName=7), JSON, 400, "`operationName` must be a text"),
    (body(extensions=[]), JSON, 400, "`extensions` must be an object"),
    (body(variables="{}"), JSON, 400, "`variables` must be an object"),
    (body(query=None), JSON, 400, "has no `query`"),
    (body(), typed("text/plain"), 415, "'text/plain'; send application/json"),
    (body(), typed("application/json; charset=latin-1"), 415, "in UTF-8"),
    (body(), typed("application/graphql"), 415, "send application/json"),
    (body(), {"authorization": f"Bearer {TOKEN}"}, 415, "no Content-Type"),
    (body(), {**JSON, "accept": "text/html"}, 406, "application/graphql-response+json"),
    (body(), {**JSON, "accept": "text/event-stream"}, 406, "Subscriptions are served over WebSocket"),
    (body(), {**JSON, "accept": "multipart/mixed;subscriptionSpec=1.0"}, 406, "over WebSocket"),
    (body(query="{ sightings(first: " + "9" * 5000 + ") { nodes { state } } }"), JSON, 400, "characters in a number"),
    (body(query="{ \x00 }"), JSON, 400, "Syntax Error"),
    (body(query=NAMED), JSON, 400, "several and none was named"),
    (body(query=NAMED, operationName="C"), JSON, 400, "no operation 'C'"),
    (body(query=LIST, variables={"f": {"cameras": [{"name": "a\x00"}]}}), JSON, 200, "is not a name"),
    (body(query=LIST, variables={"f": {"subjects": [{"name": "a" * 9000}]}}), JSON, 200, "is not a name"),
    (body(query=LIST, variables={"a": "\x00"}), JSON, 200, "cannot be used"),
    (body(query='{ node(id: "a\\u0000") { id } }'), JSON, 200, "cannot be used"),
    (body(query="mutation { nothing }"), JSON, 400, "not supported"),
    (body(query="subscription { sightings { seq } }"), JSON, 400, "over WebSocket"),
]


async def test_wrong_bodies_get_4xx_and_json_that_says_why(api: Api) -> None:
    found = []
    for content, headers, _, reason in BODIES:
        response = await ask(api, "POST", content=content, headers=headers)
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] not in {"INTERNAL", "UNAUTHENTICATED"}
        found.append(
            (content, headers, response.status_code, reason if reason in error["message"] else error["message"])
        )
    assert found == BODIES


GETS: list[tuple[dict[str, str] | str, str, int, str]] = [
    ({"query": "{ __typename }"}, "*/*", 200, '"Query"'),
    ({"query": "{ __typename }"}, "text/html, */*;q=0.8", 200, '"Query"'),
    ({"query": NAMED, "operationName": "A"}, "*/*", 200, '"Query"'),
    ({"query": LIST, "variables": "{}", "extensions": "{}"}, "*/*", 200, '"nodes"'),
    ({"query": "{ __typename }", "variables": ""}, "*/*", 200, '"Query"'),
    ({"query": NAMED}, "*/*", 400, "several and none was named"),
    ({"query": "{ __typename }", "variables": "{"}, "*/*", 400, "`variables` cannot be read"),
    ({"query": "{ __typename }", "variables": f'{{"a": {DEEP}}}'}, "*/*", 400, "64 levels"),
    ({"query": "{ __typename }", "variables": "[]"}, "*/*", 400, "`variables` must be an object"),
    ({"query": "mutation { nothing }"}, "*/*", 405, "send it by POST"),
    ({"query": "subscription { sightings { seq } }"}, "*/*", 400, "over WebSocket"),
    ("query=%7B+__typename+%7D&query=x", "*/*", 400, "'query' twice"),
    ("query=%ff", "*/*", 400, "not UTF-8"),
    ("query=%00", "*/*", 400, "Syntax Error"),
    ("query=", "*/*", 400, "has no `query`"),
    ("a=1" + "&a=1" * 30, "application/json", 400, "more than 20 parameters"),
    ({}, "application/json", 400, "has no `query`"),
    ({}, "text/html", 200, "<!doctype html>"),
    ({}, "*/*", 200, "<!doctype html>"),
]


async def test_queries_in_the_address_are_answered(api: Api) -> None:
    found = []
    for params, accept, status, reason in GETS:
        path = "/graphql" if isinstance(params, dict) else f"/graphql?{params}"
        more: dict[str, Any] = {"params": params} if isinstance(params, dict) and params else {}
        headers = {"authorization": f"Bearer {TOKEN}", "accept": accept}
        response = await ask(api, "GET", path, headers=headers, **more)
        found.append((params, accept, response.status_code, reason if reason in response.text else response.text))
        assert status == 405 or "allow" not in response.headers
    assert found == GETS


async def test_the_status_depends_on_the_media_type(api: Api) -> None:
    """A client of before the draft gets 200 for each request that could be read."""
    wrong = body(query="{ nothing }")
    for accept, status in (("application/json", 200), ("application/graphql-response+json", 400)):
        response = await ask(api, "POST", content=wrong, headers={**JSON, "accept": accept})
        assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (status, accept)
        assert "data" not in response.json()
    partial = body(query='{ __typename node(id: "absurd") { id } }')
    response = await ask(api, "POST", content=partial)
    assert (response.status_code, response.json()["data"]) == (200, {"__typename": "Query", "node": None})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PUT", "/graphql", 405), ("DELETE", "/graphql", 405), ("HEAD", "/graphql", 405), ("GET", "/nothing", 404)],
)
async def test_wrong_methods_and_paths_are_refused(api: Api, method: str, path: str, status: int) -> None:
    response = await ask(api, method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    if method != "HEAD":
        assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


UNREADABLE: list[tuple[str, str]] = [
    (
        f'{{"type": "subscribe", "id": "2", "payload": {{"query": "{{ a }}", "variables": {{"a": {DEEP}}}}}}}',
        "64 levels",
    ),
    ('{"type": "subscribe", "id": "2", "payload": {"query": "{ a }", "variables": {"a": ' + "9" * 5000 + "}}}", "5000"),
    (r'{"type": "subscribe", "id": "2", "payload": {"query": "{ a }", "variables": {"a": "\ud800"}}}', "surrogate"),
    ('{"type": "subscribe", "id": "2", "payload": {"query": "{ a }", "query": "{ b }"}}', "twice"),
    ('{"type": "subscribe", "id": "2", "payload": {"query": "{ a }", "operationName": 7}}', "`operationName`"),
    ('{"type": "subscribe", "id": "2", "payload": {"query": "' + "{" * 500 + '"}}', "brackets open"),
]


async def test_a_wrong_message_leaves_other_subscriptions_alive(api: Api, identity: Identity) -> None:
    async with socket_to(api) as ws:
        payload = {"query": "subscription { sightings { seq } }"}
        await ws.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        await eventually(lambda: len(api.parts.services.hub.followers) == 1, "subscribed")
        for text, reason in UNREADABLE:
            await ws.send(text)
            message = json.loads(await ws.recv())
            assert (message["type"], message["id"]) == ("error", "2"), message
            assert reason in message["payload"][0]["message"]
            assert message["payload"][0]["extensions"]["code"] in {"BAD_REQUEST", "LIMIT"}
        await identity.emit(a_match())
        assert json.loads(await ws.recv())["id"] == "1"


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (b"\x00\x01", 4400, "must be text"),
        ('{"type": "subscribe", "id": "2", "payload": {', 4400, "it is not JSON"),
        (DEEP, 4400, "64 levels"),
        (f'{{"type": "ping", "payload": {DEEP}}}', 4400, "64 levels"),
        (json.dumps({"type": "x" * 5000}), 4400, "Unknown message type"),
        (json.dumps({"type": "subscribe", "id": "x" * 5000, "payload": {"query": "{ a }"}}), 4400, "256 characters"),
    ],
)
async def test_messages_that_name_no_operation_close(api: Api, message: str | bytes, code: int, reason: str) -> None:
    async with socket_to(api) as ws:
        await ws.send(message)
        found = await closed(ws)
        assert (found[0], reason in found[1]) == (code, True), found
    async with socket_to(api) as ws:
        assert (await answer(ws, "{ __typename }"))["type"] == "next"
