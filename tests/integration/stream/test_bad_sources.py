"""Every fault of a source is reported with a reason of the contracts, and capture tries again."""

import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.integration.stream.cameras import Camera, Framed, Mjpeg, Rtsp, WebSocketCamera, asking, for_ever
from tests.integration.stream.clips import h264, jpegs, with_size, write_video
from tests.integration.stream.watching import Watch, watching
from tests.support.waiting import wait_until

from vigil_contracts.conditions import SourceReason
from vigil_contracts.resources.camera import Accelerator, Decode
from vigil_stream.capture import hardware
from vigil_stream.capture.errors import SourceError

pytestmark = pytest.mark.integration

JPEG = jpegs(160, 96, 1)[0]


def reports(watch: Watch, reason: SourceReason, *words: str) -> None:
    wait_until(lambda: watch.errors, 30, f"{reason} is reported")
    error = watch.errors[0]
    assert error.reason is reason, error
    for word in words:
        assert word in str(error)


def notices(watch: Watch, reason: SourceReason, *words: str) -> None:
    """Wait for a report while the source is read on."""
    wait_until(lambda: [text for found, text in watch.notices if found is reason], 30, f"{reason} is reported")
    message = next(text for found, text in watch.notices if found is reason)
    for word in words:
        assert word in message
    assert not watch.errors


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("RTSP", "rtsp://127.0.0.1:{}/cam"),
        ("HTTPMJPEG", "http://127.0.0.1:{}/video"),
        ("WebSocket", "ws://127.0.0.1:{}/live"),
        ("Socket", "tcp://127.0.0.1:{}"),
    ],
)
def test_a_port_without_a_listener(kind: str, url: str) -> None:
    with watching(kind, url.format(closed_port())) as watch:
        reports(watch, SourceReason.UNREACHABLE, "check address, port and network")


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("RTSP", "rtsp://no-such-host.invalid/cam"),
        ("HTTPMJPEG", "http://no-such-host.invalid/video"),
        ("WebSocket", "ws://no-such-host.invalid/live"),
        ("Socket", "tcp://no-such-host.invalid:99"),
    ],
)
def test_the_host_is_not_known(kind: str, url: str) -> None:
    with watching(kind, url) as watch:
        reports(watch, SourceReason.UNREACHABLE, "host name no-such-host.invalid", "cannot be resolved", "source.url")


@pytest.mark.parametrize(("kind", "scheme"), [("RTSP", "rtsp"), ("HTTPMJPEG", "http"), ("WebSocket", "ws")])
def test_a_host_that_never_answers(kind: str, scheme: str) -> None:
    with Camera() as camera, watching(kind, f"{scheme}://127.0.0.1:{camera.port}/x") as watch:
        reports(watch, SourceReason.UNREACHABLE)


@pytest.mark.parametrize("kind", ["RTSP", "HTTPMJPEG", "WebSocket"])
def test_a_wrong_password_is_reported_and_never_shown(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "username").write_text("user")
    (tmp_path / "password").write_text("wr0ng-secret")
    secret = {"name": "s"}
    with (
        asking(kind, "right", 160, 96, 10) as camera,
        watching(kind, camera.url, credentials=tmp_path, credentialsSecretRef=secret) as watch,
    ):
        reports(watch, SourceReason.UNAUTHORIZED, "refuses the user or password", "credentialsSecretRef")
        assert "wr0ng-secret" not in str(watch.errors) + caplog.text


@pytest.mark.parametrize("kind", ["RTSP", "HTTPMJPEG", "WebSocket"])
def test_a_camera_that_requires_a_password_without_a_secret(kind: str) -> None:
    with asking(kind, "right", 160, 96, 10) as camera, watching(kind, camera.url) as watch:
        words = "asks for user and password", "name a Secret in spec.source.credentialsSecretRef"
        reports(watch, SourceReason.UNAUTHORIZED, *words)


