"""The operator's listener on a real bus."""

import asyncio
import os
import signal
from pathlib import Path

import nats
import pytest
from tests.support.servers import NatsServer
from tests.support.waiting import eventually
from tests.unit.operator.builders import NOW, beat

from vigil_contracts.bus import MessageKind, bus_subject
from vigil_contracts.events import CameraState, encode_heartbeat
from vigil_contracts.ids import ResourceKey
from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.bus.listener import BusListener

pytestmark = pytest.mark.integration

CAMERA = ResourceKey("default", "front")


class Failing(BusListener):
    """Fails after it was connected, as a bus does whose JetStream goes wrong."""

    async def _read_last(self) -> None:
        assert self.connected
        msg = "the disk of the bus is full"
        raise OSError(msg)


def error_of(heartbeats: Heartbeats) -> str:
    error = heartbeats.bus_problem("annex")
    return error.message if error is not None else ""


async def test_a_listener_that_fails_and_ends_leaves_no_connection(shared_nats: NatsServer) -> None:
    heartbeats = Heartbeats(lambda _: None, lambda _: None)
    listener = Failing(shared_nats.address("annex"), heartbeats)
    running = asyncio.create_task(listener.run())
    try:
        await asyncio.wait_for(listener.settled.wait(), 30)
        was_connected = listener.connected
        assert "the disk of the bus is full" in error_of(heartbeats)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert (was_connected, listener.connected) == (True, False)
    assert error_of(heartbeats) == ""


def change_token(server: NatsServer, config: Path, old: str, new: str) -> None:
    """Change what the server asks for, as its administrator does: connections that presented the old one are ended."""
    config.write_text(config.read_text().replace(f'token: "{old}"', f'token: "{new}"'))
    os.kill(server.running.pid, signal.SIGHUP)


async def say(server: NatsServer, state: CameraState) -> None:
    """Send one heartbeat, live; no stream keeps it."""
    client = await nats.connect(server.url, token=server.token)
    heartbeat = beat(state, site="annex")
    await client.publish(bus_subject("annex", MessageKind.CAMERA, CAMERA), encode_heartbeat(heartbeat, NOW))
    await client.close()


async def test_a_refused_listener_reports_it_and_recovers(own_nats: NatsServer, tmp_path: Path) -> None:
    """The server changes its token, and changes it back."""
    heartbeats = Heartbeats(lambda _: None, lambda _: None)
    listener = BusListener(own_nats.address("annex"), heartbeats)
    running = asyncio.create_task(listener.run())

    async def heartbeat(state: CameraState) -> bool:
        await say(own_nats, state)
        found = heartbeats.get(CAMERA)
        return found is not None and found.beat.state is state

    try:
        await eventually(lambda: heartbeat(CameraState.STREAMING), 30, "a heartbeat arrives", poll_s=0.2)
        assert error_of(heartbeats) == ""
        change_token(own_nats, tmp_path / "nats" / "nats.conf", own_nats.token, "another")
        message = await eventually(lambda: error_of(heartbeats), 30, "the error is reported")
        assert "refuses the token" in message
        assert own_nats.url in message
        assert own_nats.token not in message
        change_token(own_nats, tmp_path / "nats" / "nats.conf", "another", own_nats.token)
        await eventually(lambda: not error_of(heartbeats), 30, "it is let in again")
        await eventually(lambda: heartbeat(CameraState.RECONNECTING), 30, "heartbeats arrive again", poll_s=0.2)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
