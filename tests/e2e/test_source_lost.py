"""A lost camera is reconnected, and a camera that repeats one frame is reported."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from tests.e2e.system import System, camera
from tests.integration.stream.cameras import Mjpeg, for_ever
from tests.integration.stream.clips import FPS, jpegs
from tests.support.servers import RtspServer
from tests.support.shared import shared
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

AWAY_S = 30
DOOR = "door"


def in_state(vigil: System, state: str) -> dict[str, Any] | None:
    beat = vigil.cameras().get(DOOR)
    return beat if beat and beat["state"] == state else None


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def test_a_camera_streams_again_when_its_server_is_back(
    system: Callable[..., System], rtsp: Callable[..., RtspServer]
) -> None:
    """It streams at the attempt that its heartbeat announced."""
    server = rtsp({"clip": shared("video/short_hamilton_clip.mp4")})
    vigil = system()
    vigil.write("camera.yaml", camera(DOOR, "RTSP", server.url("clip")))
    vigil.start()
    await eventually(lambda: vigil.streaming() == {DOOR}, 60, "the camera streams")
    server.running.kill()
    gone = time.monotonic()
    lost = await eventually(lambda: in_state(vigil, "RECONNECTING"), 30, "the loss is reported")
    assert lost is not None
    print(f"reported {time.monotonic() - gone:.1f} s after: {lost['reason']}: {lost['message']}")  # noqa: T201 - for -rP
    await eventually(lambda: time.monotonic() - gone > AWAY_S, AWAY_S + 5, "the server was away")
    server.running.start()
    back = time.time()
    waiting = await eventually(lambda: in_state(vigil, "RECONNECTING"), 10, "the next attempt is announced")
    again = await eventually(lambda: in_state(vigil, "STREAMING"), 90, "it streams again")
    assert waiting is not None
    assert again is not None
    since, promised = seconds(again["since"]), seconds(waiting["nextAttemptAt"])
    print(  # noqa: T201 - for -rP
        f"the server came back {promised - back:.1f} s before the attempt that was announced; "
        f"streaming {since - promised:.1f} s after that attempt"
    )
    assert again["counters"]["reconnects"] > lost["counters"]["reconnects"]
    assert vigil.stop() == 0


async def test_a_frozen_frame_is_reported(system: Callable[..., System]) -> None:
    moving = jpegs(320, 192, FPS * 4)
    frozen_since: list[float] = []

    def freeze() -> Iterator[bytes]:
        yield from moving
        frozen_since.append(time.time())
        yield from for_ever(moving[-1:])()

    with Mjpeg(freeze) as source:
        vigil = system()
        vigil.write("camera.yaml", camera(DOOR, "HTTPMJPEG", source.url))
        vigil.start()
        beat = await eventually(
            lambda: (now := in_state(vigil, "STREAMING")) and now["reason"] == "FROZEN" and now, 90, "it is reported"
        )
        assert beat
        print(f"reported {seconds(beat['since']) - frozen_since[0]:.1f} s after it froze: {beat['message']}")  # noqa: T201
        assert vigil.stop() == 0
