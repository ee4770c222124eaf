"""A pooler in session mode is as good as Postgres; one in transaction mode is refused by name."""

import asyncio
from pathlib import Path

import pytest
from tests.integration.gateway_api.clients import listening
from tests.integration.gateway_api.identity import Identity, a_match
from tests.integration.gateway_api.running import Api, eventually, httpx_get, running_api
from tests.support.poolers import pgbouncer
from tests.support.servers import NatsServer

from vigil_gateway.migrations.check import PoolerError
from vigil_gateway.storage.errors import DatabaseAwayError
from vigil_gateway.storage.postgres.pool import Database

pytestmark = pytest.mark.integration

REMEDY = r"a pooler in transaction mode.*pool_mode = session"


async def test_behind_pgbouncer_in_session_mode(
    database_url: str, nats_server: NatsServer, identity: Identity, tmp_path: Path
) -> None:
    """Everything works, and a session has the limits that Postgres is to enforce."""
    with pgbouncer(database_url, "session", tmp_path) as pooled:
        async with running_api(pooled, nats_server) as api, listening(api, after=api.cursor(0)) as listener:
            await identity.write(a_match())
            await eventually(lambda: listener.seqs == [1], "the event, from the database")
            assert (await httpx_get(api, "/readyz")).status_code == 200
            assert await api.parts.databases[0].fetch("SHOW statement_timeout") == [("5s",)]


async def test_behind_pgbouncer_in_transaction_mode(database_url: str, nats_server: NatsServer, tmp_path: Path) -> None:
    with pgbouncer(database_url, "transaction", tmp_path) as pooled, pytest.raises(PoolerError, match=REMEDY):
        async with running_api(pooled, nats_server):
            pass


async def test_a_pooler_that_loses_statements_is_named(api: Api, database_url: str, tmp_path: Path) -> None:
    """A pooler that is switched to transaction mode later: what fails says why, and /readyz does."""
    with pgbouncer(database_url, "statement", tmp_path) as pooled:
        own = api.parts.databases[1]
        await own.close()
        own._url = pooled
        await own.open()
        pool = Database(pooled, "busy")
        await pool.open()
        with pytest.raises(DatabaseAwayError, match=REMEDY):
            await asyncio.gather(*(pool.fetch(f"SELECT {number % 10}") for number in range(500)))
        await pool.close()

        async def refused() -> bool:
            response = await httpx_get(api, "/readyz")
            return response.status_code == 503 and "pool_mode = session" in response.text

        await eventually(refused, "not ready, with the reason")
