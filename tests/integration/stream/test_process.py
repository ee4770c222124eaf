"""The whole process with real Triton and NATS: sightings come, and nothing is lost or doubled when any process dies."""

import asyncio
import os
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.integration.stream.processes import SITE, Bus, StreamProcess
from tests.support.servers import NatsServer, RtspServer, TritonServer
from tests.support.shared import shared
from tests.support.waiting import eventually

from vigil_contracts.bus import sighting_stream
from vigil_contracts.conditions import SourceReason
from vigil_contracts.events import CameraState, CloseReason, Sighting, SightingState
from vigil_runtime.bus import ensure_streams
from vigil_stream import runner

pytestmark = pytest.mark.integration


def clip(*, loop: bool = True) -> dict[str, Any]:
    return {"type": "File", "url": f"file://{shared('video/short_hamilton_clip.mp4')}", "loop": loop}


Start = Callable[..., StreamProcess]


@pytest.fixture
def start(tmp_path: Path, own_nats: NatsServer, open_triton: TritonServer) -> Iterator[Start]:
    started: list[StreamProcess] = []

    def run(name: str, **spec: Any) -> StreamProcess:
        process = StreamProcess(tmp_path, name, own_nats.url, own_nats.token, open_triton.address, **spec)
        started.append(process)
        return process.start()

    yield run
    for process in started:
        if process.process.poll() is None:
            process.kill()


@pytest.fixture
async def bus(own_nats: NatsServer) -> AsyncIterator[Bus]:
    async with Bus(own_nats) as opened:
        yield opened


def revisions_are_sound(events: list[Sighting]) -> None:
    ids = Counter(event.event_id for event in events)
    assert max(ids.values()) == 1, "no event is stored twice"
    by_sighting: dict[Any, list[Sighting]] = {}
    for event in events:
        by_sighting.setdefault(event.sighting_id, []).append(event)
    for revisions in by_sighting.values():
        revisions.sort(key=lambda event: event.revision)
        assert [event.revision for event in revisions] == list(range(1, len(revisions) + 1))
        assert revisions[0].state is SightingState.OPENED
        assert all(event.state is not SightingState.CLOSED for event in revisions[:-1])


async def test_sightings_with_embeddings_and_heartbeats(start: Start, bus: Bus) -> None:
    process = start("clip", source=clip())

    async def faces() -> list[Sighting]:
        return [event for event in await bus.sightings(process.key) if event.shots and event.shots[0].embedding]

    events = await eventually(faces, 40, "sightings come")
    shot = events[0].shots[0]
    assert shot.embedding is not None
    assert shot.embedding.size == 128
    assert events[0].trace is not None
    assert events[0].trace.detected_at is not None
    beat = await eventually(lambda: bus.heartbeat(process.key), 10, "a heartbeat comes")
    assert beat is not None
    assert beat.codec == "h264"
    assert (beat.width, beat.height) == (640, 360)
    await eventually(lambda: process.get("/readyz")[0] == 200, 10, "it is ready")
    assert process.get("/healthz")[0] == 200
    metrics = process.get("/metrics")[1]
    assert 'vigil_stream_stage_duration_seconds_bucket{le="0.01",stage="detect"}' in metrics
    assert "vigil_stream_frames_analysed_total" in metrics
    assert float(re.findall(r"capture_to_detections_duration_seconds_count ([\d.]+)", metrics)[0]) > 0
    assert process.memory_mib() <= 120

    assert process.end() == runner.EXIT_OK
    events = await bus.sightings(process.key)
    revisions_are_sound(events)
    still_open = {e.sighting_id for e in events} - {e.sighting_id for e in events if e.state is SightingState.CLOSED}
    assert not still_open
    last = await bus.heartbeat(process.key)
    assert last is not None
    assert last.state is CameraState.STOPPED
    assert last.counters.events_published == len(events) == last.counters.events_created


async def test_a_cut_never_glues_two_people(start: Start, bus: Bus) -> None:
    """Miranda is on screen until frame 215, Obama from 216 on, at nearly the same place."""
    process = start("clip", source=clip(loop=False))

    async def ended() -> bool:
        beat = await bus.heartbeat(process.key)
        return beat is not None and beat.state is CameraState.ENDED

    async def last_revisions() -> dict[uuid.UUID, Sighting] | None:
        # The heartbeat may come before the last revisions, which pass through the journal.
        last = {event.sighting_id: event for event in await bus.sightings(process.key)}
        return last if all(event.state is SightingState.CLOSED for event in last.values()) else None

    await eventually(ended, 40, "the clip ends")
    final = await eventually(last_revisions, 10, "every sighting is closed")
    assert final is not None
    long = [event for event in final.values() if event.frames >= 8]
    reasons = {event.close_reason for event in long}
    assert CloseReason.CUT in reasons
    assert all((event.last_seen_at - event.opened_at).total_seconds() < 5.5 for event in final.values())


