"""Sources that send JPEGs one by one: WebSocket, and a plain TCP socket.

The socket's framing: for each JPEG its length as 4 bytes, big-endian, then that many bytes. The camera is
the server; nothing is sent to it.
"""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import av

from vigil_contracts.addresses import shown_address
from vigil_contracts.conditions import SourceReason
from vigil_stream.capture import errors, names, redirects, refusals
from vigil_stream.capture.credentials import Credentials
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.frozen import FrozenDetector
from vigil_stream.capture.http_auth import HttpAuth, basic
from vigil_stream.capture.jpeg import JpegDecoder, jpeg_fingerprint
from vigil_stream.capture.jpeg_scanner import MAX_JPEG_BYTES, JpegScanner
from vigil_stream.capture.liveness import Liveness
from vigil_stream.capture.source import OPEN_DEADLINE_S, RESPONSE_DEADLINE_S, Sampler, SourceInfo, Watchdog

if TYPE_CHECKING:
    # Loaded only by cameras of this type: 1 MiB.
    from websockets.sync.client import ClientConnection

_INFO = SourceInfo(None, None, "mjpeg", "CPU")

MAX_OTHERS = 50
"""Messages without a JPEG, one after the other, after which a WebSocket sends something else."""

_CLOSES = {
    1000: "it ended the stream; check whether the camera still runs",
    1001: "the camera restarts or goes away; Vigil connects again",
    1002: "it found a fault in the protocol; check source.type, and the camera's firmware",
    1003: "it does not take what was sent; check source.type and url",
    1008: "its rules forbid the connection; check url, credentialsSecretRef, and the camera's limit of viewers",
    1011: "it has an error of its own; restart the camera if this stays",
    1012: "it restarts; Vigil connects again",
    1013: "it is overloaded; close other viewers",
    1014: "the server before the camera does not reach it; check that server",
}
"""Remedies by the code of a closed WebSocket (RFC 6455, section 7.4, and its registry)."""


