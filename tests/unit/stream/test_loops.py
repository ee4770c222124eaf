"""The two threads of a camera: what they report when a part fails, and what they do not."""

import threading
import time
from collections.abc import Iterator

import av
import pytest
from tests.unit.stream.test_frame_pipeline import ALL, HERE, Camera, Story

from vigil_contracts.conditions import SourceReason
from vigil_contracts.events import CameraRef, CameraState, SightingState
from vigil_stream.analysis_loop import AnalysisLoop
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.frozen import FrozenDetector
from vigil_stream.capture.loop import CaptureLoop
from vigil_stream.capture.slot import Frame, ResultsReady, Slot, SourceLost
from vigil_stream.capture.source import Sampler, SourceInfo, Watchdog
from vigil_stream.pipeline.tracker import STALE_AFTER_S
from vigil_stream.status import Status
from vigil_vision.triton import InferenceError


def status() -> Status:
    return Status("lab", CameraRef(namespace="default", name="c"), "s", lambda: None)


def analysis(camera: Camera) -> tuple[AnalysisLoop, Status]:
    state = status()
    return AnalysisLoop(camera.pipeline, Slot(), state, Watchdog()), state


def test_tracks_go_stale_while_inference_fails_on_every_frame() -> None:
    story = Story()
    camera = Camera(story, **ALL)
    camera.at = time.monotonic() - STALE_AFTER_S - 10
    camera.show(HERE)
    camera.show(HERE)
    loop, _ = analysis(camera)
    story.detects = False
    with pytest.raises(InferenceError):
        loop._step(camera.frame())
    assert camera.events[-1].state is SightingState.CLOSED


def run_once(loop: AnalysisLoop, item: Frame | SourceLost | ResultsReady) -> None:
    """Run the loop for one item."""
    stop = threading.Event()

    class Last(Slot):
        def take(self, timeout_s: float) -> Frame | SourceLost | ResultsReady | None:  # noqa: ARG002 - the interface
            stop.set()
            return item

    loop._slot = Last()
    loop.run(stop)


def test_an_embedding_does_not_hide_that_detection_fails() -> None:
    story = Story()
    camera = Camera(story, **ALL)
    loop, state = analysis(camera)
    story.detects = False
    run_once(loop, camera.frame())
    assert "no detector" in state.errors["inference"]
    run_once(loop, ResultsReady())
    assert "no detector" in state.errors["inference"]
    story.detects = True
    run_once(loop, camera.frame())
    assert state.errors == {}


def test_a_heartbeat_reports_lasting_errors_of_inference_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that was analysed a moment ago means that the error is a blip."""
    story = Story()
    camera = Camera(story, **ALL)
    loop, state = analysis(camera)
    run_once(loop, camera.frame())
    story.detects = False
    run_once(loop, camera.frame())
    assert state.heartbeat().inference_trouble is None
    monkeypatch.setattr("vigil_stream.status.BLIP_S", 0.0)
    assert "no detector" in str(state.heartbeat().inference_trouble)
    run_once(loop, SourceLost())
    assert state.heartbeat().inference_trouble is None


def test_an_error_before_the_first_analysis_is_reported_at_once() -> None:
    story = Story()
    story.detects = False
    camera = Camera(story, **ALL)
    loop, state = analysis(camera)
    run_once(loop, camera.frame())
    assert "no detector" in str(state.heartbeat().inference_trouble)


def test_the_loss_of_the_source_clears_errors_of_inference() -> None:
    """Without frames nothing is requested, so an old error would be reported for ever."""
    story = Story()
    camera = Camera(story, **ALL)
    loop, state = analysis(camera)
    story.detects = False
    run_once(loop, camera.frame())
    run_once(loop, SourceLost())
    assert state.errors == {}


def test_the_end_of_a_file_is_no_reconnect() -> None:
    loop, _ = analysis(Camera(Story(), **ALL))
    run_once(loop, SourceLost(ended=True))
    assert loop.losses == 0
    run_once(loop, SourceLost())
    assert loop.losses == 1


class Ending:
    """A live source that breaks off because the process ends."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def open(self) -> SourceInfo:
        return SourceInfo(64, 48, "h264", "CPU")

    def frames(
        self,
        sampler: Sampler,  # noqa: ARG002 - the interface
        frozen: FrozenDetector | None = None,  # noqa: ARG002 - the interface
    ) -> Iterator[av.VideoFrame]:
        self._stop.set()
        raise SourceError(SourceReason.STOPPED, "it ended the stream")

    def close(self) -> None:
        pass


def test_a_source_that_ends_with_the_process_is_not_lost() -> None:
    stop, state, slot = threading.Event(), status(), Slot()
    CaptureLoop(lambda: Ending(stop), slot, state, Sampler(5), Watchdog(), live=True).run(stop)
    assert state.state is CameraState.CONNECTING
    assert slot.take(0) is None


def test_decoding_on_the_cpu_is_no_error() -> None:
    state = status()
    state.connected(SourceInfo(64, 48, "h264", "CPU"))
    state.frame_captured(64, 48, 1.0)
    beat = state.heartbeat()
    assert (beat.state, beat.message, beat.decoder) == (CameraState.STREAMING, "", "CPU")


def test_notices_of_a_source_that_is_read_on() -> None:
    state = status()
    state.connected(SourceInfo(64, 48, "h264", "CPU"))
    state.notice(SourceReason.WAITING_FOR_KEYFRAME, "no keyframe")
    assert (state.state, state.reason) == (CameraState.CONNECTING, SourceReason.WAITING_FOR_KEYFRAME)
    state.frame_captured(64, 48, 1.0)
    state.notice(SourceReason.FROZEN, "nothing new")
    state.frame_captured(64, 48, 2.0)
    beat = state.heartbeat()
    assert (beat.state, beat.reason, beat.message) == (CameraState.STREAMING, SourceReason.FROZEN, "nothing new")
    state.notice(SourceReason.CONNECTED, "")
    assert (state.state, state.reason) == (CameraState.STREAMING, SourceReason.CONNECTED)
    state.lost(SourceError(SourceReason.STOPPED, "gone"), 1)
    state.notice(SourceReason.CONNECTED, "")
    assert state.reason is SourceReason.STOPPED


def test_the_state_stays_after_stopped() -> None:
    state = status()
    state.stopped()
    state.lost(SourceError(SourceReason.STOPPED, "gone"), 1)
    state.ended()
    assert state.state is CameraState.STOPPED
