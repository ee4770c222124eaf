"""The streams of a site are made as the contracts say, and one that lacks subjects is mended."""

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamConfig
from tests.support.servers import NatsServer

from vigil_contracts.bus import Stream, event_stream, sighting_stream, streams
from vigil_runtime.bus import ensure_stream, ensure_streams

pytestmark = pytest.mark.integration


async def config_of(jetstream: JetStreamContext, stream: Stream) -> StreamConfig:
    return (await jetstream.stream_info(stream.name)).config


async def test_a_stream_is_made_once_and_alike_each_time(own_nats: NatsServer) -> None:
    client = await nats.connect(own_nats.url, token=own_nats.token)
    jetstream = client.jetstream()
    made: list[dict[str, StreamConfig]] = []
    for _ in range(2):
        made.append({})
        for stream in streams("hq"):
            await ensure_stream(jetstream, stream)
            await ensure_stream(jetstream, stream)
            made[-1][stream.name] = await config_of(jetstream, stream)
            assert sorted(made[-1][stream.name].subjects or []) == sorted(stream.subjects)
            await jetstream.delete_stream(stream.name)
    await client.close()
    assert made[0] == made[1]


async def test_a_stream_of_an_administrator_keeps_its_bounds(own_nats: NatsServer) -> None:
    """It gets the subjects that it lacks, and nothing else changes."""
    stream = event_stream("hq")
    client = await nats.connect(own_nats.url, token=own_nats.token)
    jetstream = client.jetstream()
    await jetstream.add_stream(name=stream.name, subjects=["vigil.hq.match.>"], max_bytes=1 << 20, max_age=60)

    await ensure_stream(jetstream, stream)

    found = await config_of(jetstream, stream)
    await client.close()
    assert (found.max_bytes, found.max_age) == (1 << 20, 60)
    assert sorted(found.subjects or []) == sorted(stream.subjects)


async def test_a_mirror_under_our_name_is_left_alone(own_nats: NatsServer) -> None:
    stream = event_stream("hq")
    client = await nats.connect(own_nats.url, token=own_nats.token)
    jetstream = client.jetstream()
    await jetstream.add_stream(name="ORIGIN", subjects=["vigil.hq.match.>"])
    await jetstream._api_request(
        f"$JS.API.STREAM.CREATE.{stream.name}",
        f'{{"name": "{stream.name}", "mirror": {{"name": "ORIGIN"}}, "storage": "file", "num_replicas": 1}}'.encode(),
    )

    await ensure_stream(jetstream, stream)

    found = await config_of(jetstream, stream)
    await client.close()
    assert found.mirror is not None


@pytest.mark.parametrize("others", [["vigil.hq.match.>", "vigil.hq.alert.>"], []])
async def test_sightings_move_to_a_stream_of_their_own(own_nats: NatsServer, others: list[str]) -> None:
    """The messages of the former stream stay in it, and so do its bounds."""
    former = event_stream("hq")
    client = await nats.connect(own_nats.url, token=own_nats.token)
    jetstream = client.jetstream()
    await jetstream.add_stream(name=former.name, subjects=["vigil.hq.sighting.>", *others], max_bytes=1 << 20)
    await jetstream.publish("vigil.hq.sighting.default_door", b"former")

    await ensure_streams(jetstream, "hq")
    await ensure_streams(jetstream, "hq")
    acknowledgement = await jetstream.publish("vigil.hq.sighting.default_door", b"new")

    assert acknowledgement.stream == sighting_stream("hq").name
    found = await config_of(jetstream, former)
    kept = await jetstream.get_last_msg(former.name, "vigil.hq.sighting.default_door")
    await client.close()
    assert (sorted(found.subjects or []), found.max_bytes) == (sorted(former.subjects), 1 << 20)
    assert kept.data == b"former"
