"""Photos fetched from a real https server: whole, bounded, and never from where nobody allowed it."""

import ipaddress
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.support.kubernetes.certificates import Authority

from vigil_runtime import photos
from vigil_runtime.photos import Downloader, DownloadError

PHOTO = bytes(range(256)) * 40
LIMIT = 64 * 1024
LOOPBACK = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    seen: list[str] = []

    def do_GET(self) -> None:
        self.seen.append(f"{self.headers['Host']}{self.path}")
        getattr(self, f"_{self.path.strip('/').partition('?')[0]}", self._nothing)()

    def _photo(self) -> None:
        self._answer(200, PHOTO)

    def _large(self) -> None:
        self._answer(200, b"x" * (LIMIT + 1))

    def _moved(self) -> None:
        self._answer(302, b"", Location="/photo")

    def _circle(self) -> None:
        self._answer(302, b"", Location="/circle")

    def _inside(self) -> None:
        self._answer(302, b"", Location="https://169.254.169.254/latest/meta-data")

    def _plain(self) -> None:
        self._answer(302, b"", Location="http://localhost/photo")

    def _hangs(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.flush()
        self.server.stop.wait(30)  # type: ignore[attr-defined]

    def _talks(self) -> None:
        self.send_response(403, "the-admin-password-is-tulip")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _noise(self) -> None:
        self.wfile.write(b"220 the-mail-server-says-tulip\r\n\r\n")
        self.close_connection = True

    def _nothing(self) -> None:
        self._answer(404, b"nothing here")

    def _answer(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("pki"), ["DNS:localhost"])
    made.certify("server", "photos")
    return made


@pytest.fixture
def server(authority: Authority) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / "server.crt", authority.folder / "server.key")
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.socket = context.wrap_socket(made.socket, server_side=True)
    made.stop = threading.Event()  # type: ignore[attr-defined]
    Handler.seen.clear()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"https://localhost:{made.server_port}"
    made.stop.set()  # type: ignore[attr-defined]
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
async def downloader(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Downloader]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    made = Downloader(LOOPBACK, max_bytes=LIMIT)
    yield made
    await made.close()


@pytest.mark.parametrize("path", ["/photo", "/moved", "/photo?key=secret"])
async def test_a_photo_is_fetched_whole(server: str, downloader: Downloader, path: str) -> None:
    assert await downloader.fetch(server + path) == PHOTO
    assert Handler.seen[0] == f"{server.removeprefix('https://')}{path}"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/large", "more than 65536 bytes"),
        ("/nowhere?key=secret", "responded 404"),
        ("/circle", "more than 3 redirects"),
        ("/inside", "169.254.169.254, which is no address of the public internet"),
        ("/plain", "only https://"),
    ],
)
async def test_what_is_not_a_photo_is_refused_with_the_reason(
    server: str, downloader: Downloader, path: str, said: str
) -> None:
    with pytest.raises(DownloadError, match=said) as raised:
        await downloader.fetch(server + path)
    assert raised.value.too_large is (path == "/large")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(("path", "said"), [("/talks", "responded 403"), ("/noise", "RemoteProtocolError")])
async def test_no_word_of_the_servers_own_is_told(server: str, downloader: Downloader, path: str, said: str) -> None:
    with pytest.raises(DownloadError, match=said) as raised:
        await downloader.fetch(server + path)
    assert "tulip" not in str(raised.value)


async def test_no_more_is_read_than_is_asked_for(server: str, downloader: Downloader) -> None:
    assert await downloader.fetch(f"{server}/photo", len(PHOTO)) == PHOTO
    with pytest.raises(DownloadError, match=f"more than {len(PHOTO) - 1} bytes") as raised:
        await downloader.fetch(f"{server}/photo", len(PHOTO) - 1)
    assert raised.value.too_large


async def test_a_server_that_hangs_is_left(
    server: str, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos, "DEADLINE_S", 0.5)
    with pytest.raises(DownloadError, match="did not respond in full"):
        await downloader.fetch(f"{server}/hangs")


async def test_without_leave_a_private_server_is_not_even_asked(server: str) -> None:
    stranger = Downloader()
    with pytest.raises(DownloadError, match="VIGIL_PHOTO_NETWORKS"):
        await stranger.fetch(f"{server}/photo")
    await stranger.close()
    assert Handler.seen == []


async def test_a_certificate_of_another_name_or_authority_is_refused(server: str) -> None:
    trusting_nobody = Downloader(LOOPBACK)
    with pytest.raises(DownloadError, match="cannot be fetched"):
        await trusting_nobody.fetch(f"{server}/photo")
    await trusting_nobody.close()
    assert Handler.seen == []


async def test_a_certificate_is_checked_against_the_host_name(server: str, downloader: Downloader) -> None:
    """The certificate is compared with the name of the host, not with the address that it resolved to."""
    with pytest.raises(DownloadError, match="cannot be fetched"):
        await downloader.fetch(server.replace("localhost", "127.0.0.1") + "/photo")
