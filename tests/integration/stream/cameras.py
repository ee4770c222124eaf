"""Real servers that behave like cameras, good and bad ones: RTSP, HTTP MJPEG, WebSocket, length-prefixed JPEG."""

import base64
import contextlib
import hashlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self, TypeVar

from bench.rtp import fragments, read_head
from tests.integration.stream.clips import FPS, h264, jpegs
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, basic_auth, serve

Units = Iterable[list[bytes]]
Item = TypeVar("Item")
Lost = Callable[[int, int], bool]


class Camera:
    """A server on a free port of a loopback address; each connection is served by a thread of its own."""

    host: ClassVar[str] = "127.0.0.1"

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for one in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._guarded, args=(connection,), daemon=True).start()

    def _guarded(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            self.serve(connection)

    def serve(self, connection: socket.socket) -> None:  # noqa: ARG002 - for those that answer
        """Talk to one client; a camera that does nothing here never answers."""
        self.stopped.wait()

    def pace(self) -> None:
        self.stopped.wait(1 / FPS)


@dataclass
class Framed(Camera):
    """Length-prefixed JPEGs; `silent_after`: sends no more, but stays."""

    messages: Callable[[], Iterator[bytes]]
    silent_after: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        for message in self.messages():
            connection.sendall(len(message).to_bytes(4, "big") + message)
            self.pace()
        if self.silent_after:
            self.stopped.wait()


@dataclass
class Mjpeg(Camera):
    """HTTP multipart JPEG, with Basic authentication when there is a password; `wrong_logins` were refused."""

    messages: Callable[[], Iterator[bytes]]
    password: str = ""
    kind: str = "multipart/x-mixed-replace; boundary=frame"
    requests: list[str] = field(default_factory=list)
    wrong_logins: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/video"

    def serve(self, connection: socket.socket) -> None:
        request = read_head(connection)
        self.requests.append(request)
        if " /video" not in request.split("\r\n", 1)[0]:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        pair = base64.b64encode(f"user:{self.password}".encode()).decode()
        if self.password and f"Basic {pair}" not in request:
            self.wrong_logins += "\r\nAuthorization:" in request
            head = 'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="c"\r\n'
            connection.sendall(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
            return
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {self.kind}\r\nConnection: close\r\n"
        if not self.kind.startswith("multipart"):
            page = b"".join(self.messages())
            connection.sendall(f"{head}Content-Length: {len(page)}\r\n\r\n".encode() + page)
            return
        connection.sendall(f"{head}\r\n".encode())
        for message in self.messages():
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(message)}\r\n\r\n"
            connection.sendall(head.encode() + message + b"\r\n")
            self.pace()


class WebSocketCamera:
    """JPEGs as binary messages, with Basic authentication when there is a password; `wrong_logins` were refused."""

    def __init__(
        self,
        messages: Callable[[], Iterator[bytes | str]],
        password: str = "",
        process_request: Callable[[ServerConnection, Request], Response | None] | None = None,
    ) -> None:
        self._messages = messages
        self.wrong_logins = 0

        def is_right(user: str, given: str) -> bool:
            right = (user, given) == ("user", password)
            self.wrong_logins += not right
            return right

        asks = basic_auth(realm="c", check_credentials=is_right) if password else process_request
        self._server = serve(self._talk, "127.0.0.1", 0, compression=None, process_request=asks)
        self.port: int = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/live"
        self.stopped = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()

    def _talk(self, connection: ServerConnection) -> None:
        with contextlib.suppress(Exception):
            for message in self._messages():
                connection.send(message)
                if self.stopped.wait(1 / FPS):
                    return


@dataclass
class Rtsp(Camera):
    """RTSP 1.0 (RFC 2326) with H.264 over RTP (RFC 6184), interleaved in TCP or over UDP.

    Attributes
    ----------
    units
        Access units, each a list of NAL units; sent at 25 per second.
    password
        Asks for authentication.
    challenges
        The values of WWW-Authenticate; a login is accepted as Basic, or as Digest of RFC 2069 with MD5, if they ask it.
    wrong_logins
        Those that were refused.
    encoding
        What the SDP calls the codec.
    silent_after
        When the units are through, the connection stays open and nothing more is sent.
    refuses
        The status line's end by method, such as {"SETUP": "453 Not Enough Bandwidth"}.
    redirects_to
        The address to which every DESCRIBE is redirected; empty: none is.
    requests
        The methods that it was asked for.
    interval_s
        Between two units.
    parameters
        Parameter sets in the SDP, as cameras send them.
    lost
        Whether a packet is lost on its way, by the number of its access unit and its number within.
    """

    units: Callable[[], Units]
    password: str = ""
    encoding: str = "H264"
    silent_after: bool = False
    found: bool = True
    refuses: dict[str, str] = field(default_factory=dict)
    redirects_to: str = ""
    requests: list[str] = field(default_factory=list)
    interval_s: float = 1 / FPS
    parameters: Sequence[bytes] = ()
    transports: list[str] = field(default_factory=list)
    lost: Lost = lambda _unit, _packet: False
    challenges: Sequence[str] = ('Basic realm="cam"',)
    wrong_logins: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def url(self) -> str:
        return f"rtsp://{self.host}:{self.port}/cam"

    def serve(self, connection: socket.socket) -> None:
        send: Callable[[bytes], object] | None = None
        while request := read_head(connection):
            lines = request.split("\r\n")
            method = lines[0].split(" ")[0]
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
            self.requests.append(method)
            if method == "SETUP":
                send = self._set_up(connection, headers["transport"])
            self._answer(connection, method, headers)
            if method == "PLAY" and send is not None:
                self._play(send)
                return

    def _set_up(self, connection: socket.socket, transport: str) -> Callable[[bytes], object]:
        self.transports.append(transport)
        if "TCP" in transport:
            return lambda packet: connection.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
        port = int(transport.split("client_port=")[1].split("-", maxsplit=1)[0])
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.bind(("127.0.0.1", 0))
        self._open.append(out)
        return lambda packet: out.sendto(packet, ("127.0.0.1", port))

    def _answer(self, connection: socket.socket, method: str, headers: dict[str, str]) -> None:
        head, body = f"CSeq: {headers['cseq']}\r\n", ""
        status = "200 OK"
        sets = ",".join(base64.b64encode(nal).decode() for nal in self.parameters)
        sprop = f";sprop-parameter-sets={sets}" if sets else ""
        if self.password and method != "OPTIONS" and not self._knows(method, headers.get("authorization", "")):
            status, head = "401 Unauthorized", head + "".join(f"WWW-Authenticate: {a}\r\n" for a in self.challenges)
        elif method in self.refuses:
            status = self.refuses[method]
        elif self.redirects_to and method == "DESCRIBE":
            status, head = "302 Found", f"{head}Location: {self.redirects_to}\r\n"
        elif not self.found and method == "DESCRIBE":
            status = "404 Not Found"
        elif method == "DESCRIBE":
            body = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
                f"a=rtpmap:96 {self.encoding}/90000\r\na=fmtp:96 packetization-mode=1{sprop}\r\na=control:track1\r\n"
            )
            head += f"Content-Type: application/sdp\r\nContent-Base: {self.url}/\r\n"
        elif method == "SETUP":
            transport = self.transports[-1]
            head += f"Transport: {transport}" + ("" if "TCP" in transport else ";server_port=6970-6971") + "\r\n"
            head += "Session: 1;timeout=60\r\n"
        elif method == "OPTIONS":
            head += "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        connection.sendall(f"RTSP/1.0 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    def _knows(self, method: str, authorization: str) -> bool:
        scheme, _, value = authorization.partition(" ")
        fields = dict(re.findall(r'(\w+)="([^"]*)"', value))

        def md5(text: str) -> str:
            return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

        middle = f":{fields.get('nonce')}:"
        right = {
            "Basic": value == base64.b64encode(f"user:{self.password}".encode()).decode(),
            "Digest": fields.get("response")
            == md5(md5(f"user:cam:{self.password}") + middle + md5(f"{method}:{fields.get('uri')}")),
        }
        knows = right.get(scheme, False) and any(one.startswith(scheme) for one in self.challenges)
        self.wrong_logins += bool(authorization) and not knows
        return knows

    def _play(self, send: Callable[[bytes], object]) -> None:
        number = 0
        for n, unit in enumerate(self.units()):
            if self.stopped.is_set():
                return
            payloads = [payload for nal in unit for payload in fragments(nal)]
            for index, payload in enumerate(payloads):
                last = 0x80 if index == len(payloads) - 1 else 0
                header = struct.pack(">BBHII", 0x80, last | 96, number & 0xFFFF, int(n * 90000 * self.interval_s), 7)
                if not self.lost(n, index):
                    send(header + payload)
                number += 1
            self.stopped.wait(self.interval_s)
        if self.silent_after:
            self.stopped.wait()


def for_ever(items: Sequence[Item]) -> Callable[[], Iterator[Item]]:
    def repeat() -> Iterator[Item]:
        while True:
            yield from items

    return repeat


def asking(kind: str, password: str, width: int, height: int, count: int) -> Rtsp | Mjpeg | WebSocketCamera:
    """Make a camera of a type that has passwords, which asks `user` for one."""
    if kind == "RTSP":
        units = h264(width, height, count)
        return Rtsp(lambda: units, password=password)
    messages = for_ever(jpegs(width, height, count))
    return Mjpeg(messages, password) if kind == "HTTPMJPEG" else WebSocketCamera(messages, password)