async def test_kill_9_closes_open_sightings_and_counts_go_on(start: Start, bus: Bus) -> None:
    process = start("clip", source=clip())

    async def opened() -> bool:
        events = await bus.sightings(process.key)
        closed = {event.sighting_id for event in events if event.state is SightingState.CLOSED}
        return any(event.sighting_id not in closed for event in events)

    async def restarted(times: int) -> bool:
        orphans = [e for e in await bus.sightings(process.key) if e.close_reason is CloseReason.RESTARTED]
        return len({orphan.closed_at for orphan in orphans}) >= times

    for times in range(1, 4):
        await eventually(opened, 40, "a sighting is open")
        process.kill()
        process.start()
        await eventually(partial(restarted, times), 20, "the orphans are closed")
    await eventually(lambda: process.get("/readyz")[0] == 200, 20, "it is ready again")
    assert process.end() == runner.EXIT_OK
    events = await bus.sightings(process.key)
    revisions_are_sound(events)
    beat = await bus.heartbeat(process.key)
    assert beat is not None
    assert beat.counters.events_created == beat.counters.events_published == len(events)
    assert beat.counters.sightings_opened == len({event.sighting_id for event in events})


async def test_the_bus_may_be_away(start: Start, bus: Bus, own_nats: NatsServer) -> None:
    process = start("clip", source=clip())
    await eventually(lambda: bus.sightings(process.key), 40, "sightings come")
    own_nats.running.kill()
    await eventually(lambda: process.get("/readyz")[0] == 503, 20, "it reports that the bus is away")

    def waiting() -> float:
        lines = process.get("/metrics")[1].splitlines()
        return max(
            (float(line.split()[1]) for line in lines if line.startswith("vigil_stream_journal_events")), default=0
        )

    await eventually(lambda: waiting() > 5, 40, "events wait on disk")
    process.kill()
    own_nats.running.start()
    process.start()
    await eventually(lambda: process.get("/readyz")[0] == 200, 40, "it is ready again")
    await eventually(lambda: waiting() == 0, 20, "all were sent")
    assert process.end() == runner.EXIT_OK
    events = await bus.sightings(process.key)
    revisions_are_sound(events)
    beat = await bus.heartbeat(process.key)
    assert beat is not None
    assert beat.counters.events_created == beat.counters.events_published == len(events)


async def test_a_wrong_token_is_reported_as_such(
    tmp_path: Path, own_nats: NatsServer, open_triton: TritonServer
) -> None:
    process = StreamProcess(tmp_path, "c", own_nats.url, "wrong", open_triton.address, source=clip()).start()
    try:
        await eventually(lambda: "VIGIL_NATS_TOKEN" in process.get("/readyz")[1], 30, "readiness reports it")
        await eventually(lambda: "VIGIL_NATS_TOKEN" in process.log.read_text(), 10, "the log reports it")
        assert process.end() == runner.EXIT_OK
    finally:
        if process.process.poll() is None:
            process.kill()


async def test_events_wait_while_the_stream_is_removed(start: Start, bus: Bus) -> None:
    process = start("clip", source=clip())
    await eventually(lambda: bus.sightings(process.key), 40, "sightings come")
    await bus.client.jetstream().delete_stream(sighting_stream(SITE).name)
    await eventually(lambda: "which identity makes" in process.get("/readyz")[1], 40, "it reports that")
    await ensure_streams(bus.client.jetstream(), SITE)
    await eventually(lambda: bus.sightings(process.key), 40, "sightings come again")
    await eventually(lambda: process.get("/readyz")[0] == 200, 20, "it is ready")
    assert process.end() == runner.EXIT_OK


async def test_inference_may_be_away(
    tmp_path: Path, own_nats: NatsServer, bus: Bus, own_triton: Callable[..., TritonServer]
) -> None:
    triton = own_triton()
    process = StreamProcess(tmp_path, "clip", own_nats.url, own_nats.token, triton.address, source=clip()).start()
    try:
        await eventually(lambda: bus.sightings(process.key), 40, "sightings come")
        triton.running.kill()
        await eventually(lambda: process.get("/readyz")[0] == 503, 30, "it reports that")
        before = len(await bus.sightings(process.key))
        triton.running.start()
        await eventually(lambda: process.get("/readyz")[0] == 200, 60, "it is ready again")

        async def more() -> bool:
            return len(await bus.sightings(process.key)) > before + 3

        await eventually(more, 30, "sightings come again")
        beat = await bus.heartbeat(process.key)
        assert beat is not None
        assert beat.counters.inference_errors > 0
        assert process.end() == runner.EXIT_OK
    finally:
        if process.process.poll() is None:
            process.kill()


