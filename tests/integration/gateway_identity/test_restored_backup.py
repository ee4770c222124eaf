"""A backup from before an erasure, restored, is erased again before identity is ready."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import a_sighting, axis
from tests.integration.gateway_identity.running import DEADLINE_S, Bus, client_of, running_program, until_ready
from tests.support.databases import drop, name_of
from tests.support.servers import NatsServer, PostgresServer
from tests.support.waiting import eventually

from vigil_gateway.services import erasure

pytestmark = pytest.mark.integration

NAMED = (
    "SELECT count(*) AS n FROM events WHERE payload #>> '{identity,subject,name}' = 'ann' AND stream_seq IS NOT NULL"
)
ROWS = """
    SELECT 'subjects' AS place FROM subjects WHERE subjects::text LIKE '%ann%'
    UNION ALL SELECT 'sightings' FROM sightings WHERE sightings::text LIKE '%ann%'
    UNION ALL SELECT 'events' FROM events WHERE events::text LIKE '%ann%'
    UNION ALL SELECT 'matches' FROM matches WHERE subject_id IS NOT NULL
    UNION ALL SELECT 'embeddings' FROM subject_embeddings
"""


async def copy(server: PostgresServer, url: str) -> str:
    """Copy a database to which nobody is connected any more, as a backup and its restoration do."""

    async def copied() -> str:
        try:
            return await server.new_database(name_of(url))
        except asyncpg.ObjectInUseError:
            return ""

    return await eventually(copied, DEADLINE_S, "the database is copied")


async def test_a_restored_backup_is_erased_before_identity_is_ready(
    prepared: str,
    shared_postgres: PostgresServer,
    shared_nats: NatsServer,
    bus: Bus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(erasure, "MEMORY_S", 0.0)

    def identity(url: str, gallery: str) -> Any:
        return running_program(
            site=bus.site,
            nats_url=shared_nats.url,
            nats_token=shared_nats.token,
            database_url=url,
            qdrant_path=tmp_path / gallery,
        )

    async with identity(prepared, "gallery") as program:
        await until_ready(program.port)
        await bus.publish(*(a_sighting(axis(0), site=bus.site) for _ in range(3)))

        async def published() -> bool:
            return await database.rows(prepared, NAMED) == [{"n": 3}]

        await eventually(published, DEADLINE_S, "events name her")
    backup = await copy(shared_postgres, prepared)
    async with identity(prepared, "gallery") as program:
        await until_ready(program.port)
        async with client_of(program.port) as http:
            receipt = (await http.delete("/registry/v1/subjects/default/ann")).json()
    assert receipt["counts"]["postgres.events"] == 3

    async with identity(backup, "restored") as program:
        await until_ready(program.port)
        assert await database.rows(backup, ROWS) == []
        async with client_of(program.port) as http:
            again = (await http.get(f"/registry/v1/erasures/{receipt['subjectId']}")).json()
    assert again["counts"]["postgres.events"] == 3
    await drop(shared_postgres, backup)


async def test_erasures_of_before_are_recorded_on_the_bus(
    prepared: str, bus: Bus, identity: Callable[..., Any], tmp_path: Path
) -> None:
    """An earlier version recorded none there, and the disk of the bus can be lost."""
    program = await identity()
    await until_ready(program.port)
    async with client_of(program.port) as http:
        assert (await http.delete("/registry/v1/subjects/default/ann")).is_success
    stream = f"VIGIL_{bus.site}_ERASURES"
    await bus.jetstream.purge_stream(stream)
    again = await identity(qdrant_path=tmp_path / "another")
    await until_ready(again.port)
    assert (await bus.jetstream.stream_info(stream)).state.messages == 1
    assert await database.rows(prepared, "SELECT 1 FROM subjects") == []
