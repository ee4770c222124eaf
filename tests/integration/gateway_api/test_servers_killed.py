"""Promises of the subscription `sightings` when the bus or the database is killed: nothing lost, nothing repeated."""

import asyncio
import datetime as dt

import httpx
import pytest
from tests.integration.gateway_api.clients import listening
from tests.integration.gateway_api.identity import Identity, a_match, fresh_identity
from tests.integration.gateway_api.running import Api, eventually, running_api
from tests.support.databases import migrated
from tests.support.servers import NatsServer, PostgresServer

pytestmark = pytest.mark.integration


@pytest.fixture
def nats_server(own_nats: NatsServer) -> NatsServer:
    return own_nats


@pytest.fixture
async def database_url(own_postgres: PostgresServer) -> str:
    return own_postgres.url(await migrated(own_postgres, dt.datetime.now(dt.UTC)))


async def test_bus_killed_and_restarted_loses_and_repeats_nothing(
    api: Api, identity: Identity, nats_server: NatsServer
) -> None:
    async with listening(api) as listener:
        for _ in range(5):
            await identity.emit(a_match())
        nats_server.running.kill()
        await eventually(lambda: not api.parts.bus.connected, "the API notices")
        meanwhile = [await identity.write(a_match()) for _ in range(5)]
        await eventually(lambda: len(listener.received) == 10, "events without a bus")
        await asyncio.to_thread(nats_server.running.start)
        await eventually(lambda: api.parts.bus.connected, "the bus is back")
        for match in meanwhile:  # the relay publishes what it could not publish before
            await identity.publish(match)
        for _ in range(5):
            await identity.emit(a_match())
        await eventually(lambda: len(listener.received) == 15, "all events")
    assert listener.seqs == list(range(1, 16))
    assert api.parts.services.hub.feed.from_bus > 5


async def test_database_killed_and_restarted_loses_and_repeats_nothing(
    api: Api, identity: Identity, own_postgres: PostgresServer, database_url: str
) -> None:
    async with listening(api) as listener:
        for _ in range(5):
            await identity.emit(a_match())
        await eventually(lambda: len(listener.received) == 5, "5 events")
        own_postgres.running.kill()
        await eventually(lambda: api.parts.services.hub.feed.away, "the API notices")
        await asyncio.to_thread(own_postgres.running.start)
        async with fresh_identity(database_url, identity.bus) as again:
            for _ in range(5):
                await again.emit(a_match())
            await again.write(a_match())
            await eventually(lambda: len(listener.received) == 11, "events after the restart")
        await eventually(lambda: not api.parts.services.hub.feed.away, "the API sees it again")
    assert listener.seqs == list(range(1, 12))


async def test_starts_without_bus_and_database(
    nats_server: NatsServer, database_url: str, own_postgres: PostgresServer, identity: Identity
) -> None:
    for _ in range(3):
        await identity.write(a_match())
    nats_server.running.kill()
    own_postgres.running.kill()
    async with running_api(database_url, nats_server) as api, httpx.AsyncClient(base_url=api.http) as client:
        assert (await client.get("/healthz")).status_code == 200
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert "away" in ready.json()["database"]
        assert "NATS" in ready.json()["bus"]
        await asyncio.to_thread(own_postgres.running.start)
        await asyncio.to_thread(nats_server.running.start)
        await eventually(api.parts.services.hub.feed.ready.is_set, "the newest event is known")
        await eventually(lambda: api.parts.bus.connected, "the bus is there")
        assert (await client.get("/readyz")).json()["ok"]
        async with listening(api, after=api.cursor(1)) as listener:
            await eventually(lambda: len(listener.received) == 2, "the history")
        assert listener.seqs == [2, 3]