async def test_an_rtsp_server_that_goes_and_comes_back(start: Start, bus: Bus, rtsp: Callable[..., RtspServer]) -> None:
    server = rtsp({"clip": shared("video/short_hamilton_clip.mp4")})
    process = start("rtsp", source={"type": "RTSP", "url": server.url("clip")})

    async def state(wanted: CameraState) -> bool:
        beat = await bus.heartbeat(process.key)
        return beat is not None and beat.state is wanted

    await eventually(lambda: state(CameraState.STREAMING), 40, "it streams")
    server.running.kill()
    await eventually(lambda: state(CameraState.RECONNECTING), 20, "it reports that the source is lost")
    beat = await bus.heartbeat(process.key)
    assert beat is not None
    assert beat.next_attempt_at is not None
    server.running.start()
    await eventually(lambda: state(CameraState.STREAMING), 40, "it streams again")
    process.end()
    beat = await bus.heartbeat(process.key)
    assert beat is not None
    assert beat.counters.reconnects >= 1


async def test_a_suspended_camera_only_reports_its_state(start: Start, bus: Bus) -> None:
    process = start("off", source=clip(), suspend=True)

    async def suspended() -> bool:
        beat = await bus.heartbeat(process.key)
        return beat is not None and beat.state is CameraState.SUSPENDED and beat.reason is SourceReason.SUSPENDED

    await eventually(suspended, 20, "it reports that")
    assert process.end() == runner.EXIT_OK
    assert await bus.sightings(process.key) == []


async def test_a_masked_frame_shows_no_face(start: Start, bus: Bus) -> None:
    corners = [
        {"xPermille": 0, "yPermille": 0},
        {"xPermille": 1000, "yPermille": 0},
        {"xPermille": 1000, "yPermille": 1000},
        {"xPermille": 0, "yPermille": 1000},
    ]
    mask = {"privacyMasks": [{"name": "all", "polygon": corners}]}
    process = start("masked", source=clip(loop=False), detection=mask)

    async def ended() -> bool:
        beat = await bus.heartbeat(process.key)
        return beat is not None and beat.state is CameraState.ENDED

    await eventually(ended, 40, "the clip ends")
    assert await bus.sightings(process.key) == []


async def test_detection_only_sends_no_embeddings(start: Start, bus: Bus) -> None:
    process = start("anonymous", source=clip(), recognition={"mode": "DetectOnly"})
    events = await eventually(lambda: bus.sightings(process.key), 40, "sightings come")
    assert any(event.shots for event in events)
    assert all(shot.embedding is None for event in events for shot in event.shots)
    process.end()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"VIGIL_SITE": "Not A Label"}, runner.EXIT_USAGE, "VIGIL_SITE"),
        ({"VIGIL_TRITON_URLS": " , "}, runner.EXIT_USAGE, "VIGIL_TRITON_URLS"),
        ({"VIGIL_STATE_DIR": "/proc/nowhere"}, runner.EXIT_STATE, "/proc/nowhere"),
    ],
)
def test_wrong_settings_end_the_process_with_a_sentence(
    tmp_path: Path, change: dict[str, str], code: int, words: str
) -> None:
    spec = {"source": {"type": "USB", "url": "/dev/video9"}}
    process = StreamProcess(tmp_path, "c", "nats://127.0.0.1:1", "t", "127.0.0.1:1", **spec)
    process.settings |= change
    process.start()
    assert process.process.wait(20) == code
    assert words in process.log.read_text()
    assert "Traceback" not in process.log.read_text()


def test_all_faults_of_a_camera_file_are_reported(tmp_path: Path) -> None:
    spec = {"source": {"type": "RTSP", "url": "rtsp://u:p@h/x"}, "samplig": {}}
    process = StreamProcess(tmp_path, "c", "nats://127.0.0.1:1", "t", "127.0.0.1:1", **spec).start()
    assert process.process.wait(20) == runner.EXIT_USAGE
    logged = process.log.read_text()
    for word in ("credentialsSecretRef", "did you mean sampling"):
        assert word in logged


async def test_a_source_that_hangs_ends_the_process(start: Start, bus: Bus, tmp_path: Path) -> None:
    """Opening a pipe without a writer cannot be interrupted, like a decoder that hangs."""
    os.mkfifo(tmp_path / "pipe.mp4")
    process = start("hung", source={"type": "File", "url": "file:pipe.mp4"})
    code = await asyncio.to_thread(process.process.wait, 60)
    assert code == runner.EXIT_HUNG
    beat = await bus.heartbeat(process.key)
    assert beat is not None
    assert beat.reason is SourceReason.DECODER_HUNG
