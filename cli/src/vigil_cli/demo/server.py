"""The demo's cameras on the network: films as HTTP MJPEG, and as length-prefixed JPEG on a socket, in real time.

`python -m vigil_cli.demo.server --http PORT --film NAME=FILE … --socket PORT=FILE …`; each client receives
the film from its start, in a loop.
"""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from vigil_cli.demo.scene import FPS

HOST = "127.0.0.1"
BOUNDARY = b"vigil"
REQUEST_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 10.0
MAX_CLIENTS = 16
MAX_LATE_S = 1.0
"""A server that is later than this skips the delay instead of sending faster."""


async def play(film: Sequence[bytes], fps: float = FPS) -> AsyncIterator[bytes]:
    """Yield the frames of a film in real time, for ever."""
    clock = asyncio.get_running_loop().time
    due, number = clock(), 0
    while True:
        yield film[number % len(film)]
        number += 1
        due = max(due + 1 / fps, clock() - MAX_LATE_S)
        await asyncio.sleep(max(0.0, due - clock()))


class VideoServer:
    """Serves films to a bounded number of clients.

    Parameters
    ----------
    films
        JPEG frames by name: `GET /<name>` answers with multipart/x-mixed-replace, as cameras do.
    """

    def __init__(self, films: Mapping[str, Sequence[bytes]]) -> None:
        self._films = films
        self._clients = asyncio.Semaphore(MAX_CLIENTS)

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client of HTTP."""
        async with self._serving(writer):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                request = await reader.readuntil(b"\r\n\r\n")
            method, target = [*request.split(b" ", 2), b"", b""][:2]
            film = self._films.get(target.decode("latin-1").split("?")[0].strip("/"))
            if method not in {b"GET", b"HEAD"}:
                writer.write(_refusal(b"405 Method Not Allowed"))
            elif film is None:
                writer.write(_refusal(b"200 OK" if target == b"/healthz" else b"404 Not Found"))
            elif self._clients.locked():
                writer.write(_refusal(b"503 Service Unavailable"))
            else:
                async with self._clients:
                    await self._multipart(film, writer, head_only=method == b"HEAD")

    async def _multipart(self, film: Sequence[bytes], writer: asyncio.StreamWriter, *, head_only: bool) -> None:
        kind = b"multipart/x-mixed-replace; boundary=" + BOUNDARY
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nConnection: close\r\n\r\n")
        if head_only:
            return
        async for frame in play(film):
            head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (BOUNDARY, len(frame))
            writer.write(head + frame + b"\r\n")
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await writer.drain()

    async def socket(self, film: Sequence[bytes], writer: asyncio.StreamWriter) -> None:
        """Send each frame as its length in 4 bytes, big-endian, and its bytes."""
        async with self._serving(writer):
            if self._clients.locked():
                return
            async with self._clients:
                async for frame in play(film):
                    writer.write(len(frame).to_bytes(4, "big") + frame)
                    async with asyncio.timeout(WRITE_TIMEOUT_S):
                        await writer.drain()

    @contextlib.asynccontextmanager
    async def _serving(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        """Close the connection in the end, and ignore that the client closed it first."""
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                yield
        finally:
            writer.close()


def _refusal(status: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def serve(http: int, films: Mapping[str, Sequence[bytes]], sockets: Mapping[int, Sequence[bytes]]) -> None:
    """Serve until cancelled."""
    server = VideoServer(films)
    async with contextlib.AsyncExitStack() as stack:
        for port, film in sockets.items():

            async def send(_: object, writer: asyncio.StreamWriter, film: Sequence[bytes] = film) -> None:
                await server.socket(film, writer)

            await stack.enter_async_context(await asyncio.start_server(send, HOST, port))
        await stack.enter_async_context(await asyncio.start_server(server.http, HOST, http))
        await asyncio.Event().wait()


def _main() -> None:
    from vigil_cli.demo.film import jpeg_frames

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http", type=int, required=True)
    parser.add_argument("--film", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--socket", action="append", default=[], metavar="PORT=FILE")
    arguments = parser.parse_args()
    films = {name: jpeg_frames(Path(path)) for name, _, path in (text.partition("=") for text in arguments.film)}
    sockets = {
        int(port): jpeg_frames(Path(path)) for port, _, path in (text.partition("=") for text in arguments.socket)
    }
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments.http, films, sockets))


if __name__ == "__main__":
    _main()
