"""Snapshots and MJPEG over HTTP, as webcam boards really send them."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.stream.cameras import Mjpeg, for_ever
from tests.integration.stream.clips import FPS, encoded, images, jpegs
from tests.integration.stream.watching import Watch, watching
from tests.integration.stream.web_cameras import Raw, Request, Snapshots, answer, digest_is_right
from tests.support.waiting import wait_until

from vigil_contracts.conditions import SourceReason

pytestmark = pytest.mark.integration

IMAGES = jpegs(160, 96, 20)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n"
PART = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"


def delivers(watch: Watch, count: int = 8) -> None:
    wait_until(lambda: len(watch.sizes) >= count or watch.errors, 20, "frames come")
    assert not watch.errors, watch.errors
    assert set(watch.sizes) == {(160, 96)}


@pytest.mark.parametrize("keep", [True, False])
def test_snapshot_url(keep: bool) -> None:
    """A snapshot address is requested at the sampling rate, over one connection where the camera keeps it."""
    with Snapshots(IMAGES, keep=keep) as camera, watching("HTTPMJPEG", camera.url, fps=10) as watch:
        delivers(watch)
        assert len(watch.infos) == 1
        assert camera.connections == (1 if keep else len(camera.requests))


def length(image: bytes, declared: int | None) -> bytes:
    head = b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n"
    return head + (f"Content-Length: {declared}\r\n".encode() if declared is not None else b"") + b"\r\n" + image


@pytest.mark.parametrize(
    ("name", "response", "keep"),
    [
        ("length too large", length(IMAGES[0], len(IMAGES[0]) + 7), True),
        ("length too large, then closed", length(IMAGES[0], len(IMAGES[0]) + 7), False),
        ("no length", length(IMAGES[0], None), False),
        ("closed without notice", length(IMAGES[0], len(IMAGES[0])).replace(b"HTTP/1.0", b"HTTP/1.1"), False),
        ("padding", length(IMAGES[0] + bytes(600), len(IMAGES[0]) + 600), True),
        ("without its end marker", length(IMAGES[0][:-2], len(IMAGES[0]) - 2), True),
        ("octet stream", length(IMAGES[0], len(IMAGES[0])).replace(b"image/jpeg", b"application/octet-stream"), True),
        ("in one multipart", HEAD + PART + IMAGES[0] + b"\r\n--frame--\r\n", False),
        ("bare line feeds", length(IMAGES[0], len(IMAGES[0])).replace(b"\r\n", b"\n", 4), True),
    ],
)
def test_snapshot_url_of_a_careless_camera(name: str, response: bytes, keep: bool) -> None:
    camera = Snapshots(IMAGES, keep=keep, respond=lambda *_: response)
    with camera, watching("HTTPMJPEG", camera.url, fps=10) as watch:
        wait_until(lambda: len(watch.sizes) >= 4 or watch.errors, 20, name)
        assert not watch.errors
        assert len(watch.infos) == 1


def test_snapshot_url_that_answers_not_modified() -> None:
    """The frame before is analysed again, so that those who stand still stay in view."""

    def respond(request: Request, number: int) -> bytes | None:
        if number and request.headers.get("if-none-match") == '"1"':
            return answer("304 Not Modified")
        return camera.image(0, 'ETag: "1"\r\n')

    camera = Snapshots(IMAGES, respond=respond)
    with camera, watching("HTTPMJPEG", camera.url, fps=10) as watch:
        delivers(watch)
        assert camera.connections == 1
        wait_until(lambda: (SourceReason.FROZEN in dict(watch.notices)) or watch.errors, 20, "it is reported as frozen")
        assert not watch.errors


def test_sha256_digest_over_http(tmp_path: Path) -> None:
    (tmp_path / "username").write_text("me")
    (tmp_path / "password").write_text('p@ss:w/"rd')
    nonces = [f"n{number}" for number in range(100)]

    def respond(request: Request, number: int) -> bytes | None:
        nonce = nonces[number // 7]  # a nonce goes stale after some requests
        if digest_is_right(request, "me", 'p@ss:w/"rd', nonce):
            return None
        challenge = f'Digest realm="cam", qop="auth", nonce="{nonce}", algorithm=SHA-256, stale=true'
        challenges = ('Digest realm="cam", nonce="x", algorithm=UNKNOWN', 'Basic realm="cam"', challenge)
        return answer("401 Unauthorized", "".join(f"WWW-Authenticate: {one}\r\n" for one in challenges))

    camera, secret = Snapshots(IMAGES, respond=respond), {"name": "s"}
    with camera, watching("HTTPMJPEG", camera.url, fps=10, credentials=tmp_path, credentialsSecretRef=secret) as watch:
        delivers(watch, 12)
        assert not any("Basic" in request.headers.get("authorization", "") for request in camera.requests)


REFUSALS = [
    ("401 Unauthorized", SourceReason.UNAUTHORIZED, "name a Secret in spec.source.credentialsSecretRef"),
    ("403 Forbidden", SourceReason.UNAUTHORIZED, "name a Secret in spec.source.credentialsSecretRef"),
    ("404 Not Found", SourceReason.NOT_FOUND, "check the path in source.url"),
    ("429 Too Many Requests", SourceReason.REFUSED, "status 429: it has had too many requests; lower sampling.fps"),
    ("503 Service Unavailable", SourceReason.REFUSED, "status 503: it is overloaded or still starting"),
    ("500 Internal Server Error", SourceReason.REFUSED, "status 500: it has an error of its own"),
    ("418 I'm a teapot", SourceReason.REFUSED, "status 418: check source.type and url"),
]


@pytest.mark.parametrize(("status", "reason", "words"), REFUSALS)
@pytest.mark.parametrize("first", [0, 3])
def test_refusals_over_http(status: str, reason: SourceReason, words: str, first: int) -> None:
    """At once, and in the middle; there, a camera that is asked too often is asked less often first."""
    camera = Snapshots(IMAGES, respond=lambda _, number: answer(status) if number >= first else None)
    with camera, watching("HTTPMJPEG", camera.url, fps=10) as watch:
        wait_until(lambda: watch.errors, 20, "the refusal is reported")
        assert words in str(watch.errors[0])
        assert watch.errors[0].reason is reason
        assert len(watch.sizes) <= first


def test_a_camera_that_is_asked_too_often_is_asked_less_often() -> None:
    camera = Snapshots(IMAGES, respond=lambda _, number: answer("429 Too Many Requests") if number == 3 else None)
    with camera, watching("HTTPMJPEG", camera.url, fps=10) as watch:
        delivers(watch, 6)
        assert len(watch.infos) == 1


def parts(before: bytes, *, first: bytes | None = None) -> Iterator[bytes]:
    for number, image in enumerate(itertools.cycle(IMAGES)):
        yield (first if first is not None and not number else before) + image + b"\r\n"


def chunked() -> Iterator[bytes]:
    yield HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in parts(PART):
        for half in (piece[:500], piece[500:]):
            yield f"{len(half):x}\r\n".encode() + half + b"\r\n"


def streamed(head: bytes, before: bytes = PART, first: bytes | None = None) -> Iterator[bytes]:
    yield head
    yield from parts(before, first=first)


STREAMS = {
    "the first part without a boundary": lambda: streamed(HEAD, first=PART.removeprefix(b"--frame\r\n")),
    "boundary with dashes": lambda: streamed(HEAD.replace(b"=frame", b"=--frame")),
    "boundary in quotes": lambda: streamed(HEAD.replace(b"=frame", b'="frame"')),
    "no boundary parameter": lambda: streamed(HEAD.replace(b";boundary=frame", b"")),
    "no media type": lambda: streamed(b"HTTP/1.0 200 OK\r\n\r\n"),
    "a wrong media type": lambda: streamed(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"),
    "length wrong": lambda: streamed(HEAD, PART[:-2] + b"Content-Length: 7\r\n\r\n"),
    "parts without headers": lambda: streamed(HEAD, b"--frame\r\n\r\n"),
    "line feeds only": lambda: streamed(HEAD.replace(b"\r\n", b"\n"), PART.replace(b"\r\n", b"\n")),
    "nothing but JPEGs": lambda: streamed(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n", b""),
    "chunks": chunked,
}


@pytest.mark.parametrize("name", STREAMS)
def test_mjpeg_first_part(name: str) -> None:
    with Raw(STREAMS[name]) as camera, watching("HTTPMJPEG", camera.url) as watch:
        delivers(watch)
        assert camera.connections == 1


@pytest.mark.parametrize(
    ("name", "head", "words"),
    [
        ("a page", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>" + b" " * 9000, "responds with a page"),
        ("another image", b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n", "sends image/png; set the camera to"),
        ("no HTTP", b"RTSP/1.0 400 Bad Request\r\n\r\n", "does not answer in HTTP"),
        ("no JPEG", HEAD + bytes(2 << 20), "without a JPEG in it"),
        ("no JPEG, and silence", HEAD.replace(b"/x-", b"/y-") + bytes(5000), "sends multipart/y-mixed-replace without"),
    ],
)
def test_what_is_no_jpeg_is_named(name: str, head: bytes, words: str) -> None:
    with Raw(lambda: iter([head]), name.endswith("silence")) as camera, watching("HTTPMJPEG", camera.url) as watch:
        wait_until(lambda: watch.errors, 20, name)
        assert watch.errors[0].reason is SourceReason.NOT_A_VIDEO
        assert words in str(watch.errors[0])


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Snapshots(IMAGES) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        with watching("HTTPMJPEG", "http://camera.invalid:8080/snap.jpg?a=1", fps=10) as watch:
            delivers(watch)
        assert {request.target for request in proxy.requests} == {"http://camera.invalid:8080/snap.jpg?a=1"}
        assert proxy.requests[0].headers["host"] == "camera.invalid:8080"


def test_a_huge_part_is_given_up() -> None:
    begun = [HEAD, PART, IMAGES[0][:-2]]
    camera = Raw(lambda: itertools.chain(begun, itertools.repeat(bytes(4 << 20))))
    with camera, watching("HTTPMJPEG", camera.url) as watch:
        wait_until(lambda: watch.errors, 20, "it is reported")
        assert not watch.sizes


def test_other_video_over_http_is_for_ffmpeg() -> None:
    """FFmpeg reads what it recognises, such as a raw H.264 stream."""
    units = encoded(list(images(160, 96, 3 * FPS)), keyframes_every=FPS)
    stream = [b"".join(b"\0\0\0\1" + nal for nal in unit) for unit in units]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/h264\r\n\r\n"
    camera = Raw(lambda: itertools.chain([head], itertools.cycle(stream)))
    with camera, watching("HTTPMJPEG", camera.url) as watch:
        delivers(watch)
        assert watch.infos[0].codec == "h264"


def test_mjpeg_breaks_off() -> None:
    camera = Mjpeg(lambda: itertools.islice(for_ever(IMAGES)(), 5))
    with camera, watching("HTTPMJPEG", camera.url) as watch:
        wait_until(lambda: watch.errors, 20, "the end is reported")
        assert watch.errors[0].reason is SourceReason.STOPPED
        assert "ended the stream" in str(watch.errors[0])
