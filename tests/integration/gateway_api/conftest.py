import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator

import asyncpg
import pytest
from nats.aio.client import Client
from tests.integration.gateway_api.identity import START, Identity
from tests.integration.gateway_api.running import Api, bus_client, running_api
from tests.support.databases import drop, migrated
from tests.support.servers import NatsServer, PostgresServer


@pytest.fixture(scope="session")
def template(shared_postgres: PostgresServer) -> str:
    """Return a migrated database with the partitions that the tests write into, to copy."""
    return asyncio.run(migrated(shared_postgres, START, dt.datetime.now(dt.UTC)))


@pytest.fixture
async def database_url(shared_postgres: PostgresServer, template: str) -> AsyncIterator[str]:
    url = await shared_postgres.new_database(template)
    yield url
    await drop(shared_postgres, url)


@pytest.fixture
def nats_server(shared_nats: NatsServer) -> NatsServer:
    return shared_nats


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Client]:
    client = await bus_client(nats_server)
    yield client
    with contextlib.suppress(Exception):
        await client.close()


@pytest.fixture
async def identity(database_url: str, bus: Client) -> AsyncIterator[Identity]:
    connection = await asyncpg.connect(database_url)
    yield Identity(connection, bus)
    with contextlib.suppress(Exception):
        await connection.close(timeout=2)


@pytest.fixture
async def api(database_url: str, nats_server: NatsServer) -> AsyncIterator[Api]:
    async with running_api(database_url, nats_server) as running:
        yield running
