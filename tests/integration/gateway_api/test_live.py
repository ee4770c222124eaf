"""Promises of the subscription `sightings`: in order, each once, whatever goes away meanwhile."""

import asyncio
from typing import Any

import pytest

from tests.integration.gateway_api.servers import (
    Api,
    Identity,
    NatsServer,
    a_match,
    eventually,
    kill_postgres,
    listening,
)

pytestmark = pytest.mark.integration


async def test_hears_events_live_and_in_order(api: Api, identity: Identity) -> None:
    async with listening(api) as listener:
        for number in range(20):
            await identity.tell(a_match(f"camera-{number % 3}"))
        await eventually(lambda: len(listener.heard) == 20, "20 events")
    assert listener.seqs == list(range(1, 21))
    assert listener.heard[0]["sighting"]["camera"] == {"name": "camera-0"}
    assert listener.heard[0]["identity"] == {"status": "Unknown"}
