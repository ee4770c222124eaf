"""How long a camera may be silent, and what is reported while it is read on."""

import threading
import time
from collections.abc import Iterator

import av
import pytest
from tests.unit.stream.test_capture_parts import frame_of

from vigil_contracts.conditions import SourceReason
from vigil_contracts.events import CameraRef, CameraState
from vigil_stream.capture import loop as capture_loop
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.frozen import FROZEN_AFTER_S, FrozenDetector
from vigil_stream.capture.keyframes import BAD_KEYFRAMES, KEYFRAME_DEADLINE_S, REPORT_AFTER_S, KeyframeWait
from vigil_stream.capture.liveness import (
    FIRST_STALL_S,
    FORGET_AFTER_S,
    MAX_STALL_S,
    MIN_STALL_S,
    UNKNOWN_STALL_S,
    Liveness,
)
from vigil_stream.capture.slot import Slot
from vigil_stream.capture.source import Sampler, SourceInfo, Watchdog
from vigil_stream.status import Status


def received(liveness: Liveness, *at: float) -> Liveness:
    """Receive data at these times of a new session."""
    liveness.begin(0.0)
    for one in at:
        liveness.receive(one)
    return liveness


@pytest.mark.parametrize(
    ("name", "at", "limit_s"),
    [
        ("nothing yet", [], FIRST_STALL_S),
        ("one frame", [0], UNKNOWN_STALL_S),
        ("a burst of 50 frames", [n / 25 for n in range(50)], UNKNOWN_STALL_S),
        ("25 frames a second", [n / 25 for n in range(100)], MIN_STALL_S),
        ("one in 10 s", [0, 10, 20], UNKNOWN_STALL_S),
        ("one in 10 s for long", [10 * n for n in range(20)], UNKNOWN_STALL_S),
        ("one in 10 s after 25 a second", [*(n / 25 for n in range(101)), 14, 24], 30),
        ("one a minute", [0, 60], MAX_STALL_S),
    ],
)
def test_the_stall_limit_is_learned_from_the_camera(name: str, at: list[float], limit_s: float) -> None:
    assert received(Liveness(), *at).limit_s == pytest.approx(limit_s), name


def test_the_cameras_own_limit_counts() -> None:
    liveness = received(Liveness(5), 0, 100, 200)
    assert liveness.limit_s == 5
    assert liveness.left_s(204) == 1
    assert liveness.end_stalled() == 5


def test_a_long_interval_is_forgotten() -> None:
    liveness = received(Liveness(), 0, 30, *(30 + n for n in range(int(FORGET_AFTER_S) + 2)))
    assert liveness.limit_s == MIN_STALL_S


def test_a_camera_that_turns_slow_is_waited_for() -> None:
    """25 frames a second by day, one in 40 s at night: each attempt is silent for longer than it delivered."""
    liveness = received(Liveness(), *(n / 25 for n in range(25 * 60)))
    limits = [liveness.end_stalled(), received(liveness, 0).end_stalled(), received(liveness, 0).end_stalled()]
    assert limits == [MIN_STALL_S, MIN_STALL_S, 2 * MIN_STALL_S]
    assert received(liveness, 0, 40, 80).limit_s == MAX_STALL_S


def test_a_camera_whose_first_frame_is_late_is_waited_for() -> None:
    liveness = Liveness()
    assert [received(liveness).end_stalled() for _ in range(4)] == [30, 60, 120, 120]


def test_a_camera_that_hangs_after_minutes_is_not() -> None:
    liveness = Liveness()
    for _ in range(3):
        assert received(liveness, *(n / 25 for n in range(25 * 60))).end_stalled() == MIN_STALL_S


def test_a_keyframe_is_waited_for_and_the_wait_reported() -> None:
    """long-gop: joined between keyframes 40 s apart."""
    notices: list[tuple[SourceReason, str]] = []
    wait = KeyframeWait("rtsp://camera/1", Liveness(notice=lambda *one: notices.append(one)), 0.0)
    for n in range(380):
        wait.nothing(n / 10, keyframe=False)
    assert [reason for reason, _ in notices] == [SourceReason.WAITING_FOR_KEYFRAME]
    assert "set a shorter keyframe interval" in notices[0][1]
    wait.sound(38.0)
    wait.nothing(38.0 + REPORT_AFTER_S + 1, keyframe=False)
    assert len(notices) == 2


