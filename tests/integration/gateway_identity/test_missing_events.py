"""Sighting events that a camera made and that never came are counted, exactly, and reported with their positions."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import a_sighting, axis, body
from tests.integration.gateway_identity.running import DEADLINE_S, Bus
from tests.integration.stream.stream_pods import StreamPod
from tests.support.servers import NatsServer
from tests.support.waiting import eventually

from vigil_contracts.bus import Position, sighting_stream
from vigil_contracts.ids import ResourceKey
from vigil_gateway.services.metrics import ServiceMetrics
from vigil_gateway.services.missing_events import MissingEvents
from vigil_gateway.storage.postgres.pool import Database
from vigil_runtime.bus import ensure_stream
from vigil_stream.analyses.faces.events import sighting_event
from vigil_stream.publish.journal import Limits

pytestmark = pytest.mark.integration

DOOR, HALL = ResourceKey("default", "door"), ResourceKey("default", "hall")
EPOCH, NEXT_EPOCH = "00000000000000aa", "00000000000000bb"
EVENTS = 400
"""Of each camera, while identity is stopped."""


def later() -> dt.datetime:
    """Return a moment before which everything was checked."""
    return dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)


async def test_what_full_journals_dropped_is_what_is_missing(
    prepared: str, bus: Bus, shared_nats: NatsServer, identity: Callable[..., Any], tmp_path: Path
) -> None:
    """Identity is stopped, the stream is smaller than the backlog, and one journal has no room for its share."""
    await database.add_camera(prepared, bus.site, HALL.name)
    await bus.jetstream.delete_stream(sighting_stream(bus.site).name)
    await ensure_stream(bus.jetstream, replace(sighting_stream(bus.site), max_bytes=512 << 10))
    address = shared_nats.address(bus.site)
    pods = [StreamPod(tmp_path / "hall", HALL, address), StreamPod(tmp_path / "door", DOOR, address)]
    pods[1].limits = Limits(max_events=EVENTS // 4)
    for pod in pods:
        pod.start()
        made = [a_sighting(axis(number % 4), site=bus.site, camera=pod.key.name) for number in range(EVENTS)]
        pod.write((sighting_event(one), body(one)) for one in made)
        await eventually(partial(pod.reports, "the stream of sightings is full"), 60, f"{pod.key} says so")
        await pod.stop()
        pod.start()

    program = await identity()

    dropped = pods[1].dropped
    assert dropped > 0

    async def recorded() -> bool:
        rows = await database.rows(prepared, "SELECT count(*) AS n FROM sightings")
        return rows == [{"n": 2 * EVENTS - dropped}]

    await eventually(recorded, 120, "all that was published is recorded")
    await eventually(lambda: all(pod.journal.pending == 0 for pod in pods), DEADLINE_S, "all journals are empty")
    missing = program.parts.missing
    for _ in range(2):
        await missing.report(later())
    assert program.parts.metrics.missing._value.get() == dropped
    assert program.parts.metrics.missed._value.get() == dropped
    for pod in pods:
        await pod.stop()


async def test_only_gaps_that_last_are_reported_each_once(database_url: str) -> None:
    metrics, store = ServiceMetrics(), Database(database_url, "test")
    await store.open()
    missing = MissingEvents(store, metrics)

    async def note(camera: ResourceKey, *numbers: int, epoch: str = EPOCH) -> None:
        await missing.note((camera, Position(epoch, number)) for number in numbers)

    async def report() -> tuple[float, float]:
        await missing.report(later())
        return metrics.missing._value.get(), metrics.missed._value.get()

    await note(DOOR, 2, 1)
    await note(HALL, 3)
    assert await report() == (2, 0), "they may still come"
    await note(HALL, 1, 3)
    await note(DOOR, 6)
    assert await report() == (4, 1), "position 2 of the hall is missing for the second time"
    await note(DOOR, 4)
    assert await report() == (3, 3)
    assert await report() == (3, 3), "each is reported once"
    await note(DOOR, 5, 3)
    await note(DOOR, 2, epoch=NEXT_EPOCH)
    assert await report() == (2, 3), "what came after all is no longer missing"
    rows = await database.rows(database_url, "SELECT missing::text FROM journal_positions ORDER BY camera_name, epoch")
    assert [row["missing"] for row in rows] == ["{}", "{[1,2)}", "{[2,3)}"]
    await store.close()


@pytest.mark.parametrize(
    ("text", "position"),
    [
        (f"{EPOCH}:1", Position(EPOCH, 1)),
        (f"{EPOCH}:{10**14}", Position(EPOCH, 10**14)),
        ("", None),
        (f"{EPOCH}:0", None),
        (f"{EPOCH}:-1", None),
        (f"{EPOCH}:{10**15}", None),
        (f"{EPOCH}:\N{ARABIC-INDIC DIGIT ONE}", None),
        (f"{EPOCH.upper()}:1", None),
        (f"{EPOCH}:1\n", None),
        ("1", None),
    ],
)
def test_a_position_is_read_from_its_header_or_not_at_all(text: str, position: Position | None) -> None:
    assert Position.parse(text) == position
