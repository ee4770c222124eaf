"""A healthy camera stays connected: dark, still, slow, or with keyframes far apart."""

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from tests.integration.stream.cameras import Framed, Mjpeg, Rtsp, WebSocketCamera
from tests.integration.stream.clips import FPS, encoded, images, jpegs
from tests.integration.stream.watching import Watch, watching
from tests.support.waiting import wait_until

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture import liveness

pytestmark = pytest.mark.integration


def has_notice(watch: Watch, reason: SourceReason) -> bool:
    return any(found is reason for found, _ in watch.notices)


def test_still_clean() -> None:
    """A dark scene without noise, encoded as one keyframe and skipped blocks; then somebody enters."""
    dark = [np.full((96, 160, 3), 16, np.uint8)] * 50
    still, visit = encoded(dark, keyframes_every=50), encoded(list(images(160, 96, 25)), keyframes_every=25)
    entered: list[float] = []

    def scene() -> Iterator[list[bytes]]:
        while not has_notice(watch, SourceReason.FROZEN):
            yield from still
        entered.append(time.monotonic())
        yield from itertools.cycle(visit)

    with Rtsp(scene) as camera, watching("RTSP", camera.url) as watch:
        wait_until(lambda: has_notice(watch, SourceReason.CONNECTED) or watch.errors, 30, "the visit is captured")
        assert entered
        assert not watch.errors
        assert camera.connections == 1


SLOW_S = 1.5


def slowly(frames: Iterator[bytes]) -> Iterator[bytes]:
    for frame in frames:
        yield frame
        time.sleep(SLOW_S)  # the camera's interval


def test_slow_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """One frame in 1.5 s where a fast camera may be silent for 1 s: with the limits of the product, one in 20 s."""
    monkeypatch.setattr(liveness, "UNKNOWN_STALL_S", 2.0)
    monkeypatch.setattr(liveness, "MIN_STALL_S", 1.0)
    units, messages = encoded(list(images(160, 96, 20)), keyframes_every=1), jpegs(160, 96, 20)
    cameras: dict[str, Any] = {
        "RTSP": Rtsp(lambda: iter(units), interval_s=SLOW_S),
        "HTTPMJPEG": Mjpeg(lambda: slowly(iter(messages))),
        "WebSocket": WebSocketCamera(lambda: slowly(iter(messages))),
        "Socket": Framed(lambda: slowly(iter(messages))),
    }
    with ExitStack() as stack:
        watches = [
            stack.enter_context(watching(kind, stack.enter_context(camera).url)) for kind, camera in cameras.items()
        ]
        for watch in watches:
            wait_until(lambda watch=watch: len(watch.sizes) >= 3 or watch.errors, 30, "frames come at its pace")  # type: ignore[misc]
            assert not watch.errors
            assert len(watch.infos) == 1


def test_long_gop() -> None:
    """Joined after the only keyframe for 6 s, where 2 s without a frame are reported."""
    units = encoded(list(images(160, 96, 6 * FPS)), keyframes_every=6 * FPS)
    parameters = [nal for nal in units[0] if nal[0] & 0x1F in {7, 8}]
    later = [*units[FPS:], *units, *units]
    with Rtsp(lambda: iter(later), parameters=parameters) as camera, watching("RTSP", camera.url) as watch:
        wait_until(lambda: watch.sizes or watch.errors, 30, "frames come with the next keyframe")
        assert not watch.errors
        message = next(text for found, text in watch.notices if found is SourceReason.WAITING_FOR_KEYFRAME)
        assert "set a shorter keyframe interval" in message
        assert camera.connections == 1
