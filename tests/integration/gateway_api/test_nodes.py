"""Objects by their global ids, and how many statements a page with its objects takes."""

import dataclasses
import json
import uuid
from typing import Any

import pytest
from tests.integration.gateway_api.clients import listening
from tests.integration.gateway_api.identity import SITE, Identity, a_match
from tests.integration.gateway_api.running import Api, eventually
from tests.integration.gateway_api.test_queries import ask, write_sightings

from vigil_contracts.ids import ResourceKey, new_sighting_id
from vigil_gateway.handlers.graphql.context import RequestContext, Services
from vigil_gateway.handlers.graphql.ids import encode_id
from vigil_gateway.handlers.graphql.schema import build_schema
from vigil_gateway.principal import TOKEN_HOLDER
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.reader import Reader
from vigil_gateway.storage.postgres.resource_reader import CameraReader, SubjectReader
from vigil_gateway.storage.postgres.sighting_reader import SightingReader

pytestmark = pytest.mark.integration

ADA = uuid.uuid5(uuid.NAMESPACE_DNS, "ada")
RESOURCE = json.dumps({"spec": {"source": {"type": "RTSP", "url": "rtsp://camera/1"}, "sampling": {"fps": 5}}})
NODES = """query Nodes($ids: [ID!]!) { nodes(ids: $ids) { __typename id
    ... on Camera { name } ... on Subject { name } ... on Sighting { sightingId } } }"""
PAGE = "{ sightings(first: 50) { edges { node { sightingId %s } } } }"


class CountingPool:
    """A pool that counts the statements."""

    def __init__(self, pool: Database) -> None:
        self._pool = pool
        self.statements: list[str] = []

    async def fetch(self, query: str, *args: object) -> list[Any]:
        self.statements.append(query)
        return await self._pool.fetch(query, *args)


async def register(identity: Identity) -> None:
    for number in range(3):
        await identity.database.execute(
            "INSERT INTO cameras (namespace, name, site, resource) VALUES ('default', $1, $2, $3)",
            f"camera-{number}",
            SITE,
            RESOURCE,
        )
    await identity.database.execute(
        "INSERT INTO subjects (id, namespace, name, display_name, category)"
        " VALUES ($1, 'default', 'ada', 'Ada', 'Guest')",
        ADA,
    )


@pytest.mark.parametrize(
    ("fields", "statements"),
    [
        ("camera { id namespace name site } identity { status subject { id name displayName } }", 1),
        ("camera { url fps sourceType suspended createdAt heartbeat { state } }", 2),
        ("identity { subject { category enrolled active photos { name } } }", 3),
        ("camera { url createdAt } identity { subject { category createdAt photos { name } } }", 4),
    ],
)
async def test_statements_of_a_page_of_50_sightings(
    api: Api, identity: Identity, database_url: str, fields: str, statements: int
) -> None:
    """The page itself, one for all its cameras, one for all its Subjects and one for the photos of those."""
    await register(identity)
    await write_sightings(identity, 50)
    database = Database(database_url, "counting", 2)
    await database.open()
    pool = CountingPool(database)
    reader = Reader(pool, 5)
    services: Services = dataclasses.replace(
        api.parts.services,
        sightings=SightingReader(reader),
        registered_cameras=CameraReader(reader),
        subjects=SubjectReader(reader),
    )
    try:
        context = RequestContext(services, principal=TOKEN_HOLDER, live=False)
        response = await build_schema().execute(PAGE % fields, context_value=context)
    finally:
        await database.close()
    assert response.errors is None
    assert response.data is not None
    assert len(response.data["sightings"]["edges"]) == 50
    assert len(pool.statements) == statements, pool.statements


async def test_every_object_is_found_again_by_its_id(api: Api, identity: Identity) -> None:
    await register(identity)
    await write_sightings(identity, 2)
    fields = "id sightingId camera { id name url } identity { subject { id name category } }"
    page = await ask(api, f"{{ sightings(first: 1) {{ nodes {{ {fields} }} }} }}")
    (sighting,) = page["data"]["sightings"]["nodes"]
    camera, subject = sighting["camera"], sighting["identity"]["subject"]
    assert (camera["url"], subject["category"]) == ("rtsp://camera/1", "Guest")
    ids = [subject["id"], sighting["id"], camera["id"], subject["id"]]
    found = (await ask(api, NODES, ids=ids))["data"]["nodes"]
    assert found == [
        {"__typename": "Subject", "id": subject["id"], "name": "ada"},
        {"__typename": "Sighting", "id": sighting["id"], "sightingId": sighting["sightingId"]},
        {"__typename": "Camera", "id": camera["id"], "name": "camera-1"},
        {"__typename": "Subject", "id": subject["id"], "name": "ada"},
    ]
    one = await ask(api, "query One($id: ID!) { node(id: $id) { id } }", id=camera["id"])
    assert one["data"]["node"] == {"id": camera["id"]}


