"""Sources that send JPEGs one by one: WebSocket, and a plain TCP socket.

The socket's framing: for each JPEG its length as 4 bytes, big-endian, then that many bytes. The camera is
the server; nothing is sent to it.
"""

import base64
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import av

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture import errors, names
from vigil_stream.capture.credentials import Credentials
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.frozen import FrozenDetector
from vigil_stream.capture.jpeg import MAX_JPEG_BYTES, JpegDecoder, jpeg_fingerprint
from vigil_stream.capture.liveness import Liveness
from vigil_stream.capture.source import OPEN_DEADLINE_S, RESPONSE_DEADLINE_S, Sampler, SourceInfo, Watchdog

if TYPE_CHECKING:
    # Loaded only by cameras of this type: 1 MiB.
    from websockets.sync.client import ClientConnection

_INFO = SourceInfo(None, None, "mjpeg", "CPU")


class WebSocketSource:
    """Binary messages of a WebSocket, one JPEG each.

    Parameters
    ----------
    url
        ws:// or wss://, without credentials.
    credentials
        Sent as HTTP Basic authentication.
    watchdog
        Armed before every call that may hang.
    liveness
        How long the camera may be silent.
    """

    def __init__(
        self, url: str, credentials: Credentials | None, watchdog: Watchdog, liveness: Liveness | None = None
    ) -> None:
        self._url = url
        self._credentials = credentials
        self._watchdog = watchdog
        self._liveness = liveness or Liveness()
        self._decoder = JpegDecoder(url)
        self._connection: ClientConnection | None = None
        self._closing = ExitStack()

    def open(self) -> SourceInfo:
        """Connect; see `Source.open`."""
        from websockets import exceptions
        from websockets.sync.client import connect

        self._watchdog.arm(f"resolving the host of {self._url}", OPEN_DEADLINE_S)
        names.resolve(self._url, OPEN_DEADLINE_S)
        self._watchdog.arm(f"opening {self._url}", OPEN_DEADLINE_S)
        try:
            self._connection = self._closing.enter_context(
                connect(
                    self._url,
                    additional_headers=_basic(self._credentials),
                    open_timeout=OPEN_DEADLINE_S,
                    close_timeout=1,
                    max_size=MAX_JPEG_BYTES,
                    max_queue=4,
                    compression=None,
                )
            )
        except exceptions.InvalidStatus as error:
            raise _refused(error.response.status_code, self._url, has_credentials=bool(self._credentials)) from None
        except exceptions.InvalidHandshake:
            message = f"{self._url} is not a WebSocket; check source.type and url"
            raise SourceError(SourceReason.NOT_A_VIDEO, message) from None
        except (OSError, ValueError, EOFError) as error:
            raise errors.while_opening(_as_connection_error(error), self._url, OPEN_DEADLINE_S) from None
        finally:
            self._watchdog.disarm()
        return _INFO

    def frames(self, sampler: Sampler, frozen: FrozenDetector | None = None) -> Iterator[av.VideoFrame]:
        """Yield the sampled frames; see `Source.frames`."""
        from websockets import exceptions

        connection = self._connection
        if connection is None:
            msg = "frames() before open()"
            raise TypeError(msg)
        self._liveness.begin(time.monotonic())
        while True:
            limit_s = self._liveness.limit_s
            self._watchdog.arm(f"reading {self._url}", limit_s)
            try:
                message = connection.recv(limit_s)
            except exceptions.ConnectionClosed as error:
                raise _closed(error, self._url) from None
            except TimeoutError:
                raise errors.stalled(self._url, self._liveness.end_stalled()) from None
            except (OSError, EOFError) as error:
                raise errors.while_reading(error, self._url, limit_s) from None
            data = message.encode() if isinstance(message, str) else message
            now = time.monotonic()
            self._liveness.receive(now)
            if frozen is not None:
                frozen.add_encoded(jpeg_fingerprint(data), now)
            if sampler.offer(now) and (frame := self._decoder.decode(data, sampler)) is not None:
                yield frame

    def close(self) -> None:
        """Close the connection."""
        self._connection = None
        self._watchdog.arm(f"closing {self._url}", RESPONSE_DEADLINE_S)
        self._closing.close()
        self._watchdog.disarm()


def _basic(credentials: Credentials | None) -> dict[str, str]:
    if credentials is None:
        return {}
    pair = base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def _refused(status: int, url: str, *, has_credentials: bool) -> SourceError:
    if status in {401, 403}:
        return errors.unauthorized(url, has_credentials=has_credentials)
    if status == 404:
        return SourceError(SourceReason.NOT_FOUND, errors.NOT_FOUND.format(url))
    message = f"{url} answers with HTTP status {status} instead of a WebSocket; check source.type and url"
    return SourceError(SourceReason.NOT_A_VIDEO if status < 500 else SourceReason.UNREACHABLE, message)


def _closed(error: Exception, url: str) -> SourceError:
    received = getattr(error, "rcvd", None)
    sent = getattr(error, "sent", None)
    if sent is not None and sent.code == 1009:
        message = f"{url} sends messages of more than {MAX_JPEG_BYTES >> 20} MiB; check source.type and url"
        return SourceError(SourceReason.NOT_A_VIDEO, message)
    code = f" (code {received.code})" if received is not None else ""
    return SourceError(SourceReason.STOPPED, f"{url} closed the connection{code}")


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
        self._url = url
        self._watchdog = watchdog
        self._liveness = liveness or Liveness()
        self._decoder = JpegDecoder(url)
        self._socket: socket.socket | None = None
        self._buffer = bytearray()

    def open(self) -> SourceInfo:
        """Connect; see `Source.open`."""
        parts = urlsplit(self._url)
        self._watchdog.arm(f"resolving the host of {self._url}", OPEN_DEADLINE_S)
        names.resolve(self._url, OPEN_DEADLINE_S)
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
                raise SourceError(SourceReason.STOPPED, f"{self._url} ended the stream")
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

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
