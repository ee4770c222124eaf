"""Sightings while identity does not process any: a full stream refuses them, the journals keep them, and say so."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy
from tests.integration.stream.processes import SITE
from tests.integration.stream.stream_pods import StreamPod
from tests.support.servers import NatsServer
from tests.support.waiting import eventually

from vigil_contracts.bus import MessageKind, sighting_stream
from vigil_contracts.ids import ResourceKey
from vigil_gateway.bus.consumer import SightingConsumer, acknowledge
from vigil_gateway.bus.site_bus import SiteBus
from vigil_runtime.bus import ensure_stream
from vigil_runtime.bus_address import BusAddress
from vigil_stream.publish.event import OutgoingEvent
from vigil_stream.publish.journal import Limits

pytestmark = pytest.mark.integration

CAMERAS = 4
EVENTS = int(os.environ.get("VIGIL_TEST_EVENTS", "2000"))
"""More than the stream holds, whose size is for less than half of them."""
BODY_BYTES = 500


def events(camera: ResourceKey, count: int) -> Iterator[tuple[OutgoingEvent, bytes]]:
    for number in range(count):
        event = OutgoingEvent(MessageKind.SIGHTING, f"{camera.name}:{number}", lambda _: b"")
        yield event, b"%d " % number + b"x" * BODY_BYTES


def all_report_a_full_stream(pods: Sequence[StreamPod]) -> bool:
    return all(pod.reports("the stream of sightings is full") for pod in pods)


@asynccontextmanager
async def small_stream(server: NatsServer) -> AsyncIterator[JetStreamContext]:
    client = await nats.connect(server.url, token=server.token)
    small = replace(sighting_stream(SITE), max_bytes=EVENTS * BODY_BYTES // 2)
    await ensure_stream(client.jetstream(), small)
    try:
        yield client.jetstream()
    finally:
        await client.close()


@asynccontextmanager
async def consuming(address: BusAddress, received: Counter[str]) -> AsyncIterator[SightingConsumer]:
    """Receive and acknowledge, as identity does."""
    bus = SiteBus(address, "identity")
    consumer = SightingConsumer(bus)

    async def receive() -> None:
        await bus.wait_ready()
        while True:
            messages = await consumer.fetch()
            received.update(f"{one.subject.rpartition('_')[2]}:{one.body.split()[0].decode()}" for one in messages)
            await acknowledge(messages)

    tasks = [asyncio.create_task(receive()), asyncio.create_task(bus.run())]
    yield consumer
    for task in tasks:
        task.cancel()
        await asyncio.wait({task})


async def test_a_full_stream_loses_no_sighting_and_each_camera_says_so(tmp_path: Path, own_nats: NatsServer) -> None:
    """Pods end meanwhile; what a journal without room drops is counted, and nothing else is missing."""
    address = own_nats.address(SITE)
    received: Counter[str] = Counter()
    async with small_stream(own_nats) as jetstream:
        pods = [
            StreamPod(tmp_path / str(number), ResourceKey("default", f"c{number}"), address)
            for number in range(CAMERAS)
        ]
        pods[0].limits = Limits(max_events=EVENTS // CAMERAS // 10)
        for now in (pods[1:], pods[:1]):  # the last one fills its small journal, not the stream
            for pod in now:
                pod.start()
                pod.write(events(pod.key, EVENTS // CAMERAS))
            await eventually(partial(all_report_a_full_stream, now), 60, "every camera says so")
        info = await jetstream.stream_info(sighting_stream(SITE).name)
        assert 0 < info.state.messages < EVENTS
        assert info.config.discard == DiscardPolicy.NEW
        for pod in pods[:2]:
            await pod.stop()
            pod.start()

        async with consuming(address, received) as consumer:
            await eventually(lambda: all(pod.journal.pending == 0 for pod in pods), 60, "all journals are empty")

            async def processed() -> bool:
                return await consumer.backlog() == 0

            await eventually(processed, 30, "all is processed")
        assert (await jetstream.stream_info(sighting_stream(SITE).name)).state.messages == 0

        dropped = [pod.dropped for pod in pods]
        sent = [pod.journal.counters()["events_published"] for pod in pods]
        for pod in pods:
            await pod.stop()
    assert max(received.values()) == 1
    assert dropped[0] > 0
    assert dropped[1:] == [0] * (CAMERAS - 1)
    assert len(received) == EVENTS - dropped[0]
    assert sent == [pod.created - lost for pod, lost in zip(pods, dropped, strict=True)]
