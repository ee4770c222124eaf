"""No client takes what others need: queries have places by principal and connection, and all else has its own."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import websockets
from tests.integration.gateway_api.clients import socket_to
from tests.integration.gateway_api.identity import Identity
from tests.integration.gateway_api.running import DEADLINE_S, TOKEN, Api, eventually, httpx_get, running_api
from tests.support.servers import NatsServer

from vigil_gateway.api import app
from vigil_gateway.principal import ALL_PERMISSIONS, Principal, PrincipalKind

pytestmark = pytest.mark.integration

PAGE = "{ sightings { nodes { state } } }"
TWENTY = "{" + "".join(f"page{n}: sightings(first: 1) {{ nodes {{ state }} }}" for n in range(20)) + "}"
WAITING = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@contextlib.asynccontextmanager
async def locked(identity: Identity) -> AsyncIterator[None]:
    """Let every query of sightings wait in Postgres."""
    async with identity.database.transaction():
        await identity.database.execute("LOCK TABLE sightings IN ACCESS EXCLUSIVE MODE")
        yield


async def post(api: Api, query: str, token: str = TOKEN) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}", "accept": "application/graphql-response+json"}
    async with httpx.AsyncClient(base_url=api.http, headers=headers, timeout=DEADLINE_S, trust_env=False) as client:
        return await client.post("/graphql", json={"query": query})


async def until_waiting(identity: Identity, count: int) -> None:
    """Wait until so many queries wait in Postgres; more of them fail the test."""

    async def enough() -> bool:
        await identity.database.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees them as they were
        found = int(await identity.database.fetchval(WAITING))
        assert found <= count
        return found == count

    await eventually(enough, f"{count} queries wait")


async def test_one_principal_leaves_connections_to_another(
    database_url: str, nats_server: NatsServer, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty queries of one wait for a lock; those of another, and probes, are answered meanwhile."""

    def named(_token: str) -> Any:
        return lambda value: Principal(PrincipalKind.TOKEN, value or "", ALL_PERMISSIONS)

    monkeypatch.setattr(app, "bearer", named)
    async with running_api(database_url, nats_server, query_timeout_s=DEADLINE_S) as api:
        async with locked(identity), asyncio.TaskGroup() as group:
            greedy = [group.create_task(post(api, PAGE, "greedy")) for _ in range(20)]
            await until_waiting(identity, 8)
            other = await post(api, "{ cameras { nodes { name } } site { name } }", "modest")
            ready = await httpx_get(api, "/readyz")
            assert (other.status_code, ready.status_code) == (200, 200)
            await until_waiting(identity, 8)
            await identity.database.execute("ROLLBACK; BEGIN")
        assert {task.result().status_code for task in greedy} == {200}


async def test_too_many_queries_are_refused_with_a_time(
    database_url: str, nats_server: NatsServer, identity: Identity
) -> None:
    bounds = {"max_queries": 1, "max_waiting_queries": 2, "query_timeout_s": DEADLINE_S}
    async with running_api(database_url, nats_server, **bounds) as api:
        async with locked(identity), asyncio.TaskGroup() as group:
            tasks = [group.create_task(post(api, PAGE)) for _ in range(5)]
            await eventually(lambda: sum(task.done() for task in tasks) == 2, "two are refused")
            refused = [task.result() for task in tasks if task.done()]
            await identity.database.execute("ROLLBACK; BEGIN")
        assert sorted(task.result().status_code for task in tasks) == [200, 200, 200, 429, 429]
        for one in refused:
            (error,) = one.json()["errors"]
            assert error["extensions"] == {"code": "TOO_MANY_REQUESTS", "retryAfterS": 2}
            assert one.headers["retry-after"] == "2"
            assert "try again in 2 s" in error["message"]
        assert api.parts.gate.budgets.refused == 2


async def test_one_request_takes_one_connection(api: Api, identity: Identity) -> None:
    """Whatever it asks for at once."""
    async with locked(identity), asyncio.TaskGroup() as group:
        task = group.create_task(post(api, TWENTY))
        await until_waiting(identity, 1)
        await identity.database.execute("ROLLBACK; BEGIN")
    assert len(task.result().json()["data"]) == 20


async def test_one_websocket_leaves_places_to_others(
    database_url: str, nats_server: NatsServer, identity: Identity
) -> None:
    async with running_api(database_url, nats_server, query_timeout_s=DEADLINE_S) as api, socket_to(api) as ws:
        async with locked(identity):
            for number in range(20):
                message = {"id": str(number), "type": "subscribe", "payload": {"query": PAGE}}
                await ws.send(json.dumps(message))
            await until_waiting(identity, 4)
            other = await post(api, "{ cameras { nodes { name } } }")
            await until_waiting(identity, 4)
            await identity.database.execute("ROLLBACK; BEGIN")
        assert other.status_code == 200
        answers = [json.loads(await asyncio.wait_for(ws.recv(), DEADLINE_S)) for _ in range(40)]
        assert {one["id"] for one in answers if one["type"] == "complete"} == {str(number) for number in range(20)}


async def test_sockets_without_the_token_take_no_place(database_url: str, nats_server: NatsServer) -> None:
    protocols = [websockets.Subprotocol("graphql-transport-ws")]
    async with (
        running_api(database_url, nats_server, max_connections=1) as api,
        websockets.connect(api.ws, subprotocols=protocols, proxy=None),
        websockets.connect(api.ws, subprotocols=protocols, proxy=None) as late,
    ):
        async with socket_to(api):
            assert api.parts.gate.open == 1
            await late.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {TOKEN}"}}))
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(late.recv(), DEADLINE_S)
            assert (late.close_code, late.close_reason) == (1013, "all 1 connections are taken; try again in 2 s")
        await eventually(lambda: api.parts.gate.open == 0, "the place is free")
        async with socket_to(api):
            assert api.parts.gate.refused == 1
