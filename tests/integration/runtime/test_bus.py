"""The connection to a real NATS server: kept, reported once, and replaced when the server ends it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.servers import NatsServer
from tests.support.waiting import eventually

from vigil_contracts import bus
from vigil_contracts.bus import MessageKind
from vigil_contracts.bus_permissions import BusRole
from vigil_contracts.ids import ResourceKey
from vigil_runtime.bus import BusAwayError, BusConnection, ensure_streams, read_last_values
from vigil_runtime.bus_address import BusAddress, BusCredentials

pytestmark = pytest.mark.integration


@asynccontextmanager
async def running(connection: BusConnection) -> AsyncIterator[BusConnection]:
    task = asyncio.create_task(connection.run())
    try:
        yield connection
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_connection_outlives_its_server(own_nats: NatsServer) -> None:
    server = own_nats
    ups, downs = [0], list[str]()

    def up() -> None:
        ups[0] += 1

    address = server.address("harbour")
    connection = BusConnection(address, "test", BusRole.IDENTITY, on_up=up, on_down=downs.append)
    async with running(connection):
        async with asyncio.timeout(30):
            assert await connection.wait_connected() == 1
        await asyncio.to_thread(server.running.kill)
        await eventually(lambda: not connection.connected, 30, "the loss is noticed")
        with pytest.raises(BusAwayError):
            _ = connection.jetstream
        assert downs
        await asyncio.to_thread(server.running.start)
        async with asyncio.timeout(60):
            assert await connection.wait_connected(after=1) >= 2
        assert (ups[0], connection.last_error) == (connection.connections, "")
        await ensure_streams(connection.jetstream, "harbour")


async def test_a_refused_token_is_reported_with_what_to_do(shared_nats: NatsServer) -> None:
    downs: list[str] = []
    address = BusAddress(shared_nats.url, BusCredentials(token="not the token"), "harbour")
    connection = BusConnection(address, "test", BusRole.IDENTITY, on_down=downs.append)
    async with running(connection):
        await eventually(lambda: any("VIGIL_NATS_TOKEN" in reason for reason in downs), 30, "the refusal is reported")
        attempts = connection.errors
        await eventually(lambda: connection.errors >= attempts + 4, 30, "more attempts are refused")
        assert connection.refused, downs
        assert downs == ["the server refuses the token; check VIGIL_NATS_TOKEN"], "the refusal stays the cause"
    assert "not the token" not in repr(connection.address)


async def test_the_last_value_of_each_subject_is_read(shared_nats: NatsServer) -> None:
    site = "runtime-last"
    async with running(BusConnection(shared_nats.address(site), "test", BusRole.IDENTITY)) as connection:
        async with asyncio.timeout(30):
            await connection.wait_connected()
        stream = bus.camera_stream(site)
        assert [last async for last in read_last_values(connection.jetstream, stream)] == []
        await ensure_streams(connection.jetstream, site)
        await ensure_streams(connection.jetstream, site)
        for camera in ("front", "back"):
            for body in (b"first", b"last"):
                subject = bus.bus_subject(site, MessageKind.CAMERA, ResourceKey("default", camera))
                await connection.jetstream.publish(subject, body)
        found = {last.subject: last.body async for last in read_last_values(connection.jetstream, stream)}
        assert found == {f"vigil.{site}.camera.default_{name}": b"last" for name in ("front", "back")}
        for stream in bus.streams(site):
            await connection.jetstream.delete_stream(stream.name)
