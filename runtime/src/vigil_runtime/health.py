"""Probes and metrics over HTTP: /healthz, /readyz and /metrics of every program.

`HealthServer` is a small HTTP/1.1 server (RFC 9112; GET only, without keep-alive, a deadline and a size limit for each
request), because a web framework would cost a stream process more memory than its pipeline.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

REQUEST_DEADLINE_S: Final = 5.0
MAX_REQUEST_BYTES: Final = 8192
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


class ListenError(Exception):
    """The address for HTTP cannot be used; the message names it."""


class Response(NamedTuple):
    """A response: its status, content type and body."""

    status: int
    content_type: str
    body: bytes


Routes = Mapping[str, Callable[[], Response]]
"""A path to the function that answers it."""


def probe(parts: Mapping[str, str], notes: Mapping[str, str] = MappingProxyType({})) -> Response:
    """Return the response to a probe: 200 when every part works, else 503; the body names each part.

    Parameters
    ----------
    parts
        The error of each part by its name; an empty text means that the part works.
    notes
        Further entries of the body, which do not change the status.
    """
    ok = not any(parts.values())
    body = {"ok": ok, **{name: error or "ok" for name, error in parts.items()}, **notes}
    return Response(200 if ok else 503, "application/json", json.dumps(body).encode())


def metrics(text: bytes) -> Response:
    """Return the response to a scrape from metrics in Prometheus' text format."""
    return Response(200, METRICS_TYPE, text)


class HealthServer:
    """Serves probes and metrics."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port, which the system chooses for 0; raise ListenError when it cannot be used."""
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_REQUEST_BYTES)
        except OSError as error:
            msg = f"cannot listen on {host}:{port} ({error.strerror or error}); set VIGIL_HTTP_HOST or VIGIL_HTTP_PORT"
            raise ListenError(msg) from error
        chosen: int = self._server.sockets[0].getsockname()[1]
        return chosen

    async def close(self, deadline_s: float = 1.0) -> None:
        """Stop listening and wait for responses under way, at most so many seconds."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(deadline_s):
                    await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_DEADLINE_S):
                request = await reader.readuntil(b"\r\n\r\n")
            writer.write(_encode(self._respond(request)))
            async with asyncio.timeout(REQUEST_DEADLINE_S):
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def _respond(self, request: bytes) -> Response:
        line = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(line) != 3:
            return Response(400, "text/plain", b"not an HTTP request\n")
        return respond(self._routes, line[0], line[1].split("?", 1)[0])


def respond(routes: Routes, method: str, path: str) -> Response:
    """Return the response of a route; 405 for another method than GET, 404 for an unknown path."""
    if method != "GET":
        return Response(405, "text/plain", b"only GET\n")
    route = routes.get(path)
    if route is None:
        return Response(404, "text/plain", f"no such path; there are {', '.join(sorted(routes))}\n".encode())
    return route()


def _encode(response: Response) -> bytes:
    head = (
        f"HTTP/1.1 {response.status} {_PHRASES.get(response.status, '')}\r\nContent-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + response.body
