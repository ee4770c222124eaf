"""The operator's listener on a real bus."""

import asyncio

import pytest
from tests.support.servers import NatsServer

from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.bus.listener import BusAddress, BusListener

pytestmark = pytest.mark.integration


class Failing(BusListener):
    """Fails after it was connected, as a bus does whose JetStream goes wrong."""

    async def _catch_up(self) -> None:
        assert self._client.is_connected
        msg = "the disk of the bus is full"
        raise OSError(msg)


async def test_a_listener_that_begins_anew_leaves_no_connection_behind(shared_nats: NatsServer) -> None:
    heartbeats = Heartbeats(lambda _: None, lambda _: None)
    listener = Failing(BusAddress("annex", shared_nats.url, shared_nats.token), heartbeats)
    running = asyncio.create_task(listener.run())
    try:
        await asyncio.wait_for(listener.settled.wait(), 30)
        assert listener._client.is_closed
        assert "the disk of the bus is full" in heartbeats.bus_trouble("annex")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert heartbeats.bus_trouble("annex") == ""
