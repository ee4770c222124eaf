"""An event of another type than a sighting goes the same way: from an analysis through the journal to its subject."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.integration.stream.processes import SITE, Bus
from tests.support.servers import NatsServer
from tests.support.waiting import eventually
from tests.unit.stream.observing import Recorder
from tests.unit.stream.test_analyses import Vehicles, both
from tests.unit.stream.test_frame_pipeline import ALL, HERE, Camera, Story

from vigil_contracts import bus
from vigil_contracts.bus import MessageKind
from vigil_contracts.ids import ResourceKey
from vigil_stream.analyses.analysis import Emit
from vigil_stream.analyses.faces.events import sighting_event
from vigil_stream.counters import Counters
from vigil_stream.journal_writer import JournalWriter
from vigil_stream.pipeline.tracker import Track
from vigil_stream.publish.bus import Publisher
from vigil_stream.publish.event import OutgoingEvent
from vigil_stream.publish.journal import Journal
from vigil_stream.scene import Scene

pytestmark = pytest.mark.integration
KEY = ResourceKey("default", "c")
BODY = b'{"vehicle": 1}'


class Alarm(Vehicles):
    """Emits an alert for each frame with a vehicle."""

    def __init__(self, emit: Emit) -> None:
        super().__init__()
        self.emit = emit

    def update(self, scene: Scene, tracks: Sequence[Track]) -> None:
        super().update(scene, tracks)
        self.emit([OutgoingEvent(MessageKind.ALERT, f"alert:{len(self.log)}", lambda _: BODY)])


async def test_an_event_of_another_type_reaches_its_subject(tmp_path: Path, own_nats: NatsServer) -> None:
    journal, observer = Journal(tmp_path), Recorder()
    writer = JournalWriter(journal, Counters(journal, observer), observer)
    camera = both(Camera(Story(), **ALL), Alarm(writer.write))
    for _ in range(3):
        camera.show(HERE)
    writer.write([sighting_event(one) for one in camera.events])
    publisher = Publisher(journal, own_nats.address(SITE), KEY, observer, asyncio.Event())
    async with Bus(own_nats) as opened:
        running = asyncio.create_task(publisher.run())
        await eventually(lambda: journal.pending == 0, 20, "the bus has all events")
        jetstream, stream = opened.client.jetstream(), bus.event_stream(SITE).name
        alerts = [await jetstream.get_msg(stream, seq) for seq in (1, 2, 3)]
        sightings = [one.event_id for one in await opened.sightings(KEY)]
    assert sightings
    assert sightings == [one.event_id for one in camera.events]
    assert {alert.subject for alert in alerts} == {bus.bus_subject(SITE, MessageKind.ALERT, KEY)}
    sent = [dt.datetime.fromisoformat(alert.headers[bus.SENT_AT_HEADER]) for alert in alerts]
    assert all(abs((alert.time - moment).total_seconds()) < 60 for alert, moment in zip(alerts, sent, strict=True))
    ids = [alert.headers["Nats-Msg-Id"] for alert in alerts]
    assert [one.removeprefix(f"{KEY.token}:").rpartition(":")[0] for one in ids] == ["alert:1", "alert:2", "alert:3"]
    assert {alert.data for alert in alerts} == {BODY}
    running.cancel()
    await asyncio.wait({running})
    await publisher.close(5)
    journal.close()
