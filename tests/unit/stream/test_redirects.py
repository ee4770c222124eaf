"""Where a camera may redirect to."""

import pytest

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture import names, redirects
from vigil_stream.capture.errors import SourceError

ADDRESSES = {
    "cam.lan": ["10.0.0.5"],
    "10.0.0.5": ["10.0.0.5"],
    "10.0.0.6": ["10.0.0.6"],
    "media.example": ["93.184.215.14"],
    "both.example": ["93.184.215.14", "169.254.169.254"],
    "::1": ["::1"],
    "fe80::1%eth0": ["fe80::1%2"],
    "8.8.8.8": ["8.8.8.8"],
}
PRIVATE, SCHEME = "which is no address of the public internet", "to an address that is not"


@pytest.fixture(autouse=True)
def _resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    def addresses(host: str, deadline_s: float) -> tuple[list[str], str]:
        assert deadline_s == 1.0
        return ADDRESSES.get(host, []), "" if host in ADDRESSES else "unknown"

    monkeypatch.setattr(names, "addresses", addresses)


@pytest.mark.parametrize(
    ("origin", "target", "words"),
    [
        ("rtsp://cam.lan/1", "rtsp://cam.lan:8554/2", None),
        ("rtsp://cam.lan/1", "rtsp://CAM.LAN/2", None),
        ("rtsp://user:pw@cam.lan/1", "rtsp://10.0.0.5/2", None),  # by its own address
        ("rtsp://cam.lan/1", "rtsps://cam.lan/2", None),
        ("http://cam.lan/1", "https://cam.lan/2", None),
        ("ws://cam.lan/1", "wss://cam.lan/2", None),
        ("rtsp://cam.lan/1", "rtsp://media.example/2", None),
        ("http://8.8.8.8/1", "http://nowhere.example/2", None),  # it cannot be reached anyway
        ("rtsps://cam.lan/1", "rtsp://cam.lan/2", SCHEME),
        ("https://cam.lan/1", "http://cam.lan/2", SCHEME),
        ("rtsp://cam.lan/1", "http://cam.lan/2", SCHEME),
        ("http://cam.lan/1", "file:///etc/passwd", SCHEME),
        ("rtsp://cam.lan/1", "", SCHEME),
        ("rtsp://cam.lan/1", "rtsp://10.0.0.6/2", f"to 10.0.0.6, {PRIVATE}"),
        ("http://8.8.8.8/1", "http://[::1]/2", f"to ::1, {PRIVATE}"),
        ("http://8.8.8.8/1", "http://[fe80::1%eth0]/2", f"to another host, {PRIVATE}"),
        ("http://8.8.8.8/1", "http://both.example/2", f"to both.example, {PRIVATE}"),
        ("http://8.8.8.8/1", "http://[nonsense/2", "to what is not an address"),
    ],
)
def test_redirections(origin: str, target: str, words: str | None) -> None:
    if words is None:
        redirects.check(origin, target, "shown", 1.0)
        return
    with pytest.raises(SourceError) as caught:
        redirects.check(origin, target, "shown", 1.0)
    assert words in str(caught.value)
    assert caught.value.reason is SourceReason.REFUSED


def test_a_login_stays_on_its_host() -> None:
    redirects.check("rtsp://cam.lan/1", "rtsp://10.0.0.5/2", "shown", 1.0, with_login=True)
    with pytest.raises(SourceError, match=r"to media\.example, which is not to get its login"):
        redirects.check("rtsp://cam.lan/1", "rtsp://media.example/2", "shown", 1.0, with_login=True)