class WebSocketSource:
    """JPEGs in the binary messages of a WebSocket; its text messages are ignored.

    Parameters
    ----------
    url
        ws:// or wss://, without credentials.
    credentials
        The login is sent as Basic authentication, and as Digest where the camera asks for that.
    watchdog
        Armed before every call that may hang.
    liveness
        How long the camera may be silent.
    """

    def __init__(
        self, url: str, credentials: Credentials | None, watchdog: Watchdog, liveness: Liveness | None = None
    ) -> None:
        self._target = credentials.placed_in(url) if credentials is not None else url
        self._url = shown_address(url)
        self._has_credentials = credentials is not None
        self._login = credentials.login if credentials is not None else None
        self._watchdog = watchdog
        self._liveness = liveness or Liveness()
        self._decoder = JpegDecoder(self._url)
        self._scanner = JpegScanner()
        self._others, self._last_kind = 0, ""
        self._connection: ClientConnection | None = None
        self._closing = ExitStack()

    def open(self) -> SourceInfo:
        """Connect; see `Source.open`."""
        from websockets import exceptions

        self._watchdog.arm(f"resolving the host of {self._url}", OPEN_DEADLINE_S)
        names.resolve(self._target, OPEN_DEADLINE_S)
        self._watchdog.arm(f"opening {self._url}", 2 * OPEN_DEADLINE_S)
        try:
            self._connection = self._connected()
        except exceptions.InvalidStatus as error:
            raise _refused(error.response.status_code, self._url, has_credentials=self._has_credentials) from None
        except exceptions.SecurityError:
            raise redirects.for_ever(self._url) from None
        except exceptions.InvalidHandshake:
            message = f"{self._url} is not a WebSocket; check source.type and url"
            raise SourceError(SourceReason.NOT_A_VIDEO, message) from None
        except (OSError, ValueError, EOFError) as error:
            raise errors.while_opening(_as_connection_error(error), self._url, OPEN_DEADLINE_S) from None
        finally:
            self._watchdog.disarm()
        return _INFO

    def _connected(self) -> "ClientConnection":
        """Connect with Basic authentication; where the camera asks for Digest, again with that."""
        from websockets import exceptions

        try:
            return self._connect(basic(self._login) if self._login else None)
        except exceptions.InvalidStatus as error:
            response, auth = error.response, HttpAuth(self._login)
            parts = urlsplit(self._target)
            target = parts._replace(scheme="", netloc="", fragment="").geturl()
            if response.status_code == 401 and auth.challenge(response.headers.get_all("WWW-Authenticate")):
                authorization = auth.header("GET", target if target.startswith("/") else f"/{target}") or ""
                if authorization.startswith("Digest"):
                    return self._connect(authorization)
            raise

    def _connect(self, authorization: str | None) -> "ClientConnection":
        from websockets import exceptions
        from websockets.sync.client import reconnect

        class Connect(reconnect):
            def process_redirect(own, exc: Exception) -> Exception | str:  # noqa: N805 - `self` is the source
                if isinstance(exc, exceptions.InvalidStatus) and 300 <= exc.response.status_code < 400:
                    target = urljoin(own.uri, exc.response.headers.get("Location") or "")
                    redirects.check(own.uri, target, self._url, OPEN_DEADLINE_S)
                return super().process_redirect(exc)

        return self._closing.enter_context(
            Connect(
                self._target,
                additional_headers={"Authorization": authorization} if authorization else {},
                open_timeout=OPEN_DEADLINE_S,
                close_timeout=1,
                # A slow camera may leave pings unanswered; how long it may be silent is for `Liveness`.
                ping_timeout=None,
                max_size=MAX_JPEG_BYTES,
                max_queue=4,
                compression=None,
            )
        )

    def frames(self, sampler: Sampler, frozen: FrozenDetector | None = None) -> Iterator[av.VideoFrame]:
        """Yield the sampled frames; see `Source.frames`."""
        connection = self._connection
        if connection is None:
            msg = "frames() before open()"
            raise TypeError(msg)
        self._liveness.begin(time.monotonic())
        while True:
            message = self._message(connection)
            # One JPEG may come in several messages, and a message may hold more beside it.
            jpegs = list(self._scanner.feed(message)) if isinstance(message, bytes) else []
            self._others = 0 if jpegs or self._scanner.has_started else self._others + 1
            self._last_kind = "text" if isinstance(message, str) else "binary"
            if self._others >= MAX_OTHERS:
                raise self._no_jpegs()
            now = time.monotonic()
            for data in jpegs:
                self._liveness.receive(now)
                if frozen is not None:
                    frozen.add_encoded(jpeg_fingerprint(data), now)
                if sampler.offer(now) and (frame := self._decoder.decode(data, sampler)) is not None:
                    yield frame

    def _message(self, connection: "ClientConnection") -> str | bytes:
        from websockets import exceptions

        left_s = max(self._liveness.left_s(time.monotonic()), 0.0)
        self._watchdog.arm(f"reading {self._url}", left_s)
        try:
            return connection.recv(left_s)
        except exceptions.ConnectionClosed as error:
            raise _closed(error, self._url) from None
        except TimeoutError:
            sends_else = self._others and not self._liveness.has_received
            limit_s = self._liveness.end_stalled()
            raise (self._no_jpegs() if sends_else else errors.stalled(self._url, limit_s)) from None
        except (OSError, EOFError) as error:
            raise errors.while_reading(error, self._url, self._liveness.limit_s) from None

    def _no_jpegs(self) -> SourceError:
        message = (
            f"the last {self._others} messages of {self._url} held no JPEG (the last one is {self._last_kind}); the "
            "camera must send each JPEG as a binary message; check source.type and url"
        )
        return SourceError(SourceReason.NOT_A_VIDEO, message)

    def close(self) -> None:
        """Close the connection."""
        self._connection = None
        self._watchdog.arm(f"closing {self._url}", RESPONSE_DEADLINE_S)
        self._closing.close()
        self._watchdog.disarm()


def _refused(status: int, url: str, *, has_credentials: bool) -> SourceError:
    if status < 400 or status in {400, 405, 426}:
        message = f"{url} responds with HTTP status {status} instead of a WebSocket; check source.type and url"
        return SourceError(SourceReason.NOT_A_VIDEO, message)
    return refusals.http_refused(status, url, has_credentials=has_credentials)


def _closed(error: Exception, url: str) -> SourceError:
    received = getattr(error, "rcvd", None)
    sent = getattr(error, "sent", None)
    if sent is not None and sent.code == 1009:
        message = f"{url} sends messages of more than {MAX_JPEG_BYTES >> 20} MiB; check source.type and url"
        return SourceError(SourceReason.NOT_A_VIDEO, message)
    if received is None:
        return SourceError(SourceReason.STOPPED, f"{url} broke off without closing; check the camera and its network")
    remedy = _CLOSES.get(received.code, "check the log of the camera")
    return SourceError(SourceReason.STOPPED, f"{url} closed the connection with code {received.code}: {remedy}")