async def test_ids_without_an_object_are_null(api: Api) -> None:
    missing = [
        encode_id("Camera", ResourceKey("default", "roof")),
        encode_id("Subject", uuid.uuid4()),
        encode_id("Sighting", new_sighting_id()),
    ]
    assert (await ask(api, NODES, ids=missing))["data"]["nodes"] == [None, None, None]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("", "it was not made by this API"),
        ("absurd", "it was not made by this API"),
        ("x" * 5_000, "it has 5000 characters"),
        (encode_id("Site", "home"), "it names none of Camera, Sighting, Subject"),
        (encode_id("Camera", "Door"), "it holds no namespace and name"),
        (encode_id("Subject", "ada"), "it holds no UUID"),
        (encode_id("Sighting", "2f91a450-67ac-4c92-b226-b6813c87c7d1"), "it holds no sighting's UUID"),
    ],
)
async def test_malformed_ids_are_refused_with_a_code(api: Api, wrong: str, reason: str) -> None:
    response = await ask(api, "query One($id: ID!) { node(id: $id) { id } }", id=wrong)
    (error,) = response["errors"]
    assert (error["extensions"]["code"], response["data"]) == ("BAD_ID", {"node": None})
    assert reason in error["message"]


async def test_lists_have_a_count_and_sightings_an_estimate(api: Api, identity: Identity) -> None:
    await register(identity)
    await write_sightings(identity, 40)
    await identity.database.execute("ANALYZE")
    query = """query Counts($filter: SightingFilter) { cameras(first: 1) { totalCount nodes { name } }
        subjects(first: 1) { totalCount } sightings(first: 1, filter: $filter) { estimatedCount } }"""
    found = (await ask(api, query))["data"]
    assert found["cameras"] == {"totalCount": 3, "nodes": [{"name": "camera-0"}]}
    assert found["subjects"] == {"totalCount": 1}
    assert 20 <= found["sightings"]["estimatedCount"] <= 80
    none = (await ask(api, query, filter={"cameras": [], "states": ["CLOSED"]}))["data"]
    assert none["sightings"]["estimatedCount"] < found["sightings"]["estimatedCount"]


async def test_a_camera_that_is_gone_keeps_its_name(api: Api, identity: Identity) -> None:
    await identity.write(a_match("gone", who="ada"))
    query = """{ sightings(first: 1) { nodes {
        camera { name url suspended createdAt heartbeat { state } conditions { type } }
        identity { subject { displayName enrolled active category createdAt photos { name } } } } } }"""
    (sighting,) = (await ask(api, query))["data"]["sightings"]["nodes"]
    camera: dict[str, Any] = {"url": None, "suspended": None, "createdAt": None, "heartbeat": None, "conditions": []}
    subject: dict[str, Any] = {"enrolled": False, "active": False, "category": None, "createdAt": None, "photos": []}
    assert sighting == {
        "camera": {"name": "gone", **camera},
        "identity": {"subject": {"displayName": "Ada", **subject}},
    }


async def test_live_events_lead_to_their_objects(api: Api, identity: Identity) -> None:
    await register(identity)
    fields = "seq sighting { camera { name url fps } } identity { subject { name category } }"
    async with listening(api, fields=fields) as one, listening(api, fields=fields) as two:
        for number in range(5):
            await identity.emit(a_match(f"camera-{number % 3}", who="ada"))
        await eventually(lambda: len(one.received) == 5 and len(two.received) == 5, "both have all events")
    assert one.received == two.received
    assert one.seqs == [1, 2, 3, 4, 5]
    assert one.received[1]["sighting"]["camera"] == {"name": "camera-1", "url": "rtsp://camera/1", "fps": 5}
    assert one.received[1]["identity"]["subject"] == {"name": "ada", "category": "Guest"}
