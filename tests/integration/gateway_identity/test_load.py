"""Requests to the registry that wait keep neither ingestion nor probes waiting."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import CAMERA, a_sighting, axis, camera_resource
from tests.integration.gateway_identity.running import DEADLINE_S, Bus, client_of, until_ready
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_waiting_requests_leave_the_rest_alone(prepared: str, bus: Bus, identity: Callable[..., Any]) -> None:
    program = await identity()
    await until_ready(program.port)
    holder = await asyncpg.connect(prepared)
    async with client_of(program.port) as http, asyncio.TaskGroup() as group:
        await holder.execute("BEGIN; SELECT FROM cameras FOR UPDATE")
        address = f"/registry/v1/cameras/default/{CAMERA}"
        puts = [group.create_task(http.put(address, json=camera_resource())) for _ in range(20)]

        async def full() -> bool:
            return int((await database.rows(prepared, WAITING))[0]["n"]) >= 6

        await eventually(full, DEADLINE_S, "they wait for the row")
        responses = await asyncio.gather(*(http.get("/readyz") for _ in range(20)))
        assert {one.status_code for one in responses} == {200}, responses[0].text
        await bus.publish(a_sighting(axis(0), site=bus.site))
        await eventually(bus.matches, DEADLINE_S, "the sighting is published")
        await holder.execute("ROLLBACK")
    assert {task.result().status_code for task in puts} <= {204, 503}
    await holder.close()
