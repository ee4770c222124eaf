import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import axis
from tests.integration.gateway_identity.running import (
    Bench,
    Bus,
    bench,
    client_of,
    connect_bus,
    running_program,
    until_ready,
)
from tests.support.servers import NatsServer, PostgresServer, TritonServer

from vigil_gateway.identity.program import IdentityProgram
from vigil_gateway.migrations.upgrade import upgrade


@pytest.fixture
def site() -> str:
    """Return a site of this test alone, with streams of its own on the shared NATS."""
    return f"site-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def template(shared_postgres: PostgresServer) -> str:
    """Make a migrated database to copy."""

    async def make() -> str:
        url = await shared_postgres.new_database()
        await upgrade(url)
        return url.rpartition("/")[2]

    return asyncio.run(make())


@pytest.fixture
async def database_url(shared_postgres: PostgresServer, template: str) -> AsyncIterator[str]:
    url = await shared_postgres.new_database(template)
    yield url
    admin = await asyncpg.connect(shared_postgres.admin_url)
    await admin.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def prepared(database_url: str, site: str) -> str:
    """Return the address of a database with a model, a camera, and Ann."""
    await database.add_model(database_url)
    await database.add_camera(database_url, site)
    await database.add_subject(database_url, "ann", axis(0))
    return database_url


@pytest.fixture
async def pipeline(database_url: str, site: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """Yield the pipeline without a bus."""
    async with bench(database_url, site, tmp_path / "qdrant") as made:
        yield made


@pytest.fixture
async def bus(shared_nats: NatsServer, site: str) -> AsyncIterator[Bus]:
    async with connect_bus(shared_nats.url, shared_nats.token, site) as made:
        yield made


@pytest.fixture
async def identity(
    database_url: str, shared_nats: NatsServer, bus: Bus, site: str, tmp_path: Path
) -> AsyncIterator[Callable[..., Any]]:
    """Start whole programs inside the test: `await identity()`; `bus` takes the site's streams away after it."""
    assert bus.site == site
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> IdentityProgram:
            given = {
                "site": site,
                "nats_url": shared_nats.url,
                "nats_token": shared_nats.token,
                "database_url": database_url,
                "qdrant_path": tmp_path / "gallery",
                **settings,
            }
            return await stack.enter_async_context(running_program(**given))

        yield start


@pytest.fixture
async def http(identity: Callable[..., Any], open_triton: TritonServer) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a program with real models."""
    program = await identity(triton_urls=open_triton.address)
    await until_ready(program.port)
    async with client_of(program.port) as client:
        yield client
