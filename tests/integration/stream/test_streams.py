"""The stream process and the gateway make the same streams, whichever comes first, and mend one that lacks subjects."""

from collections.abc import Awaitable, Callable

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamConfig
from tests.support.servers import NatsServer

from vigil_contracts.bus import Stream, event_stream, streams
from vigil_runtime import bus as runtime_bus
from vigil_stream.publish import bus

pytestmark = pytest.mark.integration

Ensure = Callable[[JetStreamContext, Stream], Awaitable[None]]
BOTH = pytest.mark.parametrize("ensure", [bus.ensure_stream, runtime_bus.ensure_stream], ids=["stream", "gateway"])


async def config_of(jetstream: JetStreamContext, stream: Stream) -> StreamConfig:
    return (await jetstream.stream_info(stream.name)).config


async def test_both_make_the_same_streams(own_nats: NatsServer) -> None:
    client = await nats.connect(own_nats.url, token=own_nats.token)
    jetstream = client.jetstream()
    made = {}
    for ensure in (bus.ensure_stream, runtime_bus.ensure_stream):
        for stream in streams("hq"):
            await ensure(jetstream, stream)
            await ensure(jetstream, stream)
            made[ensure, stream.name] = await config_of(jetstream, stream)
            await jetstream.delete_stream(stream.name)
    await client.close()

    for stream in streams("hq"):
        assert made[bus.ensure_stream, stream.name] == made[runtime_bus.ensure_stream, stream.name]


@BOTH
async def test_a_stream_of_an_administrator_keeps_its_bounds_and_is_given_what_it_lacks(
    own_nats: NatsServer, ensure: Ensure
) -> None:
    stream = event_stream("hq")
    client = await nats.connect(own_nats.url, token=own_nats.token)
    jetstream = client.jetstream()
    await jetstream.add_stream(name=stream.name, subjects=["vigil.hq.sighting.>"], max_bytes=1 << 20, max_age=60)

    await ensure(jetstream, stream)

    found = await config_of(jetstream, stream)
    await client.close()
    assert (found.max_bytes, found.max_age) == (1 << 20, 60)
    assert sorted(found.subjects or []) == sorted(stream.subjects)


@BOTH
async def test_a_mirror_under_our_name_is_left_alone(own_nats: NatsServer, ensure: Ensure) -> None:
    stream = event_stream("hq")
    client = await nats.connect(own_nats.url, token=own_nats.token)
    jetstream = client.jetstream()
    await jetstream.add_stream(name="ORIGIN", subjects=["vigil.hq.sighting.>"])
    await jetstream._api_request(
        f"$JS.API.STREAM.CREATE.{stream.name}",
        f'{{"name": "{stream.name}", "mirror": {{"name": "ORIGIN"}}, "storage": "file", "num_replicas": 1}}'.encode(),
    )

    await ensure(jetstream, stream)

    found = await config_of(jetstream, stream)
    await client.close()
    assert found.mirror is not None
