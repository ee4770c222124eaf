import asyncio
import datetime as dt
import json
import subprocess
import sys

import asyncpg
import pytest
from alembic import command
from sqlalchemy import Connection
from tests.support import schema
from tests.support.servers import PostgresServer, environment

from vigil_contracts.events import MATCH_TYPE
from vigil_gateway.migrations import upgrade as steps
from vigil_gateway.migrations.check import SchemaError, check_schema, revisions
from vigil_gateway.migrations.upgrade import MigrationError, upgrade
from vigil_gateway.storage.postgres import outbox, partitions

pytestmark = pytest.mark.integration

NOW = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)


async def test_several_may_migrate_at_once_and_again(shared_postgres: PostgresServer) -> None:
    url = await shared_postgres.new_database()
    connection = await asyncpg.connect(url)
    with pytest.raises(SchemaError, match="no Vigil schema yet"):
        await check_schema(connection)
    done = await asyncio.gather(*(upgrade(url) for _ in range(4)))
    assert set(done) == {revisions()[-1]}
    assert await upgrade(url) == revisions()[-1]
    await check_schema(connection)
    await connection.close()


def test_schema_sql_is_the_migrated_schema(shared_postgres: PostgresServer, template: str) -> None:
    migrated = schema.dump(shared_postgres.url(template))
    assert schema.FILE.read_text() == migrated, "gateway/schema.sql is out of date; run: make schema"


async def test_a_newer_database_is_left_alone(shared_postgres: PostgresServer, template: str) -> None:
    url = await shared_postgres.new_database(template)
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.execute("UPDATE schema_support SET oldest = '9999'")
    with pytest.raises(SchemaError, match="upgrade the program"):
        await check_schema(connection)
    with pytest.raises(MigrationError, match="newer program"):
        await upgrade(url)
    await connection.close()


async def test_a_later_schema_that_serves_this_program_is_used(shared_postgres: PostgresServer, template: str) -> None:
    """A migration leaves it unchanged."""
    url = await shared_postgres.new_database(template)
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.execute("UPDATE schema_support SET oldest = $1", revisions()[-1])
    await check_schema(connection)
    assert await upgrade(url) == "9999"
    await connection.execute("UPDATE schema_support SET oldest = '9998'")
    with pytest.raises(SchemaError, match="upgrade the program"):
        await check_schema(connection)
    with pytest.raises(MigrationError, match="newer program"):
        await upgrade(url)
    await connection.close()


async def test_the_second_step_is_taken_while_programs_run(shared_postgres: PostgresServer) -> None:
    """Programs of the first step have open transactions and continue."""
    url = await shared_postgres.new_database()
    await at_step(url, "0001")
    old, waiting = await asyncpg.connect(url), await asyncpg.connect(url)
    await old.execute("INSERT INTO cameras (namespace, name, site, resource) VALUES ('a', 'b', 'c', '{}')")
    async with waiting.transaction():  # as a batch that is being recorded, and a query that is being answered
        await waiting.execute("UPDATE event_counter SET last = last + 1")
        await waiting.execute("SELECT * FROM sightings, subject_embeddings")
        await asyncio.wait_for(at_step(url, "0002"), 30)
    assert await old.fetchval("SELECT name FROM cameras WHERE namespace = 'a'") == "b"
    assert await upgrade(url) == revisions()[-1]
    await old.close()
    await waiting.close()


async def test_the_third_step_serves_programs_of_the_second(
    shared_postgres: PostgresServer,
) -> None:
    """The registrar of what was registered before, and of what they register, is not known."""
    url = await shared_postgres.new_database()
    await at_step(url, "0002")
    old = await asyncpg.connect(url)
    put = "INSERT INTO cameras (namespace, name, site, resource) VALUES ('a', $1, 'c', '{}')"
    await old.execute(put, "before")
    assert await upgrade(url) == revisions()[-1]
    await old.execute(put, "after")
    assert await old.fetch("SELECT DISTINCT registrar FROM cameras") == [(None,)]
    assert await old.fetchval("SELECT oldest FROM schema_support") == "0002"
    await old.close()