def test_a_secret_without_its_keys(tmp_path: Path) -> None:
    url, reference = "rtsp://127.0.0.1/x", {"name": "s"}
    with watching("RTSP", url, credentials=tmp_path, credentialsSecretRef=reference) as watch:
        reports(watch, SourceReason.UNAUTHORIZED, "`username`")


@pytest.mark.parametrize(("kind", "url"), [("File", "file:///no/such/clip.mp4"), ("USB", "/dev/video97")])
def test_a_source_that_does_not_exist(kind: str, url: str) -> None:
    with watching(kind, url) as watch:
        reports(watch, SourceReason.NOT_FOUND)


def test_a_path_that_the_camera_does_not_have() -> None:
    with Rtsp(list, found=False) as camera, watching("RTSP", camera.url) as watch:
        reports(watch, SourceReason.NOT_FOUND)
    with Mjpeg(for_ever([JPEG])) as web, watching("HTTPMJPEG", web.url.replace("video", "nothing")) as watch:
        reports(watch, SourceReason.NOT_FOUND)


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_bytes(b"these are only words\n" * 500)
    with watching("File", "file:notes.mp4", folder=tmp_path) as watch:
        reports(watch, SourceReason.NOT_A_VIDEO)


def test_a_web_page_is_no_video() -> None:
    page = b"<html><body>camera login</body></html>\n" * 50
    with Mjpeg(lambda: iter([page]), kind="text/html") as camera, watching("HTTPMJPEG", camera.url) as watch:
        reports(watch, SourceReason.NOT_A_VIDEO)


def test_messages_that_are_no_jpegs() -> None:
    with WebSocketCamera(for_ever([b"hello"])) as camera, watching("WebSocket", camera.url) as watch:
        reports(watch, SourceReason.NOT_A_VIDEO)
    with Framed(for_ever([b"hello"])) as framed, watching("Socket", framed.url) as watch:
        reports(watch, SourceReason.NOT_A_VIDEO)


def test_a_web_server_that_is_no_web_socket() -> None:
    with Mjpeg(lambda: iter([JPEG])) as camera:
        url = camera.url.replace("http", "ws")
        with watching("WebSocket", url) as watch:
            reports(watch, SourceReason.NOT_A_VIDEO)


def test_a_socket_without_our_framing() -> None:
    class Chatter(Camera):
        def serve(self, connection: socket.socket) -> None:
            connection.sendall(b"220 mail.example.org ESMTP\r\n" * 10)
            self.stopped.wait()

    with Chatter() as camera, watching("Socket", f"tcp://127.0.0.1:{camera.port}") as watch:
        reports(watch, SourceReason.NOT_A_VIDEO, "4 bytes, big-endian")


def test_an_unknown_codec(tmp_path: Path) -> None:
    with Rtsp(lambda: h264(160, 96, 50), encoding="X-NEVER-HEARD") as camera, watching("RTSP", camera.url) as watch:
        reports(watch, SourceReason.CODEC_UNSUPPORTED, "H.264")
    path = write_video(tmp_path / "clip.mp4", 160, 96, 10)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzq7"))
    with watching("File", f"file://{path}") as watch:
        reports(watch, SourceReason.CODEC_UNSUPPORTED)


def test_cuda_where_there_is_none() -> None:
    if not hardware.why_no_cuda():
        pytest.skip("needs a machine without a GPU")
    with pytest.raises(SourceError, match="Auto") as caught:
        hardware.choose(Accelerator.CUDA)
    assert caught.value.reason is SourceReason.CODEC_UNSUPPORTED
    assert hardware.choose(Accelerator.AUTO) is None


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("RTSP", "rtsp://127.0.0.1:9/cam"),
        ("HTTPMJPEG", "http://127.0.0.1:9/video"),
        ("USB", "/dev/video97"),
        ("File", "file:///no/such/clip.mp4"),
    ],
)
def test_every_type_that_takes_cuda_reports_a_missing_device(kind: str, url: str) -> None:
    if not hardware.why_no_cuda():
        pytest.skip("needs a machine without a GPU")
    with watching(kind, url, decode=Decode(accelerator=Accelerator.CUDA)) as watch:
        reports(watch, SourceReason.CODEC_UNSUPPORTED, "decode.accelerator is CUDA", "set it to Auto")


