"""Heartbeats: only a change of meaning is reported, and silence is one."""

import asyncio

from tests.support.waiting import eventually
from tests.unit.operator.builders import beat

from vigil_contracts.conditions import ClockReason, SiteReason, SourceReason
from vigil_contracts.events import CameraCounters, CameraState
from vigil_contracts.ids import ResourceKey
from vigil_operator.bus.heartbeats import STALE_S, BusProblem, Heartbeats

FRONT = ResourceKey("default", "front")


class LastHeartbeat:
    """Heartbeats, and what they reported."""

    def __init__(self) -> None:
        self.cameras: list[ResourceKey] = []
        self.sites: list[str] = []
        self.beats = Heartbeats(self.cameras.append, self.sites.append)


def test_repeated_heartbeats_are_reported_once() -> None:
    heartbeat = LastHeartbeat()
    for frames in range(5):
        heartbeat.beats.note(FRONT, beat(counters=CameraCounters(frames_captured=frames), captured_fps=float(frames)))
    heartbeat.beats.touch(FRONT)
    assert heartbeat.cameras == [FRONT]


def test_another_state_is_reported() -> None:
    heartbeat = LastHeartbeat()
    heartbeat.beats.note(FRONT, beat())
    heartbeat.beats.note(FRONT, beat(CameraState.STREAMING, SourceReason.FROZEN))
    heartbeat.beats.note(FRONT, beat(CameraState.STREAMING, SourceReason.FROZEN, message="for a minute"))
    assert len(heartbeat.cameras) == 3


def test_an_error_of_inference_is_reported() -> None:
    heartbeat = LastHeartbeat()
    heartbeat.beats.note(FRONT, beat())
    heartbeat.beats.note(FRONT, beat(inference_trouble="no inference"))
    assert len(heartbeat.cameras) == 2


def test_a_clock_that_becomes_wrong_is_reported_once() -> None:
    heartbeat = LastHeartbeat()
    heartbeat.beats.note(FRONT, beat(), received=(1,), offset_s=0.0)
    for offset_s in (0.2, -0.2, 3600.0, 3600.2):
        assert heartbeat.beats.repeats(FRONT, (1,), offset_s)
    assert len(heartbeat.cameras) == 2
    last = heartbeat.beats.get(FRONT)
    assert last is not None
    assert last.clock.reason is ClockReason.CLOCK_AHEAD
    heartbeat.beats.note(FRONT, beat(captured_fps=1.0), received=(2,), offset_s=3600.1)
    assert len(heartbeat.cameras) == 2
    heartbeat.beats.note(FRONT, beat(session_id="next"), received=(3,), offset_s=0.0)
    last = heartbeat.beats.get(FRONT)
    assert last is not None
    assert last.clock.reason is ClockReason.SYNCHRONIZED


def test_a_late_heartbeat_replaces_no_newer_one() -> None:
    heartbeat = LastHeartbeat()
    heartbeat.beats.note(FRONT, beat())
    heartbeat.beats.note(FRONT, beat(CameraState.CONNECTING, SourceReason.CONNECTING), age_s=5)
    last = heartbeat.beats.get(FRONT)
    assert last is not None
    assert last.beat.state is CameraState.STREAMING


async def test_silence_and_return_are_reported_once_each() -> None:
    heartbeat = LastHeartbeat()
    heartbeat.beats.note(FRONT, beat(), age_s=STALE_S - 0.5)
    watching = asyncio.create_task(heartbeat.beats.watch_silence())
    try:
        await eventually(lambda: len(heartbeat.cameras) == 2, 10, "the silence is reported")
        last = heartbeat.beats.get(FRONT)
        assert last is not None
        assert last.stale
        heartbeat.beats.touch(FRONT)
        assert len(heartbeat.cameras) == 3
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def test_a_bus_error_is_reported_at_its_begin_and_end() -> None:
    """Other words for the same outage are no change."""
    heartbeat = LastHeartbeat()
    errors = [BusProblem(SiteReason.BUS_UNREACHABLE, words) for words in ("refused", "refused again")]
    for error in (*errors, None, None):
        heartbeat.beats.set_bus_problem("default", error)
    assert heartbeat.sites == ["default", "default"]
    assert heartbeat.beats.bus_problem("default") is None


def test_a_camera_that_is_gone_is_forgotten() -> None:
    heartbeat = LastHeartbeat()
    heartbeat.beats.note(FRONT, beat())
    heartbeat.beats.forget(FRONT)
    assert heartbeat.beats.get(FRONT) is None
