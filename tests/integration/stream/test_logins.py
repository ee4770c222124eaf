"""Logins: one that a camera refuses is not repeated so often that it locks the account; every kind is named."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.stream.cameras import Mjpeg, Rtsp, WebSocketCamera, for_ever
from tests.integration.stream.clips import h264, jpegs
from tests.integration.stream.watching import watching
from tests.integration.stream.web_cameras import Request, Snapshots, answer, digest_is_right
from tests.support.waiting import wait_until
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response
from websockets.sync.server import ServerConnection

from vigil_contracts.conditions import SourceReason

pytestmark = pytest.mark.integration

SECRET = {"name": "s"}
IMAGES = jpegs(160, 96, 10)
UNITS = h264(160, 96, 100)
BASIC, DIGEST = 'Basic realm="cam"', 'Digest realm="cam", nonce="1"'
CAMERAS: dict[str, tuple[str, Callable[[], Rtsp | Mjpeg | WebSocketCamera]]] = {
    "RTSP, Basic": ("RTSP", lambda: Rtsp(lambda: UNITS, password="right")),
    "RTSP, Digest": ("RTSP", lambda: Rtsp(lambda: UNITS, password="right", challenges=[DIGEST, BASIC])),
    "HTTP": ("HTTPMJPEG", lambda: Mjpeg(for_ever(IMAGES), password="right")),
    "WebSocket": ("WebSocket", lambda: WebSocketCamera(for_ever(IMAGES), "right")),
}


def write_login(folder: Path, password: str) -> None:
    (folder / "username").write_text("user")
    (folder / "password").write_text(password)


@pytest.mark.parametrize("name", CAMERAS)
def test_account_lockout(tmp_path: Path, name: str) -> None:
    """Case account-lockout: a refused login is sent once and then waits; another one is tried at once."""
    write_login(tmp_path, "wrong")
    kind, make = CAMERAS[name]
    with make() as camera, watching(kind, camera.url, credentials=tmp_path, credentialsSecretRef=SECRET) as watch:
        wait_until(lambda: watch.errors, 10, "the refusal is reported")
        assert watch.reasons == [SourceReason.UNAUTHORIZED]
        assert 60 <= watch.waits_s[0] <= 120
        assert re.search(r"again at \d\d:\d\d UTC, or as soon as the Secret changes", str(watch.errors[0]))
        (tmp_path / "password").unlink()  # while the Secret is replaced
        write_login(tmp_path, "right")
        wait_until(lambda: watch.sizes or watch.errors[1:], 10, "the corrected login is tried")
        assert len(watch.errors) == 1
        assert camera.wrong_logins == 1


def test_a_wrong_login_in_a_query_waits_too() -> None:
    camera = Snapshots(IMAGES, respond=lambda *_: answer("401 Unauthorized"))
    with camera, watching("HTTPMJPEG", f"{camera.url}?user=me&password=wrong") as watch:
        wait_until(lambda: watch.errors, 10, "the refusal is reported")
        assert watch.waits_s[0] >= 60
        assert len(camera.requests) == 1


@pytest.mark.parametrize("stale", ["", ", stale=true"])
def test_a_camera_that_calls_every_nonce_stale(tmp_path: Path, stale: str) -> None:
    """It gets the login once more at most."""
    write_login(tmp_path, "wrong")

    def respond(_: Request, number: int) -> bytes:
        challenge = f'Digest realm="cam", qop="auth", nonce="{number}"{stale}'
        return answer("401 Unauthorized", f"WWW-Authenticate: {challenge}\r\n")

    camera = Snapshots(IMAGES, respond=respond)
    with camera, watching("HTTPMJPEG", camera.url, credentials=tmp_path, credentialsSecretRef=SECRET) as watch:
        wait_until(lambda: watch.errors, 10, "the refusal is reported")
        assert watch.reasons == [SourceReason.UNAUTHORIZED]
        assert len(camera.requests) == (3 if stale else 2)


MD5, SHA256 = 'Digest realm="cam", nonce="1", algorithm=MD5', 'Digest realm="cam", nonce="2", algorithm="SHA-256"'


@pytest.mark.parametrize(
    ("challenges", "supported"),
    [
        pytest.param([SHA256], False, id="SHA-256 alone"),
        pytest.param([SHA256.replace("256", "512-256")], False, id="SHA-512-256 alone"),
        pytest.param([SHA256, BASIC], False, id="SHA-256 and Basic"),
        pytest.param([MD5, SHA256], False, id="SHA-256 last"),
        pytest.param([SHA256, MD5], True, id="MD5 last"),
        pytest.param([BASIC, MD5], True, id="MD5 and Basic"),
    ],
)
def test_sha256_digest(tmp_path: Path, challenges: list[str], supported: bool) -> None:
    """Case sha256-digest: what FFmpeg cannot answer is named, and is no wrong password."""
    write_login(tmp_path, "right")
    camera = Rtsp(lambda: UNITS, password="right", challenges=challenges)
    with camera, watching("RTSP", camera.url, credentials=tmp_path, credentialsSecretRef=SECRET) as watch:
        wait_until(lambda: watch.sizes or watch.errors, 10, "it plays, or the challenge is reported")
        assert bool(watch.sizes) == supported
        assert camera.wrong_logins == 0
        if not supported:
            assert watch.reasons == [SourceReason.LOGIN_UNSUPPORTED]
            assert "set the camera's RTSP authentication to Digest with MD5 alone" in str(watch.errors[0])
            assert watch.waits_s[0] <= 1, "the camera may be set right at any time"


def test_sha256_digest_of_a_web_socket(tmp_path: Path) -> None:
    write_login(tmp_path, "right")

    def challenge(connection: ServerConnection, asked: HttpRequest) -> Response | None:
        headers = {name.lower(): value for name, value in asked.headers.raw_items()}
        if digest_is_right(Request(asked.path, headers, 1), "user", "right", "7"):
            return None
        refusal = connection.respond(401, "")
        refusal.headers["WWW-Authenticate"] = 'Digest realm="cam", qop="auth", nonce="7", algorithm=SHA-256'
        return refusal

    camera = WebSocketCamera(for_ever(IMAGES), process_request=challenge)
    with camera, watching("WebSocket", camera.url, credentials=tmp_path, credentialsSecretRef=SECRET) as watch:
        wait_until(lambda: watch.sizes or watch.errors, 10, "it plays")
        assert not watch.errors