def first_then(first: list[Any], then: Callable[[], Iterator[Any]]) -> Callable[[], Iterator[Any]]:
    def items() -> Iterator[Any]:
        yield from first
        yield from then()

    return items


def test_a_stream_that_stops() -> None:
    units = h264(160, 96, 25)
    with Rtsp(lambda: units, silent_after=True) as camera, watching("RTSP", camera.url) as watch:
        reports(watch, SourceReason.STOPPED, "has sent no frame for")
        assert watch.sizes
    messages = jpegs(160, 96, 10)
    with Framed(lambda: iter(messages), silent_after=True) as framed, watching("Socket", framed.url) as watch:
        reports(watch, SourceReason.STOPPED, "has sent no frame for", "source.stallTimeoutSeconds")


def test_a_stream_that_breaks_off() -> None:
    messages = jpegs(160, 96, 10)
    with Framed(lambda: iter(messages)) as camera, watching("Socket", camera.url) as watch:
        reports(watch, SourceReason.STOPPED, "ended the stream")
    with WebSocketCamera(lambda: iter(messages)) as web, watching("WebSocket", web.url) as watch:
        reports(watch, SourceReason.STOPPED, "closed the connection")


def test_video_that_freezes() -> None:
    units = h264(160, 96, 25)
    keyframe = next(unit for unit in reversed(units) if any(nal[0] & 0x1F == 5 for nal in unit))

    def still() -> Iterator[list[bytes]]:
        while True:
            yield keyframe

    with Rtsp(first_then(units, still)) as camera, watching("RTSP", camera.url) as watch:
        notices(watch, SourceReason.FROZEN, "has not changed")
        seen = len(watch.sizes)
        wait_until(lambda: len(watch.sizes) > seen + 10, 20, "it is read on")
        assert camera.connections == 1


def test_video_that_repeats_a_short_piece() -> None:
    pieces = jpegs(160, 96, 5)
    with Framed(for_ever(pieces)) as camera, watching("Socket", camera.url) as watch:
        notices(watch, SourceReason.FROZEN)


def goes_on(watch: Watch, frames: int) -> None:
    wait_until(lambda: watch.sampler.captured > frames or watch.errors, 30, "it goes on")
    assert not watch.errors


def test_a_repeated_piece_is_found_whichever_frames_are_analysed() -> None:
    """Of 25 frames in a second 5 are analysed: of a piece of 21, the same one again after 4 s."""
    units, messages = h264(160, 96, 21), jpegs(160, 96, 21)
    with ExitStack() as stack:

        def watched(kind: str, camera: Rtsp | Framed | Mjpeg | WebSocketCamera) -> Watch:
            stack.enter_context(camera)
            return stack.enter_context(watching(kind, camera.url, fps=5))

        short = [
            watched("RTSP", Rtsp(for_ever(units))),
            watched("HTTPMJPEG", Mjpeg(for_ever(messages))),
            watched("WebSocket", WebSocketCamera(for_ever(messages))),
            watched("Socket", Framed(for_ever(messages))),
        ]
        longer = [
            watched("RTSP", Rtsp(for_ever(h264(160, 96, 60)))),
            watched("Socket", Framed(for_ever(jpegs(160, 96, 60)))),
        ]
        for watch in short:
            notices(watch, SourceReason.FROZEN, "repeated itself")
        for watch in longer:
            goes_on(watch, 130)


