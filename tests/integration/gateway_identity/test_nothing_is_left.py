"""Erasing a Subject who is in view leaves no byte of the person in any file or log, and no name in what the API sends.

Each search is made before the erasure too, and finds the person: a search that never finds anything proves nothing.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest
import websockets
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import a_sighting, face
from tests.integration.gateway_identity.running import DEADLINE_S, TOKEN, Bus, Process, client_of, until_ready
from tests.support.servers import NatsServer, PostgresServer, environment
from websockets.asyncio.client import ClientConnection

from vigil_cli.standalone.servers.ports import free_port
from vigil_gateway.handlers.graphql.cursors import EventCursor, encode_event
from vigil_gateway.storage.postgres.event_log import NAME_CHARS

pytestmark = pytest.mark.integration

SUBSCRIBE = "subscription ($after: String) { sightings(after: $after) { cursor identity { subject { displayName } } } }"
QUERIES = (
    "{ sightings(first: 5) { nodes { identity { subject { name displayName } } } } }",
    "{ subjects(first: 5) { nodes { name displayName externalId } } }",
)
LOG = "pg_wal"
"""Postgres' write-ahead log has rows as they were until it is written over (docs/privacy.md)."""


@dataclass(frozen=True)
class Folders:
    """Where the servers have their files, and the programs their logs."""

    postgres: Path
    jetstream: Path
    gallery: Path
    logs: Path


@dataclass(frozen=True)
class Person:
    """Somebody whose bytes are found nowhere else."""

    name: str
    display_name: str
    external_id: str
    subject_id: uuid.UUID
    vector: bytes

    @property
    def needles(self) -> dict[str, bytes]:
        return {
            "name": self.name.encode(),
            "display name": self.display_name.encode(),
            "external id": self.external_id.encode(),
            "id as text": str(self.subject_id).encode(),
            "id": self.subject_id.bytes,
            "vector": self.vector[:32],
        }


def in_folder(folder: Path, needles: dict[str, bytes], without: Collection[str] = ()) -> set[tuple[str, str]]:
    """Return what is found in which file of a folder; `without` names files and folders that are left out."""
    found = set[tuple[str, str]]()
    for file in folder.rglob("*"):
        name = str(file.relative_to(folder))
        if file.is_file() and not name.startswith(tuple(without)):
            content = file.read_bytes()
            found |= {(needle, name) for needle, data in needles.items() if data in content}
    return found


@pytest.fixture
def folders(shared_postgres: PostgresServer, shared_nats: NatsServer, tmp_path: Path) -> Folders:
    (control,) = shared_postgres.running.log.parent.rglob("pg_control")
    return Folders(control.parent.parent, shared_nats.running.log.parent, tmp_path / "gallery", tmp_path)


@pytest.fixture
async def person(prepared: str) -> Person:
    mark = uuid.uuid4().hex[:10]
    vector = face(int(mark, 16)).astype("<f4").tobytes()
    made = Person(f"quill-{mark}", f"Quill {mark}", f"badge-{mark}", uuid.uuid4(), vector)
    await database.execute(
        prepared,
        "INSERT INTO subjects (id, namespace, name, display_name, external_id) VALUES ($1, 'default', $2, $3, $4)",
        made.subject_id,
        made.name,
        made.display_name,
        made.external_id,
    )
    sql = "INSERT INTO subject_embeddings SELECT $1, 'one', id, $2 FROM models"
    await database.execute(prepared, sql, made.subject_id, vector)
    return made


@pytest.fixture
async def identity(
    prepared: str, person: Person, shared_nats: NatsServer, bus: Bus, tmp_path: Path
) -> AsyncIterator[int]:
    assert person.name
    port = free_port()
    made = Process(
        tmp_path,
        site=bus.site,
        nats_url=shared_nats.url,
        nats_token=shared_nats.token,
        database_url=prepared,
        qdrant_path=tmp_path / "gallery",
        http_port=port,
    )
    made.start()
    await until_ready(port)
    yield port
    made.kill()
    sys.stdout.write(made.log[-3000:])


@pytest.fixture
def api(prepared: str, shared_nats: NatsServer, bus: Bus, tmp_path: Path) -> Iterator[int]:
    """Start an API, and yield its port."""
    port = free_port()
    settings = {
        "SITE": bus.site,
        "NATS_URL": shared_nats.url,
        "NATS_TOKEN": shared_nats.token,
        "DATABASE_URL": prepared,
        "TOKEN": TOKEN,
        "HTTP_PORT": str(port),
    }
    given = {f"VIGIL_{name}": value for name, value in settings.items()}
    with (tmp_path / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "vigil_gateway", "api"],
            env={**environment(), **given},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    yield port
    process.terminate()
    process.wait(20)