@pytest.mark.parametrize(
    ("keyframes", "after_s", "reason"),
    [
        (BAD_KEYFRAMES, REPORT_AFTER_S + 1, SourceReason.CORRUPT),
        (BAD_KEYFRAMES - 1, REPORT_AFTER_S + 1, None),
        (100, REPORT_AFTER_S - 1, None),
        (0, KEYFRAME_DEADLINE_S + 1, SourceReason.WAITING_FOR_KEYFRAME),
    ],
)
def test_the_wait_for_a_keyframe_has_an_end(keyframes: int, after_s: float, reason: SourceReason | None) -> None:
    wait, found = KeyframeWait("rtsp://camera/1", Liveness(), 0.0), None
    try:
        for _ in range(keyframes):
            wait.nothing(1.0, keyframe=True)
        wait.nothing(after_s, keyframe=False)
    except SourceError as error:
        found = error.reason
    assert found is reason


def test_a_scene_with_news_every_half_minute_is_reported_once() -> None:
    """Keyframes 30 s apart that differ a little, equal frames between: the report does not come and go."""
    detector, changes, before = FrozenDetector(), 0, False
    for n in range(300 * 5):
        detector.add_decoded(n // 150, n / 5)
        changes += detector.frozen(n / 5) is not before
        before = detector.frozen(n / 5)
    assert changes == 2


class Still:
    """A dark room without noise: each frame is equal to the one before; then somebody enters."""

    def __init__(self, clock: list[float], count: int, stop: threading.Event) -> None:
        self._clock, self._count, self._stop = clock, count, stop

    def open(self) -> SourceInfo:
        return SourceInfo(160, 96, "h264", "CPU")

    def frames(self, sampler: Sampler, frozen: FrozenDetector | None = None) -> Iterator[av.VideoFrame]:  # noqa: ARG002
        dark, visit = av.VideoFrame(160, 96, "gray"), frame_of(160, 96, "gray")
        for _ in range(self._count):
            self._clock[0] += 0.2
            yield dark
        yield visit
        self._stop.set()
        yield visit

    def close(self) -> None:
        pass


def test_still_clean_video_is_reported_and_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """still-clean: nobody who enters a dark room is missed, because the connection stays."""
    clock, stop, slot, made = [100.0], threading.Event(), Slot(), []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    state = Status("lab", CameraRef(namespace="default", name="c"), "s", lambda: None)
    reasons: list[tuple[CameraState, SourceReason]] = []
    state._changed = lambda: reasons.append((state.state, state.reason))

    def make() -> Still:
        made.append(1)
        return Still(clock, int(6 * FROZEN_AFTER_S), stop) if len(made) == 1 else Still(clock, 0, stop)

    liveness = Liveness(notice=state.notice)
    capture_loop.CaptureLoop(make, slot, state, Sampler(5), Watchdog(), live=True, liveness=liveness).run(stop)
    assert len(made) == 1
    streaming = CameraState.STREAMING
    assert reasons[-3:] == [
        (streaming, SourceReason.CONNECTED),
        (streaming, SourceReason.FROZEN),
        (streaming, SourceReason.CONNECTED),
    ]
    last = slot.take(0)
    assert getattr(last, "at", None) == clock[0], "the visitor's frame is analysed"


def test_frozen_with_clock_shows_under_a_mask() -> None:
    """frozen-with-clock: the sensor hangs, the encoder goes on drawing the time, and a privacy mask covers it."""
    for masked in (True, False):
        detector = FrozenDetector()
        for n in range(int(FROZEN_AFTER_S + 1) * 5):
            detector.add_decoded(n // 5, n / 5)
            if masked:
                detector.add_masked(0, n / 5)
        assert detector.frozen(n / 5) is masked


class Brief:
    """A camera that gives one frame and breaks off."""

    def open(self) -> SourceInfo:
        return SourceInfo(160, 96, "h264", "CPU")

    def frames(self, sampler: Sampler, frozen: FrozenDetector | None = None) -> Iterator[av.VideoFrame]:  # noqa: ARG002
        yield frame_of(160, 96)
        raise SourceError(SourceReason.STOPPED, "it broke off")

    def close(self) -> None:
        pass


def test_a_session_with_frames_resets_the_wait() -> None:
    """slow-camera: the wait does not grow to a minute between sessions that gave frames."""

    class Waits(threading.Event):
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def wait(self, timeout: float | None = None) -> bool:
            self.seconds.append(timeout or 0.0)
            if len(self.seconds) == 8:
                self.set()
            return True

    stop = Waits()
    state = Status("lab", CameraRef(namespace="default", name="c"), "s", lambda: None)
    capture_loop.CaptureLoop(Brief, Slot(), state, Sampler(5), Watchdog(), live=True).run(stop)
    assert max(stop.seconds) <= 1