@pytest.mark.parametrize(
    ("width", "height"), [(0, 0), (0, 96), (160, 0), (8000, 96), (160, 8000), (65535, 65535), (4, 4)]
)
def test_frames_of_impossible_size(width: int, height: int) -> None:
    encoded = with_size(JPEG, width, height)
    with Framed(for_ever([encoded])) as camera, watching("Socket", camera.url) as watch:
        reports(watch, SourceReason.PICTURE_SIZE_UNSUPPORTED, f"{width}x{height}", "choose another resolution")


@pytest.mark.parametrize(("width", "height"), [(0, 96), (8000, 96)])
def test_an_mjpeg_stream_of_impossible_size(width: int, height: int) -> None:
    encoded = with_size(JPEG, width, height)
    with Mjpeg(for_ever([encoded])) as camera, watching("HTTPMJPEG", camera.url) as watch:
        reports(watch, SourceReason.PICTURE_SIZE_UNSUPPORTED)


def test_a_video_of_8000_pixels(tmp_path: Path) -> None:
    path = write_video(tmp_path / "wide.mp4", 8000, 64, 5)
    with watching("File", f"file://{path}") as watch:
        reports(watch, SourceReason.PICTURE_SIZE_UNSUPPORTED, "8000x64")
    units = h264(8000, 64, 25)
    with Rtsp(lambda: units, silent_after=True) as camera, watching("RTSP", camera.url) as watch:
        reports(watch, SourceReason.PICTURE_SIZE_UNSUPPORTED, "8000x64")


def damaged(units: list[list[bytes]], share: float) -> Iterator[list[bytes]]:
    dice = random.Random(3)  # noqa: S311 - the same damage every time
    for n, unit in enumerate(units):
        if n < 10 or dice.random() > share:
            yield unit
        else:
            yield [nal[:1] + bytes(dice.randrange(256) for _ in nal[1:]) for nal in unit]


def test_corrupt_packets_are_counted_and_survived() -> None:
    units = h264(320, 192, 150)
    with Rtsp(lambda: damaged(units, 0.2), silent_after=True) as camera, watching("RTSP", camera.url) as watch:
        wait_until(lambda: (watch.sampler.corrupt and len(watch.sizes) > 30) or watch.errors, 20, "damage is counted")
        assert not watch.errors
    messages = jpegs(160, 96, 30)
    broken = [m[: len(m) // 3] if n % 3 == 0 else m for n, m in enumerate(messages)]
    with Framed(for_ever(broken)) as framed, watching("Socket", framed.url) as watch:
        wait_until(lambda: len(watch.sizes) > 10, 20, "frames come between damaged ones")
        assert not watch.errors


def test_nothing_but_corrupt_packets() -> None:
    cut = JPEG[: JPEG.index(b"\xff\xc0") + 19]
    with Framed(for_ever([cut])) as camera, watching("Socket", camera.url) as watch:
        reports(watch, SourceReason.CORRUPT)


def test_five_changes_of_resolution() -> None:
    sizes = [(320, 192), (640, 352), (160, 96), (480, 272), (640, 352), (320, 192)]
    units = [unit for n, size in enumerate(sizes) for unit in h264(*size, count=15, seed=n)]
    with Rtsp(lambda: units, silent_after=True) as camera, watching("RTSP", camera.url) as watch:
        wait_until(lambda: (watch.sizes[-1:] == [sizes[-1]] and len(watch.sizes) > 75) or watch.errors, 20, "the last")
        seen = [size for n, size in enumerate(watch.sizes) if n == 0 or watch.sizes[n - 1] != size]
        assert seen == sizes
        assert not watch.errors
    messages = [jpegs(*size, count=6) for size in sizes]
    flat = [message for group in messages for message in group]
    with Framed(for_ever(flat)) as framed, watching("Socket", framed.url) as watch:
        wait_until(lambda: len(watch.sizes) > 40, 20, "frames of all sizes")
        assert set(watch.sizes) == set(sizes)
