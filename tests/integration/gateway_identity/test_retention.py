"""What was seen too long ago is deleted everywhere, and nothing else is."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import a_sighting, axis, camera_resource
from tests.integration.gateway_identity.running import DEADLINE_S, Bench, Bus, client_of, until_ready
from tests.support.waiting import eventually

from vigil_contracts.bus import event_stream, sighting_stream
from vigil_contracts.events import Sighting
from vigil_contracts.ids import new_sighting_id
from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.identity.factory import RETENTION
from vigil_gateway.services.retention import Retention
from vigil_gateway.storage.postgres import retention as stored
from vigil_runtime.bus_address import BusAddress, BusCredentials

pytestmark = pytest.mark.integration

NOWHERE = BusAddress("nats://127.0.0.1:9", BusCredentials(), "nowhere")
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
DEFAULT = 90 * DAY


def seen(site: str, ago: dt.timedelta, camera: str, *, length: dt.timedelta = dt.timedelta(), **more: Any) -> Sighting:
    """Make a sighting that ended so long ago."""
    ended = dt.datetime.now(dt.UTC) - ago
    made = a_sighting(axis(0), site=site, camera=camera, sighting_id=new_sighting_id(ended - length), **more)
    return made.model_copy(update={"last_seen_at": ended})


async def add_site(url: str, name: str, retention: str | None) -> None:
    spec = {"retention": {"sightings": retention}} if retention else {}
    resource = {"kind": "Site", "metadata": {"name": name}, "spec": spec}
    sql = "INSERT INTO sites (namespace, name, resource) VALUES ('default', $1, $2::jsonb)"
    await database.execute(url, sql, name, json.dumps(resource))


async def left(url: str) -> dict[str, list[str]]:
    """Name the cameras that have rows left in each table; a camera as often as it has sightings there."""
    by_id = {row["id"]: row["camera_name"] for row in await database.rows(url, "SELECT id, camera_name FROM sightings")}
    found = {"sightings": sorted(by_id.values())}
    for table in ("sighting_revisions", "matches", "events"):
        rows = await database.rows(url, f"SELECT sighting_id FROM {table}")  # noqa: S608 - our tables
        found[table] = sorted(by_id.get(row["sighting_id"], "orphan") for row in rows)
    return found


@pytest.fixture
def retention(pipeline: Bench) -> Retention:
    return Retention(
        RETENTION,
        pipeline.database,
        SiteBus(BusAddress(NOWHERE.url, BusCredentials(), pipeline.site), "test"),
        pipeline.metrics,
        DEFAULT,
    )


async def prepare(bench: Bench) -> None:
    await database.add_model(bench.url)
    await bench.models.load()


async def test_each_camera_has_its_own_or_its_sites_retention(pipeline: Bench, retention: Retention) -> None:
    await prepare(pipeline)
    url, site = pipeline.url, pipeline.site
    await add_site(url, site, "3d")
    await add_site(url, "other", None)
    await database.add_camera(url, site, "own", retention={"sightings": "1d"})
    await database.add_camera(url, site, "longer", retention={"sightings": "9d"})
    await database.add_camera(url, site, "default")
    await database.add_camera(url, site, "free", siteRef={"name": "other"})
    await database.execute(url, "UPDATE cameras SET deleted_at = now() WHERE name = 'default'")
    for camera in ("own", "longer", "free"):
        for ago in (HOUR, 2 * DAY, 4 * DAY):
            await pipeline.process(seen(site, ago, camera))
    await database.execute(url, "UPDATE cameras SET deleted_at = NULL")
    for ago in (HOUR, 2 * DAY, 4 * DAY):
        await pipeline.process(seen(site, ago, "default"))
    await database.execute(url, "UPDATE cameras SET deleted_at = now() WHERE name = 'default'")

    await retention.enforce()
    wanted = sorted(["own"] + ["longer", "default"] * 2 + ["free"] * 3)
    assert set(map(tuple, (await left(url)).values())) == {tuple(wanted)}
    sample = pipeline.metrics.registry.get_sample_value
    assert sample("vigil_identity_retention_deleted_total", {"place": "postgres.sightings"}) == 4
    assert sample("vigil_identity_retention_deleted_total", {"place": "postgres.events"}) == 4
    await retention.enforce()
    assert (await left(url))["sightings"] == wanted


async def test_without_a_retention_the_default_applies(pipeline: Bench, retention: Retention) -> None:
    """Nothing is kept for ever: neither the camera, nor a Site that has none, nor no Site at all."""
    await prepare(pipeline)
    await add_site(pipeline.url, "other", None)
    await database.add_camera(pipeline.url, pipeline.site, "alone")
    await database.add_camera(pipeline.url, pipeline.site, "sited", siteRef={"name": "other"})
    for camera in ("alone", "sited"):
        for ago in (DEFAULT - HOUR, DEFAULT + HOUR):
            await pipeline.process(seen(pipeline.site, ago, camera))
    await retention.enforce()
    assert (await left(pipeline.url))["sightings"] == ["alone", "sited"]


async def test_a_sighting_that_goes_on_is_kept(pipeline: Bench, retention: Retention) -> None:
    """However long ago it began."""
    await prepare(pipeline)
    await database.add_camera(pipeline.url, pipeline.site, "door", retention={"sightings": "1h"})
    await pipeline.process(seen(pipeline.site, dt.timedelta(minutes=1), "door", length=5 * HOUR))
    await pipeline.process(seen(pipeline.site, 2 * HOUR, "door", length=HOUR))
    await retention.enforce()
    assert (await left(pipeline.url))["sightings"] == ["door"]


async def test_a_clock_that_runs_ahead_keeps_nothing_for_ever(pipeline: Bench, retention: Retention) -> None:
    await prepare(pipeline)
    await database.add_camera(pipeline.url, pipeline.site, "door", retention={"sightings": "1h"})
    await pipeline.process(seen(pipeline.site, -400 * DAY, "door", length=400 * DAY))
    await database.execute(pipeline.url, "UPDATE sightings SET decided_at = now() - interval '2 hours'")
    await retention.enforce()
    assert (await left(pipeline.url))["sightings"] == []


async def test_a_revision_after_the_deletion_leaves_no_orphan(pipeline: Bench, retention: Retention) -> None:
    """A late revision of a deleted sighting is recorded as a new one, and the next round deletes it."""
    await prepare(pipeline)
    await database.add_camera(pipeline.url, pipeline.site, "door", retention={"sightings": "1h"})
    first = seen(pipeline.site, 2 * HOUR, "door")
    await pipeline.process(first.model_copy(update={"revision": 2, "state": "Updated"}))
    await retention.enforce()
    await pipeline.process(first)
    assert set((await left(pipeline.url))["sighting_revisions"]) == {"door"}
    await retention.enforce()
    assert not any((await left(pipeline.url)).values())


async def test_rows_go_in_batches_and_one_process_at_a_time(pipeline: Bench) -> None:
    await prepare(pipeline)
    await database.add_camera(pipeline.url, pipeline.site, "door")
    await pipeline.process(*(seen(pipeline.site, 2 * HOUR + n * dt.timedelta(seconds=1), "door") for n in range(5)))
    before, camera = dt.datetime.now(dt.UTC) - HOUR, a_sighting(site="x").camera.key

    async def delete() -> dict[str, int] | None:
        async with pipeline.database.transaction() as connection:
            return await stored.delete_sightings(connection, camera, before, 3)

    assert await delete() == {"sightings": 3, "sighting_revisions": 3, "matches": 3, "events": 3}
    async with pipeline.database.transaction() as other:
        await other.execute("SELECT pg_advisory_xact_lock($1)", stored.TURN)
        assert await delete() is None
    assert (await delete() or {})["sightings"] == 2
    assert await delete() == {}


async def test_rejected_messages_have_their_cameras_retention(pipeline: Bench, retention: Retention) -> None:
    await database.add_camera(pipeline.url, pipeline.site, "door", retention={"sightings": "1h"})
    await database.add_camera(pipeline.url, pipeline.site, "hall")
    await pipeline.process(
        a_sighting(axis(0), site=pipeline.site), a_sighting(axis(0), site=pipeline.site, camera="hall")
    )
    await retention.enforce()
    assert len(await database.rows(pipeline.url, "SELECT 1 FROM rejected_events")) == 2
    await database.execute(pipeline.url, "UPDATE rejected_events SET received_at = now() - interval '2 hours'")
    await retention.enforce()
    (kept,) = await database.rows(pipeline.url, "SELECT subject FROM rejected_events")
    assert kept["subject"].endswith("default_hall")


async def test_old_messages_are_deleted_from_the_bus_too(
    database_url: str, bus: Bus, identity: Callable[..., Any]
) -> None:
    """The others stay."""
    await database.add_model(database_url)
    program = await identity()
    await until_ready(program.port)
    async with client_of(program.port) as http:
        for name, spec in (("door", {"retention": {"sightings": "1s"}}), ("hall", {})):
            assert (
                await http.put(f"/registry/v1/cameras/default/{name}", json=camera_resource(name, **spec))
            ).is_success
    await bus.publish(a_sighting(axis(0), site=bus.site), a_sighting(axis(1), site=bus.site, camera="hall"))

    async def both_published() -> bool:
        return len(await bus.matches()) == 2

    await eventually(both_published, DEADLINE_S, "both are published")

    async def subjects() -> dict[str, int]:
        info = await bus.jetstream.stream_info(event_stream(bus.site).name, subjects_filter=">")
        return info.state.subjects or {}

    async def gone() -> bool:
        await program.parts.retention.enforce()
        return not any("door" in subject for subject in await subjects())

    await eventually(gone, DEADLINE_S, "the camera's messages are deleted")
    root = f"vigil.{bus.site}"
    assert await subjects() == {f"{root}.match.default_hall": 1}
    async with client_of(program.port) as http:
        metrics = (await http.get("/metrics")).text
    assert 'vigil_identity_retention_deleted_total{place="postgres.sightings"} 1.0' in metrics
    assert "vigil_identity_retention_round_timestamp_seconds 0.0" not in metrics


async def test_unprocessed_messages_stay_on_the_bus(database_url: str, bus: Bus, identity: Callable[..., Any]) -> None:
    await database.add_camera(database_url, bus.site, retention={"sightings": "1s"})
    program = await identity()  # without a model nothing is consumed
    await eventually(lambda: program.parts.bus.ready, DEADLINE_S, "identity is connected")
    await bus.publish(a_sighting(axis(0), site=bus.site))
    expiry = program.parts.retention.expiry
    later = dt.datetime.now(dt.UTC) + HOUR
    await expiry.purge(a_sighting(site=bus.site).camera.key, await expiry.before(later))
    info = await bus.jetstream.stream_info(sighting_stream(bus.site).name)
    assert info.state.messages == 1
