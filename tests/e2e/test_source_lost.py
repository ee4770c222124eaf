"""A camera that goes away is waited for, and one that shows the same picture for ever is told of."""

import time
from collections.abc import Callable
from datetime import datetime

import pytest
from tests.e2e.system import System, camera
from tests.support.servers import RtspServer
from tests.support.shared import shared
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

AWAY_S = 30


async def test_a_camera_streams_again_soon_after_its_server_came_back(
    system: Callable[..., System], rtsp: Callable[..., RtspServer]
) -> None:
    server = rtsp({"clip": shared("video/short_hamilton_clip.mp4")})
    vigil = system()
    vigil.write("camera.yaml", camera("door", "RTSP", server.url("clip")))
    vigil.start()
    await eventually(lambda: vigil.streaming() == {"door"}, 60, "the camera streams")
    server.running.kill()
    gone = time.monotonic()
    lost = await eventually(lambda: (b := vigil.cameras()["door"])["state"] == "Reconnecting" and b, 30, "it is told")
    print(f"told {time.monotonic() - gone:.1f} s after: {lost['reason']}: {lost['message']}")  # noqa: T201 - for -rP
    await eventually(lambda: time.monotonic() - gone > AWAY_S, AWAY_S + 5, "the server was away")
    server.running.start()
    back = time.time()
    again = await eventually(
        lambda: (b := vigil.cameras()["door"])["state"] == "Streaming" and b, 90, "it streams again"
    )
    print(f"streams again {datetime.fromisoformat(again['since']).timestamp() - back:.1f} s after the server")  # noqa: T201
    assert again["counters"]["reconnects"] >= 1
    assert vigil.stop() == 0
