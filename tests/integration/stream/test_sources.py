"""Every source type yields the frames of a camera, from a real server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.stream.cameras import Framed, Mjpeg, Rtsp, WebSocketCamera, asking, for_ever
from tests.integration.stream.clips import h264, jpegs, write_video
from tests.integration.stream.watching import Watch, watching
from tests.support.servers import RtspServer
from tests.support.shared import shared
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

WIDTH, HEIGHT = 320, 192


def delivers_frames(watch: Watch, size: tuple[int, int] = (WIDTH, HEIGHT), count: int = 8) -> None:
    wait_until(lambda: len(watch.sizes) >= count or watch.errors, 20, "frames come")
    assert not watch.errors, watch.errors
    assert set(watch.sizes) == {size}
    assert watch.infos


@pytest.mark.parametrize("transport", ["TCP", "UDP", None])
def test_rtsp(transport: str | None) -> None:
    units = h264(WIDTH, HEIGHT, 300)
    with Rtsp(lambda: units) as camera:
        source: dict[str, Any] = {"transport": transport} if transport else {}
        with watching("RTSP", camera.url, **source) as watch:
            delivers_frames(watch)
            assert watch.infos[0].codec == "h264"
            assert ("TCP" in camera.transports[0]) == (transport != "UDP")


def test_rtsp_of_a_real_server(rtsp: Callable[..., RtspServer]) -> None:
    server = rtsp({"clip": shared("video/short_hamilton_clip.mp4")})
    with watching("RTSP", server.url("clip")) as watch:
        delivers_frames(watch, (640, 360))


def test_http_mjpeg() -> None:
    with Mjpeg(for_ever(jpegs(WIDTH, HEIGHT, 50))) as camera, watching("HTTPMJPEG", camera.url) as watch:
        delivers_frames(watch)
        assert watch.infos[0].codec == "mjpeg"


def test_web_socket() -> None:
    with WebSocketCamera(for_ever(jpegs(WIDTH, HEIGHT, 50))) as camera, watching("WebSocket", camera.url) as watch:
        delivers_frames(watch)


def test_socket_with_jpeg_framing() -> None:
    with Framed(for_ever(jpegs(WIDTH, HEIGHT, 50))) as camera, watching("Socket", camera.url) as watch:
        delivers_frames(watch)


def test_a_file_once_ends(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", WIDTH, HEIGHT, 25)
    with watching("File", "file:clip.mp4", folder=tmp_path) as watch:
        wait_until(lambda: watch.has_ended or watch.errors, 20, "the file ends")
        assert not watch.errors
        assert watch.sampler.captured == 25


def test_a_looped_file_goes_on_and_marks_where_it_starts_again(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", WIDTH, HEIGHT, 10)
    with watching("File", "file:clip.mp4", folder=tmp_path, loop=True) as watch:
        cuts = 0
        while cuts < 2:
            item = watch.take()
            assert item is not None
            cuts += getattr(item, "cut", False)
        assert not watch.errors
        assert watch.sampler.captured > 20


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4", "libx265"])
def test_files_of_other_codecs(tmp_path: Path, codec: str) -> None:
    path = write_video(tmp_path / "clip.mkv", WIDTH, HEIGHT, 25, codec)
    with watching("File", f"file://{path}") as watch:
        delivers_frames(watch)


@pytest.mark.parametrize("kind", ["RTSP", "HTTPMJPEG", "WebSocket"])
def test_credentials_are_sent(tmp_path: Path, kind: str) -> None:
    (tmp_path / "username").write_text("user\n")
    (tmp_path / "password").write_text("p@ss:w/rd\n")
    secret = {"name": "s"}
    with (
        asking(kind, "p@ss:w/rd", WIDTH, HEIGHT, 50) as camera,
        watching(kind, camera.url, credentials=tmp_path, credentialsSecretRef=secret) as watch,
    ):
        delivers_frames(watch)


def test_a_source_that_comes_back_is_captured_again() -> None:
    units = h264(WIDTH, HEIGHT, 15)
    with Rtsp(lambda: units) as camera, watching("RTSP", camera.url) as watch:
        wait_until(lambda: camera.connections >= 3 and len(watch.infos) >= 2, 30, "it connects again")
        wait_until(lambda: len(watch.sizes) > 15, 30, "frames of the second connection come")