@contextlib.asynccontextmanager
async def subscribed(port: int, after: str) -> AsyncIterator[ClientConnection]:
    protocols = [websockets.Subprotocol("graphql-transport-ws")]
    async with websockets.connect(f"ws://127.0.0.1:{port}/graphql", subprotocols=protocols) as ws:
        await ws.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {TOKEN}"}}))
        await ws.recv()
        payload = {"query": SUBSCRIBE, "variables": {"after": after}}
        await ws.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        yield ws


async def beginning(url: str) -> str:
    """Return the cursor before the first event: a subscription after it misses none, whenever it begins."""
    (row,) = await database.rows(url, "SELECT id FROM installation")
    return encode_event(EventCursor(0, row["id"].hex[:NAME_CHARS]))


async def see(bus: Bus, person: Person, ws: ClientConnection, times: int) -> list[dict[str, Any]]:
    """Have the camera see the person, and return what the subscriber receives of each sighting."""
    vector = np.frombuffer(person.vector, "<f4")
    await bus.publish(*(a_sighting(vector, site=bus.site) for _ in range(times)))
    received = [json.loads(await asyncio.wait_for(ws.recv(), DEADLINE_S)) for _ in range(times)]
    return [message["payload"]["data"]["sightings"] for message in received]


async def checkpoint(server: PostgresServer) -> None:
    """Have Postgres write what it holds in memory to its files, and remove files that are no longer used."""
    connection = await asyncpg.connect(server.admin_url)
    await connection.execute("CHECKPOINT")
    await connection.close()


async def files_of(url: str, table: str) -> set[str]:
    """Return the files of a table and its indexes."""
    sql = (
        "SELECT pg_relation_filepath(oid) AS path FROM pg_class WHERE oid = $1::text::regclass UNION"
        " SELECT pg_relation_filepath(indexrelid) FROM pg_index WHERE indrelid = $1::text::regclass"
    )
    return {row["path"] for row in await database.rows(url, sql, table)}


async def test_an_erased_person_is_found_in_no_byte(
    prepared: str,
    person: Person,
    identity: int,
    api: int,
    bus: Bus,
    shared_postgres: PostgresServer,
    folders: Folders,
) -> None:
    needles = person.needles
    await until_ready(api)
    async with subscribed(api, after=await beginning(prepared)) as ws:
        seen = await see(bus, person, ws, 20)
        assert all(one["identity"]["subject"]["displayName"] == person.display_name for one in seen)
        async with client_of(api) as http:
            for query in QUERIES:
                assert person.display_name in (await http.post("/graphql", json={"query": query})).text
        await checkpoint(shared_postgres)
        assert {name for name, _ in in_folder(folders.postgres, needles, [LOG])} == needles.keys()
        assert {name for name, _ in in_folder(folders.jetstream, needles)} >= {"name", "display name", "id as text"}
        assert {name for name, _ in in_folder(folders.gallery, needles)} >= {"id as text", "vector"}

        async with client_of(identity) as http:
            response = await http.delete(f"/registry/v1/subjects/default/{person.name}")
        assert response.is_success, response.text
        async with client_of(api) as http:
            for query in QUERIES:
                assert person.name not in (await http.post("/graphql", json={"query": query})).text
        async with subscribed(api, after=seen[0]["cursor"]) as resumed:
            replayed = [json.loads(await asyncio.wait_for(resumed.recv(), DEADLINE_S)) for _ in seen[1:]]
        again = [message["payload"]["data"]["sightings"] for message in replayed] + await see(bus, person, ws, 2)
        assert all(one["identity"]["subject"] is None for one in again)

    await checkpoint(shared_postgres)
    receipt = await files_of(prepared, "erasures")
    left = in_folder(folders.postgres, needles, [LOG])
    assert {needle for needle, _ in left} == {"id"}, left
    assert {file for _, file in left} <= receipt
    assert {name for name, _ in in_folder(folders.jetstream, needles)} <= {"id as text"}
    assert in_folder(folders.gallery, needles) == set()
    assert {name for name, _ in in_folder(folders.logs, needles, ["gallery"])} <= {"id as text"}
