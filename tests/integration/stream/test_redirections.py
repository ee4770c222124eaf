"""Redirections of a camera, and addresses inside what it sends, lead nowhere that its own address does not allow."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.integration.stream.cameras import Rtsp, WebSocketCamera, for_ever
from tests.integration.stream.clips import h264, jpegs, write_video
from tests.integration.stream.watching import Watch, watching
from tests.integration.stream.web_cameras import Request, Snapshots, answer
from tests.support.waiting import wait_until
from websockets.datastructures import Headers
from websockets.http11 import Response

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture import container

pytestmark = pytest.mark.integration

IMAGES = jpegs(160, 96, 10)
UNITS = h264(160, 96, 100)


@pytest.fixture(autouse=True)
def _short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg is held for so long at a redirection that it may not follow."""
    monkeypatch.setattr(container, "OPEN_DEADLINE_S", 1.5)


class ElsewhereRtsp(Rtsp):
    host = "127.0.0.2"


class ElsewhereWeb(Snapshots):
    host = "127.0.0.2"


def refuses(watch: Watch, *words: str) -> None:
    wait_until(lambda: watch.errors or watch.sizes, 20, "the redirection is reported")
    assert watch.reasons == [SourceReason.REFUSED]
    for word in words:
        assert word in str(watch.errors[0])


def plays(watch: Watch) -> None:
    wait_until(lambda: watch.errors or watch.sizes, 20, "the redirection is followed")
    assert not watch.errors


def to(target: str) -> Callable[[Request, int], bytes | None]:
    return lambda *_: answer("302 Found", f"Location: {target}\r\n")


def web_socket_to(target: str) -> WebSocketCamera:
    response = Response(302, "Found", Headers({"Location": target, "Content-Length": "0"}))
    return WebSocketCamera(for_ever(IMAGES), process_request=lambda *_: response)


def test_redirections_on_the_same_host_are_followed(tmp_path: Path) -> None:
    """Another port of it gets no password over HTTP."""
    (tmp_path / "username").write_text("me")
    (tmp_path / "password").write_text("secret")
    secret: dict[str, Any] = {"credentials": tmp_path, "credentialsSecretRef": {"name": "s"}}
    with Snapshots(IMAGES) as web, Snapshots(IMAGES, respond=to(f"http://127.0.0.1:{web.port}/x")) as first:
        with watching("HTTPMJPEG", first.url, **secret) as watch:
            plays(watch)
        assert not any("authorization" in request.headers for request in web.requests)
    with Rtsp(lambda: UNITS) as rtsp, Rtsp(list, redirects_to=rtsp.url) as first_rtsp:
        named = first_rtsp.url.replace("127.0.0.1", "localhost")
        with watching("RTSP", named) as watch:
            plays(watch)
    with WebSocketCamera(for_ever(IMAGES)) as socket:
        first_socket = web_socket_to(socket.url)
        with first_socket, watching("WebSocket", first_socket.url) as watch:
            plays(watch)


def test_redirections_into_a_private_network_are_not_followed() -> None:
    """Nothing is requested there."""
    private = "redirects to 127.0.0.2, which is no address of the public internet", "as source.url"
    with ExitStack() as stack:
        web, rtsp = stack.enter_context(ElsewhereWeb(IMAGES)), stack.enter_context(ElsewhereRtsp(lambda: UNITS))
        elsewhere = f"127.0.0.2:{web.port}/x"
        first_web = stack.enter_context(Snapshots(IMAGES, respond=to(f"http://{elsewhere}")))
        first_rtsp = stack.enter_context(Rtsp(list, redirects_to=rtsp.url))
        first_socket = stack.enter_context(web_socket_to(f"ws://{elsewhere}"))
        for kind, url in (("HTTPMJPEG", first_web.url), ("RTSP", first_rtsp.url), ("WebSocket", first_socket.url)):
            with watching(kind, url) as watch:
                refuses(watch, *private)
        assert web.requests == []
        assert rtsp.requests == []


def test_redirections_to_another_scheme_are_not_followed() -> None:
    with Snapshots(IMAGES, respond=to("file:///etc/hostname")) as web, watching("HTTPMJPEG", web.url) as watch:
        refuses(watch, "redirects to an address that is not http://")
    with Snapshots(IMAGES) as web, Rtsp(list, redirects_to=web.url) as rtsp:
        with watching("RTSP", rtsp.url) as watch:
            refuses(watch, "leads to an address of the protocol http, which is not followed")
        assert web.requests == []
    with web_socket_to("http://127.0.0.1/login") as socket, watching("WebSocket", socket.url) as watch:
        refuses(watch, "redirects to an address that is not ws://")


def test_redirections_end() -> None:
    rtsp, web, words = Rtsp(list), Snapshots(IMAGES, respond=to("/snap.jpg")), "redirects more than 10 times"
    rtsp.redirects_to = rtsp.url
    with rtsp, watching("RTSP", rtsp.url) as watch:
        refuses(watch, words)
        assert rtsp.requests.count("DESCRIBE") == 11
    with web, watching("HTTPMJPEG", web.url) as watch:
        refuses(watch, words)


def served(body: bytes, kind: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=c\r\nt=0 0\r\nm=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{}\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param(HLS, "application/vnd.apple.mpegurl", id="HLS"),
        pytest.param(HLS, "video/mp2t", id="HLS as another type"),
        pytest.param("ffconcat version 1.0\nfile {}\n", "video/mp4", id="concat"),
        pytest.param(SDP, "video/mp4", id="SDP"),
    ],
)
def test_what_leads_to_other_addresses_is_not_read(text: str, kind: str) -> None:
    with Snapshots(IMAGES) as elsewhere:
        body = served(text.format(f"http://127.0.0.1:{elsewhere.port}/clip.ts").encode(), kind)
        with Snapshots(IMAGES, respond=lambda *_: body) as camera, watching("HTTPMJPEG", camera.url) as watch:
            wait_until(lambda: watch.errors or watch.sizes, 20, "it is refused")
            assert watch.reasons == [SourceReason.NOT_A_VIDEO]
            assert "sends a playlist (HLS or DASH)" in str(watch.errors[0])
        assert elsewhere.requests == []


def test_ffmpeg_follows_no_redirection_over_http(tmp_path: Path) -> None:
    """Redirections were followed before it is asked; a second response may differ from the first."""
    clip = tmp_path / "clip.ts"
    write_video(clip, 160, 96, 50)
    with ElsewhereWeb(IMAGES) as elsewhere:
        redirect = answer("302 Found", f"Location: http://127.0.0.2:{elsewhere.port}/x\r\n")
        video = served(clip.read_bytes(), "video/mp2t")
        camera = Snapshots(IMAGES, respond=lambda _, number: redirect if number % 2 else video)
        with camera, watching("HTTPMJPEG", camera.url) as watch:
            wait_until(lambda: watch.errors or watch.sizes, 20, "it is refused")
        assert elsewhere.requests == []
