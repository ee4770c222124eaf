"""Every query of the API reads by an index, and little more than it returns, however many sightings there are."""

import inspect
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from tests.integration.gateway_api.identity import START, Identity

from vigil_contracts.ids import ResourceKey, new_sighting_id
from vigil_gateway.principal import TOKEN_HOLDER
from vigil_gateway.storage.postgres.event_log import EventLog
from vigil_gateway.storage.postgres.reader import Reader
from vigil_gateway.storage.postgres.resource_reader import CameraReader, SubjectReader
from vigil_gateway.storage.postgres.sighting_reader import SightingPosition, SightingQuery, SightingReader

pytestmark = pytest.mark.integration

ROWS, CLAIMED = 50_000, 1_000_000
SIGHTINGS = f"""
    INSERT INTO sightings (id, opened_at, site, camera_namespace, camera_name, state, revision, last_seen_at, frames,
        identity, subject_id, subject_namespace, subject_name, subject_display_name, last_seq, still)
    SELECT gen_random_uuid(), $1::timestamptz + g * interval '10 s', 'home', 'default', 'cam' || g % 20,
        CASE WHEN g % 5000 = 7 THEN 'Opened' ELSE 'Closed' END, 1, $1, 1,
        CASE WHEN g % 10000 = 9 THEN 'Undetermined' WHEN g % 2 = 0 THEN 'Known' ELSE 'Unknown' END,
        CASE WHEN g % 2 = 0 THEN $2::uuid END, CASE WHEN g % 2 = 0 THEN 'default' END,
        CASE WHEN g % 2 = 0 THEN 'p' || g % 500 END, CASE WHEN g % 2 = 0 THEN 'P' END, g, g % 5000 = 8
    FROM generate_series(1, {ROWS}) g
"""  # noqa: S608 - a number of ours
OTHERS = """
    INSERT INTO events (seq, payload) SELECT g, '{}' FROM generate_series(1, 20000) g;
    INSERT INTO cameras (namespace, name, site, resource)
        SELECT 'default', 'cam' || g, 'home', '{}' FROM generate_series(1, 5000) g;
    INSERT INTO subjects (id, namespace, name, display_name)
        SELECT gen_random_uuid(), 'default', 'p' || g, 'P' FROM generate_series(1, 5000) g;
    INSERT INTO subject_photos (subject_id, name, accepted, reason) SELECT id, 'front', true, 'Accepted' FROM subjects;
    ANALYZE
"""
AS_IF_MORE = f"""
    UPDATE pg_class SET reltuples = reltuples * {CLAIMED // ROWS} WHERE relname LIKE 'sightings%' AND reltuples > 0
"""  # noqa: S608
"""The planner then counts a million; that they lie on few pages makes reading all look cheaper than it would be."""
GENERIC = """
    CREATE FUNCTION pg_temp.generic_plan(query text) RETURNS json LANGUAGE plpgsql AS
    $$ DECLARE plan json; BEGIN EXECUTE 'EXPLAIN (GENERIC_PLAN, FORMAT JSON) ' || query INTO plan; RETURN plan; END $$
"""
ANN, NOBODY = uuid.UUID("00000000-0000-4000-8000-000000000001"), ResourceKey("default", "nobody")
PEOPLE = {ResourceKey("default", f"p{n}") for n in range(200)}
CAMERAS = {ResourceKey("default", f"cam{n}") for n in range(3)}
WHOLE = {"keys", "count"}
"""They return, or count, all cameras or Subjects, and need none of the sightings."""

QUERIES = {
    "newest": SightingQuery(50),
    "oldest": SightingQuery(50, backward=True),
    "of somebody unknown by name": SightingQuery(50, subjects={NOBODY}),
    "of somebody by name": SightingQuery(50, subjects={ResourceKey("default", "p2")}),
    "of many by name": SightingQuery(50, subjects=PEOPLE),
    "of somebody by id": SightingQuery(50, subject_ids={ANN}),
    "of somebody unknown by id": SightingQuery(50, subject_ids={uuid.uuid4()}),
    "by name or id": SightingQuery(50, subjects={NOBODY}, subject_ids={ANN}),
    "of a camera": SightingQuery(50, cameras={ResourceKey("default", "cam1")}),
    "of some cameras, backward": SightingQuery(50, cameras=CAMERAS, backward=True),
    "of no such camera": SightingQuery(50, cameras={NOBODY}),
    "known": SightingQuery(50, identity={"Known"}),
    "undetermined": SightingQuery(50, identity={"Undetermined"}),
    "known or undetermined": SightingQuery(50, identity={"Known", "Undetermined"}),
    "in view": SightingQuery(50, states={"Opened", "Updated"}),
    "closed": SightingQuery(50, states={"Closed"}),
    "in view of cameras": SightingQuery(50, cameras=CAMERAS, states={"Opened"}),
    "still": SightingQuery(50, still=True),
    "not still": SightingQuery(50, still=False),
    "before all": SightingQuery(50, opened_before=START),
    "after all": SightingQuery(50, opened_from=START.replace(year=2027)),
    "behind a cursor": SightingQuery(50, after=SightingPosition.claimed(new_sighting_id(START))),
    "ahead of a cursor": SightingQuery(50, before=SightingPosition.claimed(new_sighting_id(START)), cameras=CAMERAS),
}
ALLOWED = {"of many by name": 200 * 51, "of some cameras, backward": 3 * 51, "known or undetermined": 2 * 51}
"""Rows that a query reads for its page, where it is more than one page."""

