"""The streams of a server with one token for all are those of the server with an identity for each program."""

import asyncio
import contextlib
from pathlib import Path

import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig
from tests.support.bus_roles import BusOfRoles, acting
from tests.support.running import Running
from tests.support.servers import start_nats

from vigil_cli.standalone.servers.nats import nats as nats_server
from vigil_contracts.bus import IDENTITY_CONSUMER, MessageKind, bus_subject, event_stream
from vigil_contracts.bus_permissions import BusRole
from vigil_contracts.ids import ResourceKey
from vigil_runtime.bus import ensure_streams
from vigil_runtime.bus_authority import BusAuthority

pytestmark = pytest.mark.integration

SITE = "hq"
DOOR = ResourceKey("default", "door")


async def test_streams_of_an_earlier_version_are_taken_over(tmp_path: Path) -> None:
    """With what identity had not processed yet, and with the place that it had reached."""
    folder, stream = tmp_path / "nats", event_stream(SITE).name
    former = start_nats(folder)
    client = await nats.connect(former.url, token=former.token)
    jetstream = client.jetstream()
    await ensure_streams(jetstream, SITE)
    await jetstream.add_consumer(stream, ConsumerConfig(durable_name=IDENTITY_CONSUMER, ack_policy=AckPolicy.EXPLICIT))
    for number in range(3):
        await jetstream.publish(bus_subject(SITE, MessageKind.MATCH, DOOR), b"%d" % number)
    subscription = await jetstream.pull_subscribe_bind(IDENTITY_CONSUMER, stream)
    await (await subscription.fetch(1))[0].ack_sync()
    await client.close()
    await asyncio.to_thread(former.running.stop)

    authority = BusAuthority.new()
    config, port = authority.server_config(SITE), int(former.url.rpartition(":")[2])
    server = Running(nats_server(folder, port, config, authority.jetstream_account), folder)
    with contextlib.ExitStack() as stack:
        stack.callback(server.kill)
        await asyncio.to_thread(server.start)
        bus = BusOfRoles(server, former.url, SITE, authority, tmp_path)
        async with acting(bus, BusRole.IDENTITY) as identity:
            taken = await identity.client.jetstream().pull_subscribe_bind(IDENTITY_CONSUMER, stream)
            assert [message.data for message in await taken.fetch(2)] == [b"1", b"2"]
        await asyncio.to_thread(server.restart)  # which finds nothing to take over any more
        async with acting(bus, BusRole.IDENTITY) as identity:
            assert (await identity.client.jetstream().stream_info(stream)).state.messages == 3
