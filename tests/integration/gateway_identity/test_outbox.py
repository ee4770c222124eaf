"""The relay publishes events of any type, by their subject and in the site's order."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.integration.gateway_identity.making import a_sighting, axis
from tests.integration.gateway_identity.running import DEADLINE_S, Bus
from tests.support.waiting import eventually

from vigil_contracts.bus import event_stream
from vigil_gateway.storage.postgres import sightings
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.sightings import NewEvent

pytestmark = pytest.mark.integration


async def test_an_event_of_an_invented_type_is_published(
    identity: Callable[..., Any], prepared: str, bus: Bus, site: str
) -> None:
    """No code of the relay knows it; the matches before and after keep their place."""
    await identity()
    await bus.publish(a_sighting(axis(0), site=site))
    await eventually(bus.matches, DEADLINE_S, "a match before")
    database = Database(prepared, "test")
    await database.open()
    invented = NewEvent("dev.vigil.crossing.v1", f"vigil.{site}.alert.crossing.line-1", '{"direction": "in"}')
    async with database.transaction() as connection:
        first = await sightings.take_positions(connection, 1)
        await sightings.insert_events(connection, first, [invented])
    await database.close()
    stream = event_stream(site).name

    async def arrived() -> bytes | None:
        info = await bus.jetstream.stream_info(stream, subjects_filter=invented.subject)
        if not info.state.subjects:
            return None
        return (await bus.jetstream.get_last_msg(stream, invented.subject)).data

    message = await eventually(arrived, DEADLINE_S, "the invented event is published")
    body = json.loads(message or b"")
    assert (body["id"], body["type"], body["subject"]) == (f"alert:{first}", invented.type, "crossing.line-1")
    assert body["data"] == {"seq": first, "direction": "in"}
    await bus.publish(a_sighting(axis(0), site=site))

    async def both() -> bool:
        return len(await bus.matches()) == 2

    await eventually(both, DEADLINE_S, "a match after")
    assert [match.seq for match in await bus.matches()] == [1, 3]
