"""Cameras over HTTP as webcam boards are: snapshots and MJPEG with every fault of their own."""

import hashlib
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bench.rtp import read_head
from tests.integration.stream.cameras import Camera


@dataclass
class Request:
    """A request that a camera got."""

    target: str
    headers: dict[str, str]
    connection: int


@dataclass
class Snapshots(Camera):
    """One JPEG for each request.

    Attributes
    ----------
    images
        Requested in turn, again and again.
    keep
        Keeps the connection.
    respond
        Returns the whole response to a request by its number, from 0; None: the next image.
    """

    images: Sequence[bytes]
    keep: bool = True
    respond: Callable[[Request, int], bytes | None] = lambda _, __: None
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/snap.jpg"

    def serve(self, connection: socket.socket) -> None:
        number = self.connections
        while head := read_head(connection):
            lines = head.split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
            request = Request(lines[0].split(" ")[1], headers, number)
            count = len(self.requests)
            self.requests.append(request)
            response = self.respond(request, count)
            connection.sendall(response if response is not None else self.image(count))
            if not self.keep:
                return

    def image(self, number: int, headers: str = "") -> bytes:
        image = self.images[number % len(self.images)]
        close = "" if self.keep else "Connection: close\r\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n{close}{headers}\r\n"
        return head.encode() + image


def answer(status: str, headers: str = "") -> bytes:
    """Return a response without a body."""
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\n\r\n".encode()


@dataclass
class Raw(Camera):
    """Sends these bytes after a request, at 25 pieces a second."""

    pieces: Callable[[], Iterator[bytes]]
    silent_after: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/video"

    def serve(self, connection: socket.socket) -> None:
        read_head(connection)
        for piece in self.pieces():
            connection.sendall(piece)
            self.pace()
        if self.silent_after:
            self.stopped.wait()


def digest_is_right(request: Request, user: str, password: str, nonce: str) -> bool:
    """Check an Authorization of RFC 7616 with SHA-256 and qop=auth."""
    value = request.headers.get("authorization", "")
    pairs = (pair.partition("=") for pair in value.removeprefix("Digest ").split(", "))
    fields = {name.strip(): text.strip('"') for name, _, text in pairs}

    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    if not value.startswith("Digest ") or fields.get("uri") != request.target or fields.get("nonce") != nonce:
        return False
    middle = f"{nonce}:{fields['nc']}:{fields['cnonce']}:auth"
    return fields["response"] == sha(f"{sha(f'{user}:cam:{password}')}:{middle}:{sha(f'GET:{request.target}')}")