Call = Callable[[], Awaitable[Any]]


class Explaining:
    """A pool that keeps the plans of queries: as executed, with the rows that were read, and for any parameters."""

    def __init__(self, database: asyncpg.Connection) -> None:
        self._database = database
        self.read = 0.0
        self.scanned: set[str] = set()

    async def fetch(self, query: str, *args: object) -> list[Any]:
        if not query.startswith("EXPLAIN"):  # the estimate is one already
            plan = await self._database.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *args)
            generic = await self._database.fetchval("SELECT pg_temp.generic_plan($1)", query)
            plans = [json.loads(one)[0]["Plan"] for one in (plan, generic)]
            self.read += rows_read(plans[0])
            self.scanned |= scanned(plans[0]) | scanned(plans[1])
        rows: list[Any] = await self._database.fetch(query, *args)
        return rows


def rows_read(plan: dict[str, Any]) -> float:
    """Return the rows that the scans of a plan read, those that they left out included."""
    own = 0.0
    if "Relation Name" in plan:
        own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return own + sum(rows_read(one) for one in plan.get("Plans", ()))


def scanned(plan: dict[str, Any]) -> set[str]:
    """Return the tables that a plan reads from end to end, those of one row or none aside."""
    own = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" and plan["Plan Rows"] > 1 else set()
    return own.union(*(scanned(one) for one in plan.get("Plans", ())))


def calls(reader: Reader) -> dict[str, Call]:
    """Return every query of the API, by class, method and case."""
    sightings, cameras = SightingReader(reader), CameraReader(reader)
    subjects, events = SubjectReader(reader), EventLog(reader, TOKEN_HOLDER)
    at = ResourceKey("default", "p4000")
    found: dict[str, Call] = {
        f"SightingReader.page {name}": lambda query=query: sightings.page(TOKEN_HOLDER, query)  # type: ignore[misc]
        for name, query in QUERIES.items()
    }
    return found | {
        "SightingReader.estimate": lambda: sightings.estimate(TOKEN_HOLDER, QUERIES["by name or id"]),
        "SightingReader.by_ids": lambda: sightings.by_ids(TOKEN_HOLDER, [new_sighting_id(START) for _ in range(200)]),
        "CameraReader.page": lambda: cameras.page(None, None, 50, backward=False),
        "CameraReader.page between": lambda: cameras.page(ResourceKey("a", "a"), at, 50, backward=True),
        "CameraReader.by_keys": lambda: cameras.by_keys(CAMERAS),
        "CameraReader.keys": cameras.keys,
        "CameraReader.count": cameras.count,
        "SubjectReader.page": lambda: subjects.page(TOKEN_HOLDER, None, None, 50, backward=True),
        "SubjectReader.page behind": lambda: subjects.page(TOKEN_HOLDER, at, None, 50, backward=False),
        "SubjectReader.by_keys": lambda: subjects.by_keys(TOKEN_HOLDER, {at}),
        "SubjectReader.by_ids": lambda: subjects.by_ids(TOKEN_HOLDER, [ANN]),
        "SubjectReader.count": subjects.count,
        "EventLog.origin": events.origin,
        "EventLog.event_at": lambda: events.event_at(17),
        "EventLog.newest_seq": events.newest_seq,
        "EventLog.head": events.head,
        "EventLog.oldest_seq": events.oldest_seq,
        "EventLog.events_after": lambda: events.events_after(15_000, 128),
    }


async def test_queries_read_what_they_return(identity: Identity) -> None:
    """Nothing of the sightings is read from end to end, whatever the filter and whatever Postgres knows of it."""
    await identity.database.execute(SIGHTINGS, START, ANN)
    for statement in (OTHERS, AS_IF_MORE, GENERIC):
        await identity.database.execute(statement)
    found = {}
    pool = Explaining(identity.database)
    for name, call in calls(Reader(pool, 20)).items():
        pool.read, pool.scanned = 0.0, set()
        await call()
        whole = name.partition(".")[2] in WHOLE
        allowed = 5000 if whole else ALLOWED.get(name.partition(" ")[2], 0) + 1000
        if pool.read > allowed or (pool.scanned and not whole):
            found[name] = (pool.read, pool.scanned)
    assert found == {}


def test_every_query_of_the_api_is_tested() -> None:
    methods = {
        f"{kind.__name__}.{name}"
        for kind in (SightingReader, CameraReader, SubjectReader, EventLog)
        for name, _ in inspect.getmembers(kind, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert {name.partition(" ")[0] for name in calls(Reader(Explaining(None), 1))} == methods
