"""Refusals of a camera are named with their status and what to do."""

import pytest
from tests.integration.stream.cameras import Rtsp
from tests.integration.stream.clips import h264
from tests.integration.stream.watching import watching
from tests.support.waiting import wait_until

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture.refusals import RtspRefusal, rtsp_refused

pytestmark = pytest.mark.integration

REFUSED, UNAUTHORIZED, NOT_FOUND = SourceReason.REFUSED, SourceReason.UNAUTHORIZED, SourceReason.NOT_FOUND
REFUSALS = [
    ("SETUP", "400 Bad Request", REFUSED, "status 400: it does not accept the request; check the path"),
    ("DESCRIBE", "401 Unauthorized", UNAUTHORIZED, "name a Secret in spec.source.credentialsSecretRef"),
    ("PLAY", "403 Forbidden", UNAUTHORIZED, "name a Secret in spec.source.credentialsSecretRef"),
    ("OPTIONS", "404 Not Found", NOT_FOUND, "check the path in source.url"),
    ("DESCRIBE", "453 Not Enough Bandwidth", REFUSED, "DESCRIBE with RTSP status 453: it has no bandwidth or session"),
    ("SETUP", "453 Not Enough Bandwidth", REFUSED, "close other viewers"),
    ("PLAY", "454 Session Not Found", REFUSED, "PLAY with RTSP status 454: it has lost the session"),
    (
        "PLAY",
        "455 Method Not Valid in This State",
        REFUSED,
        "status 455: it is in no state for it; close other viewers",
    ),
    ("SETUP", "461 Unsupported Transport", REFUSED, "does not send over TCP; set source.transport to UDP"),
    ("PLAY", "461 Unsupported Transport", REFUSED, "does not send over TCP; set source.transport to UDP"),
    ("DESCRIBE", "503 Service Unavailable", REFUSED, "status 503: it is overloaded or still starting"),
    ("OPTIONS", "551 Option not supported", REFUSED, "status 551: it does not support an option"),
    ("SETUP", "499 Whatever", REFUSED, "status 499: check source.type and url, and the log of the camera"),
]


@pytest.mark.parametrize(("method", "status", "reason", "words"), REFUSALS)
def test_refusals(method: str, status: str, reason: SourceReason, words: str) -> None:
    with Rtsp(lambda: h264(160, 96, 5), refuses={method: status}) as camera, watching("RTSP", camera.url) as watch:
        wait_until(lambda: watch.errors, 10, "the refusal is reported")
        assert words in str(watch.errors[0])
        assert watch.errors[0].reason is reason


def test_refusals_of_udp() -> None:
    camera = Rtsp(lambda: h264(160, 96, 5), refuses={"SETUP": "461 Unsupported Transport"})
    with camera, watching("RTSP", camera.url, transport="UDP") as watch:
        wait_until(lambda: watch.errors, 10, "the refusal is reported")
        assert "set source.transport to TCP" in str(watch.errors[0])
        wait_until(lambda: len(watch.errors) >= 2, 10, "the next attempt is refused, too")
        assert str(watch.errors[1]) == str(watch.errors[0])


def test_every_refusal_has_a_remedy() -> None:
    for status in range(400, 600):
        error = rtsp_refused(RtspRefusal("SETUP", status), "rtsp://c/1", over_udp=False, has_credentials=True)
        assert any(word in str(error) for word in ("check", "close", "set ", "take", "restart")), status


def test_a_camera_that_is_silent_over_udp() -> None:
    camera = Rtsp(list, silent_after=True)
    with camera, watching("RTSP", camera.url, transport="UDP") as watch:
        wait_until(lambda: watch.errors, 20, "the silence is reported")
        assert watch.errors[0].reason is SourceReason.STOPPED
        assert "firewall" in str(watch.errors[0])
        assert "set source.transport to TCP" in str(watch.errors[0])
