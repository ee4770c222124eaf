"""Promises of the lists: pages without loss or repetition, filters, and clear words for absurd requests."""

import datetime as dt
import json
import uuid
from typing import Any

import httpx
import pytest
from tests.integration.gateway_api.identity import KEY, SITE, START, Identity, a_match
from tests.integration.gateway_api.running import TOKEN, Api, eventually

from vigil_contracts.bus import MessageKind, bus_subject
from vigil_contracts.conditions import FitnessReason, SourceReason
from vigil_contracts.events import (
    CameraHeartbeat,
    CameraRef,
    CameraState,
    Match,
    encode_heartbeat,
)
from vigil_contracts.ids import new_sighting_id

pytestmark = pytest.mark.integration

PAGE = """query Page($first: Int, $after: String, $last: Int, $before: String, $filter: SightingFilter) {
  sightings(first: $first, after: $after, last: $last, before: $before, filter: $filter) {
    edges { cursor node { sightingId } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


async def ask(api: Api, query: str, **variables: Any) -> dict[str, Any]:
    """Run a query and give the answer as it came."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=api.http, headers=headers, timeout=20) as client:
        response: dict[str, Any] = (await client.post("/graphql", json={"query": query, "variables": variables})).json()
        return response


async def write_sightings(identity: Identity, count: int) -> list[Match]:
    """Write sightings a second apart, of three cameras, every second of Ada, every fourth still; the newest first."""
    matches = [
        await identity.write(
            a_match(
                f"camera-{number % 3}",
                sighting_id=new_sighting_id(START + dt.timedelta(seconds=number)),
                who="ada" if number % 2 else None,
                still=number % 4 == 0,
            )
        )
        for number in range(count)
    ]
    return matches[::-1]


def ids(matches: list[Match]) -> list[str]:
    return [str(match.sighting.sighting_id) for match in matches]


