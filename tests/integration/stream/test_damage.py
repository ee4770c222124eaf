"""Damage on the way from a camera: what is left out, and what is analysed."""

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.integration.stream import cameras, clips
from tests.integration.stream.watching import Watch, watching
from tests.unit.stream.encoded import luma, psnr

from vigil_stream.capture.slot import Frame

pytestmark = pytest.mark.integration

GOP = 10
UNITS = clips.h264(640, 360, 6 * GOP)


def frames_of(watch: Watch, until: int) -> list[NDArray[np.uint8]]:
    """Take frames until so many were captured."""
    found: list[NDArray[np.uint8]] = []
    while len(found) < until:
        item = watch.take(10)
        assert isinstance(item, Frame), item
        found.append(luma(item.decoded))
    return found


@pytest.mark.parametrize(
    ("transport", "lost"),
    [
        pytest.param("TCP", lambda unit, _: unit % 20 == 10, id="keyframes over TCP"),
        pytest.param("UDP", lambda unit, _: unit % 20 == 10, id="keyframes over UDP"),
        pytest.param("TCP", lambda unit, packet: unit % 20 == 10 and packet >= 3, id="their tails"),
        pytest.param("TCP", lambda unit, packet: unit % 20 == 10 and packet == 4, id="one packet of them"),
        pytest.param("TCP", lambda unit, _: unit % 20 in {13, 14, 15}, id="three frames"),
    ],
)
def test_lost_keyframe(transport: str, lost: cameras.Lost) -> None:
    """Case lost-keyframe: no frame is analysed that shows what was lost."""
    sent = [luma(frame) for frame in clips.decoded(UNITS)]
    with (
        cameras.Rtsp(cameras.for_ever(UNITS), lost=lost) as camera,
        watching("RTSP", camera.url, transport=transport) as watch,
    ):
        analysed = frames_of(watch, 40)
        assert watch.sampler.left_out
        assert watch.sampler.corrupt
        assert not watch.errors
    worst = min(max(psnr(image, clean) for clean in sent) for image in analysed)
    assert worst > 38