class SocketSource:
    """Length-prefixed JPEGs from a TCP server.

    Parameters
    ----------
    url
        tcp://host:port.
    watchdog
        Armed before every call that may hang.
    liveness
        How long the camera may be silent.
    """

    def __init__(self, url: str, watchdog: Watchdog, liveness: Liveness | None = None) -> None:
        self._target = url
        self._url = shown_address(url)
        self._watchdog = watchdog
        self._liveness = liveness or Liveness()
        self._decoder = JpegDecoder(self._url)
        self._socket: socket.socket | None = None
        self._buffer = bytearray()

    def open(self) -> SourceInfo:
        """Connect; see `Source.open`."""
        parts = urlsplit(self._target)
        self._watchdog.arm(f"resolving the host of {self._url}", OPEN_DEADLINE_S)
        names.resolve(self._target, OPEN_DEADLINE_S)
        self._watchdog.arm(f"opening {self._url}", OPEN_DEADLINE_S)
        try:
            if not parts.hostname or not parts.port:
                raise SourceError(SourceReason.FAILED, f"{self._url} is not tcp://host:port; correct source.url")
            self._socket = socket.create_connection((parts.hostname, parts.port), OPEN_DEADLINE_S)
        except (OSError, ValueError) as error:
            raise errors.while_opening(_as_connection_error(error), self._url, OPEN_DEADLINE_S) from None
        finally:
            self._watchdog.disarm()
        return _INFO

    def frames(self, sampler: Sampler, frozen: FrozenDetector | None = None) -> Iterator[av.VideoFrame]:
        """Yield the sampled frames; see `Source.frames`."""
        self._liveness.begin(time.monotonic())
        while True:
            # One deadline for a whole JPEG: a server that trickles bytes must not hold the camera for ever.
            limit_s = self._liveness.limit_s
            deadline = time.monotonic() + limit_s
            self._watchdog.arm(f"reading {self._url}", limit_s)
            length = int.from_bytes(self._read(4, deadline), "big")
            if not 4 <= length <= MAX_JPEG_BYTES:
                message = (
                    f"{self._url} announces a JPEG of {length} bytes; 4 to {MAX_JPEG_BYTES} are possible. Each JPEG "
                    "must follow its length as 4 bytes, big-endian"
                )
                raise SourceError(SourceReason.NOT_A_VIDEO, message)
            data = self._read(length, deadline)
            now = time.monotonic()
            self._liveness.receive(now)
            if frozen is not None:
                frozen.add_encoded(jpeg_fingerprint(data), now)
            if sampler.offer(now) and (frame := self._decoder.decode(data, sampler)) is not None:
                yield frame

    def _read(self, count: int, deadline: float) -> bytes:
        if self._socket is None:
            msg = "frames() before open()"
            raise TypeError(msg)
        while len(self._buffer) < count:
            left = deadline - time.monotonic()
            try:
                self._socket.settimeout(max(left, 0.001))
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                raise errors.stalled(self._url, self._liveness.end_stalled()) from None
            except OSError as error:
                raise errors.while_reading(error, self._url, self._liveness.limit_s) from None
            if not data:
                raise self._ended(count)
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _ended(self, count: int) -> SourceError:
        if self._buffer:
            message = (
                f"{self._url} ended the stream in the middle of a JPEG, after {len(self._buffer)} of {count} bytes; "
                "check the camera and its network"
            )
            return SourceError(SourceReason.STOPPED, message)
        return SourceError(SourceReason.STOPPED, f"{self._url} ended the stream; check whether the camera still runs")

    def close(self) -> None:
        """Close the connection."""
        opened, self._socket = self._socket, None
        if opened is not None:
            opened.close()
        self._watchdog.disarm()


def _as_connection_error(error: Exception) -> Exception:
    """Return errors of name resolution and TLS as connection errors, which count as unreachable."""
    if isinstance(error, socket.gaierror):
        return ConnectionError(error.errno, "the host name is not known")
    if isinstance(error, ssl.SSLError):
        return ConnectionError(error.errno, f"TLS failed: {error.reason}")
    return error