async def test_pages_forward_and_backward_give_every_sighting_once(api: Api, identity: Identity) -> None:
    wanted = ids(await write_sightings(identity, 25))
    seen, after = [], None
    for _ in range(4):
        page = (await ask(api, PAGE, first=7, after=after))["data"]["sightings"]
        seen += [edge["node"]["sightingId"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if len(seen) == 7:
            await identity.write(a_match())  # what comes meanwhile does not shift the pages
    assert seen == wanted
    assert not page["pageInfo"]["hasNextPage"]
    back = (await ask(api, PAGE, last=5, before=after))["data"]["sightings"]
    assert [edge["node"]["sightingId"] for edge in back["edges"]] == wanted[-6:-1]
    assert back["pageInfo"]["hasPreviousPage"]


async def test_filters_of_the_list(api: Api, identity: Identity) -> None:
    matches = await write_sightings(identity, 12)
    ada = str(uuid.uuid5(uuid.NAMESPACE_DNS, "ada"))
    cases: list[tuple[dict[str, Any], list[Match]]] = [
        ({"identity": ["KNOWN"]}, [m for m in matches if m.identity.subject]),
        ({"cameras": [{"name": "camera-1"}]}, [m for m in matches if m.sighting.camera.name == "camera-1"]),
        ({"cameras": []}, []),
        ({"subjects": [{"name": "ada"}]}, [m for m in matches if m.identity.subject]),
        (
            {"subjects": [{"subjectId": ada}]},
            [m for m in matches if m.identity.subject],
        ),
        ({"subjects": [{"name": "bob"}]}, []),
        ({"states": ["CLOSED"]}, []),
        ({"still": True}, [m for m in matches if m.sighting.still]),
        ({"still": False}, [m for m in matches if not m.sighting.still]),
        (
            {"openedFrom": "2026-01-01T00:00:03Z", "openedBefore": "2026-01-01T01:00:06+01:00"},
            [m for m in matches if 3 <= (m.sighting.opened_at - START).total_seconds() < 6],
        ),
    ]
    for given, wanted in cases:
        page = (await ask(api, PAGE, filter=given))["data"]["sightings"]
        assert [edge["node"]["sightingId"] for edge in page["edges"]] == ids(wanted), given


async def test_one_sighting_with_everything(api: Api, identity: Identity) -> None:
    match = await identity.write(a_match("door", who="ada"))
    fields = """sightingId revision state site camera { namespace name } frames still closeReason
        bestShot { confidence landmarks { x } quality { facePixels } }
        identity { status similarity threshold modelId subject { name displayName } }"""
    query = f"query One($id: UUID!) {{ sighting(sightingId: $id) {{ {fields} }} }}"
    found = (await ask(api, query, id=str(match.sighting.sighting_id)))["data"]["sighting"]
    assert found["camera"] == {"namespace": "default", "name": "door"}
    assert not found["still"]
    assert found["bestShot"]["quality"] == {"facePixels": 90}
    assert found["identity"]["subject"] == {"name": "ada", "displayName": "Ada"}
    assert found["identity"]["similarity"] == pytest.approx(0.7)
    assert (await ask(api, query, id=str(new_sighting_id())))["data"]["sighting"] is None
    wrong = await ask(api, query, id=str(uuid.uuid4()))
    assert "version 7 is expected" in wrong["errors"][0]["message"]


async def test_cameras_with_their_last_heartbeat(api: Api, identity: Identity) -> None:
    resource = {"spec": {"source": {"type": "RTSP", "url": "rtsp://camera/1"}, "sampling": {"fps": 5}}}
    for name in ("door", "gate"):
        await identity.database.execute(
            "INSERT INTO cameras (namespace, name, site, resource) VALUES ('default', $1, $2, $3)",
            name,
            SITE,
            json.dumps(resource),
        )
    now = dt.datetime.now(dt.UTC)
    beat = CameraHeartbeat(
        site=SITE,
        camera=CameraRef(namespace="default", name="door"),
        session_id="s",
        state=CameraState.STREAMING,
        reason=SourceReason.CONNECTED,
        since=now,
        fitness=FitnessReason.FACES_TOO_SMALL,
        fitness_message="18 pixels wide; 30 are needed",
        analysed_fps=4.9,
    )
    await identity.bus.publish(bus_subject(SITE, MessageKind.CAMERA, KEY), encode_heartbeat(beat, now))
    await eventually(lambda: len(api.parts.services.cameras) == 1, "the heartbeat came")
    fields = """name sourceType url fps suspended conditions { type status reason message }
        heartbeat { state stale analysedFps counters { framesCaptured } }"""
    page = (await ask(api, f"{{ cameras(first: 10) {{ nodes {{ {fields} }} }} }}"))["data"]["cameras"]
    door, gate = page["nodes"]
    assert (door["name"], door["sourceType"], door["url"], door["fps"]) == ("door", "RTSP", "rtsp://camera/1", 5)
    assert door["heartbeat"] == {
        "state": "STREAMING",
        "stale": False,
        "analysedFps": 4.9,
        "counters": {"framesCaptured": 0},
    }
    assert {c["type"]: (c["status"], c["reason"]) for c in door["conditions"]} == {
        "Streaming": ("TRUE", "Connected"),
        "SourceReachable": ("TRUE", "Connected"),
        "FitForRecognition": ("FALSE", "FacesTooSmall"),
        "ClockSynchronized": ("TRUE", "Synchronized"),
    }
    assert (gate["heartbeat"], gate["conditions"]) == (None, [])
    one = await ask(api, '{ camera(name: "gate") { name } none: camera(name: "roof") { name } }')
    assert one["data"] == {"camera": {"name": "gate"}, "none": None}


async def test_subjects_with_the_assessment_of_their_photos(api: Api, identity: Identity) -> None:
    for name, until in (("ada", None), ("bob", START)):
        subject_id = await identity.database.fetchval(
            "INSERT INTO subjects (id, namespace, name, display_name, category, active_until, resource, content_hash)"
            " VALUES (gen_random_uuid(), 'default', $1, $2, 'Employee', $3, '{}', 'x') RETURNING id",
            name,
            name.title(),
            until,
        )
        await identity.database.executemany(
            "INSERT INTO subject_photos (subject_id, name, sha256, accepted, reason, message, quality)"
            " VALUES ($1, $2, 'x', $3, $4, $5, $6)",
            [
                (subject_id, "front", name == "ada", "Accepted" if name == "ada" else "NoFace", "", None),
                (subject_id, "side", False, "FaceTurned", "61 degrees; at most 35", None),
            ],
        )
    fields = "edges { cursor node { name enrolled active category photos { name accepted reason message } } }"
    page = (await ask(api, f"{{ subjects(first: 1) {{ {fields} pageInfo {{ hasNextPage }} }} }}"))["data"]["subjects"]
    assert page["pageInfo"] == {"hasNextPage": True}
    ada = page["edges"][0]["node"]
    assert (ada["name"], ada["enrolled"], ada["active"]) == ("ada", True, True)
    assert ada["photos"][1] == {
        "name": "side",
        "accepted": False,
        "reason": "FaceTurned",
        "message": "61 degrees; at most 35",
    }
    query = f"query Next($after: String) {{ subjects(first: 1, after: $after) {{ {fields} }} }}"
    bob = (await ask(api, query, after=page["edges"][0]["cursor"]))["data"]["subjects"]["edges"][0]["node"]
    assert (bob["name"], bob["enrolled"], bob["active"]) == ("bob", False, False)


async def test_site_and_status(api: Api, identity: Identity) -> None:
    await identity.emit(a_match())
    await eventually(lambda: api.parts.services.hub.feed.ring.head == 1, "the event came")
    response = await ask(api, "{ site { name cursor cameras subjects } status { database bus newestSeq subscribers } }")
    assert response["data"] == {
        "site": {"name": SITE, "cursor": api.cursor(1), "cameras": 0, "subjects": 0},
        "status": {"database": True, "bus": True, "newestSeq": 1, "subscribers": 0},
    }


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("{ sightings(first: 100000) { nodes { id } } }", "entries in a page: 100000 given, at most 200 allowed"),
        ("{ sightings(first: -1) { nodes { id } } }", "a page of -1 entries"),
        ('{ sightings(after: "absurd") { nodes { id } } }', "the cursor 'absurd' cannot be used"),
        ("{ " + "a { " * 30 + "a" + " }" * 31, "levels of fields: 31 given, at most 12 allowed"),
        ("{" * 500, "brackets open at once in the document: 500 given"),
        ("{ " + "status { version } " * 400 + "}", "tokens in the document: 1602 given, at most 1000 allowed"),
        ("{ " + " ".join(f"a{n}: __typename" for n in range(50)) + " }", "aliases: 50 given, at most 20 allowed"),
        ("x" * 20_000, "characters in the document: 20000 given, at most 16384 allowed"),
        ("{ nothing }", "Cannot query field 'nothing'"),
        ("{ sightings(", "Syntax Error"),
        ('{ sightings(filter: {openedFrom: "2026-01-01T00:00:00"}) { nodes { id } } }', "openedFrom has no time zone"),
        ('{ sightings(filter: {openedFrom: "yesterday"}) { nodes { id } } }', "DateTime"),
        ('{ camera(name: "a", namespace: "\\u0000") { name } }', "is not a name"),
    ],
)
async def test_absurd_requests_get_a_clear_error(api: Api, query: str, reason: str) -> None:
    """The API answers the next request as before."""
    response = await ask(api, query)
    assert reason in response["errors"][0]["message"]
    assert (await ask(api, "{ status { version } }"))["data"]["status"]["version"]


async def test_unexpected_errors_are_masked(api: Api, identity: Identity) -> None:
    await identity.database.execute("ALTER TABLE sightings RENAME COLUMN frames TO images")
    response = await ask(api, "{ sightings { nodes { id } } }")
    error = response["errors"][0]
    assert error["extensions"]["code"] == "INTERNAL"
    assert (
        error["message"] == f"internal error {error['extensions']['errorId']}; the gateway's log has more under this id"
    )
    assert "frames" not in json.dumps(response)


async def test_a_slow_database_is_reported(api: Api, identity: Identity) -> None:
    blocker = identity.database.transaction()
    await blocker.start()
    await identity.database.execute("LOCK TABLE sightings IN ACCESS EXCLUSIVE MODE")
    response = await ask(api, "{ sightings { nodes { id } } }")
    await blocker.rollback()
    assert response["errors"][0]["extensions"]["code"] == "TIMEOUT"
    assert "did not respond within 5 s" in response["errors"][0]["message"]
    assert (await ask(api, "{ sightings { nodes { id } } }"))["data"] == {"sightings": {"nodes": []}}