async def test_the_fifth_step_keeps_events_and_serves_older_programs(shared_postgres: PostgresServer) -> None:
    """Events from before, and those that a program of step 0004 writes after, are matches with their subject."""
    url = await shared_postgres.new_database()
    await at_step(url, "0004")
    old = await asyncpg.connect(url)
    put = (
        "INSERT INTO events (seq, sighting_id, sighting_opened_at, revision, payload)"
        " VALUES ($1, gen_random_uuid(), now(), 1, $2::jsonb)"
    )
    camera = {"namespace": "default", "name": "door"}
    payload = json.dumps({"seq": 1, "sighting": {"site": "home", "camera": camera}})
    await old.execute(put, 1, payload)
    assert await upgrade(url) == revisions()[-1]
    await old.execute(put, 2, payload)
    for row in await outbox.pending(old, 10):
        assert (row.type, row.subject) == (MATCH_TYPE, "vigil.home.match.default_door")
        assert json.loads(row.payload) == json.loads(payload)
    assert await outbox.count_pending(old) == 2
    assert await old.fetchval("SELECT oldest FROM schema_support") == "0002"
    await old.close()


async def test_the_sixth_step_hides_what_addresses_held(shared_postgres: PostgresServer) -> None:
    url = await shared_postgres.new_database()
    await at_step(url, "0005")
    old = await asyncpg.connect(url)
    camera = {"spec": {"source": {"type": "RTSP", "url": "rtsp://h/1?user=a&password=SECRET"}}}
    photos = [{"name": "p", "url": "https://h/p.jpg?X-Amz-Signature=SECRET", "sha256": "0" * 64}]
    subject = {"spec": {"displayName": 'Ann "O\'Hara" %1 :x', "photos": photos}}
    put = "INSERT INTO cameras (namespace, name, site, resource) VALUES ('a', $1, 'c', $2::jsonb)"
    await old.executemany(put, [("door", json.dumps(camera)), ("plain", '{"spec": {"x": 1}}')])
    await old.execute(
        "INSERT INTO subjects (id, namespace, name, display_name, resource)"
        " VALUES (gen_random_uuid(), 'a', 'ann', 'Ann', $1::jsonb)",
        json.dumps(subject),
    )
    assert await upgrade(url) == revisions()[-1]
    assert json.loads(await old.fetchval("SELECT resource FROM cameras WHERE name = 'door'")) == {
        "spec": {"source": {"type": "RTSP", "url": "rtsp://h/1?…"}}
    }
    assert json.loads(await old.fetchval("SELECT resource FROM cameras WHERE name = 'plain'")) == {"spec": {"x": 1}}
    kept = json.loads(await old.fetchval("SELECT resource FROM subjects"))["spec"]
    assert kept["displayName"] == subject["spec"]["displayName"]
    assert kept["photos"] == [{**photos[0], "url": "https://h/p.jpg?…"}]
    assert await old.fetchval("SELECT oldest FROM schema_support") == "0002"
    await old.close()


async def at_step(url: str, revision: str) -> None:
    """Bring a database to an older step."""
    engine = steps.new_engine(url)
    async with engine.begin() as connection:

        def take(sync: Connection) -> None:
            settings = steps.config()
            settings.attributes["connection"] = sync
            command.upgrade(settings, revision)

        await connection.run_sync(take)
    await engine.dispose()


async def test_several_may_make_a_partition_at_once(shared_postgres: PostgresServer, template: str) -> None:
    url = await shared_postgres.new_database(template)
    connections = [await asyncpg.connect(url) for _ in range(4)]
    months = [partitions.month_of(at) for at in (NOW, NOW.replace(month=12))]
    await asyncio.gather(*(partitions.ensure(connection, months) for connection in connections))
    made = await connections[0].fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'sightings'::regclass")
    assert made == len(set(months))
    for connection in connections:
        await connection.close()


def test_a_database_that_is_away_is_one_sentence() -> None:
    address = "postgresql://nobody:secret@127.0.0.1:9/none"
    done = subprocess.run(
        [sys.executable, "-m", "vigil_gateway", "migrate"],
        env={**environment(), "VIGIL_DATABASE_URL": address},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("vigil-gateway: migration failed (")
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
