"""/healthz, /readyz and /metrics on a tiny HTTP server: a web framework would cost more memory than the pipeline.

HTTP/1.1 without keep-alive, GET only, a deadline and a size limit for each request (RFC 9112).
"""

import asyncio
import contextlib
import json
from collections.abc import Callable

REQUEST_DEADLINE_S = 5.0
MAX_REQUEST_BYTES = 8192

Answer = tuple[int, str, bytes]
"""Status, content type, body."""

_PHRASES = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def probe(parts: dict[str, str]) -> Answer:
    """Answer a probe: 200 when no part has anything to complain about, else 503; the body names each.

    Parameters
    ----------
    parts
        What is wrong with each part; empty when it is well.
    """
    well = not any(parts.values())
    body = json.dumps({"ok": well, **{name: text or "ok" for name, text in parts.items()}}).encode()
    return (200 if well else 503), "application/json", body


class HealthServer:
    """Serves probes and metrics.

    Parameters
    ----------
    routes
        Path to what answers it.
    """

    def __init__(self, routes: dict[str, Callable[[], Answer]]) -> None:
        self._routes = routes
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port, chosen by the system when 0. OSError when it is taken."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_REQUEST_BYTES)
        chosen: int = self._server.sockets[0].getsockname()[1]
        return chosen

    async def close(self, deadline_s: float = 1.0) -> None:
        """Stop listening; wait at most so long for answers under way."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(deadline_s):
                    await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_DEADLINE_S):
                request = await reader.readuntil(b"\r\n\r\n")
            writer.write(self._answer(request))
            async with asyncio.timeout(REQUEST_DEADLINE_S):
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def _answer(self, request: bytes) -> bytes:
        line = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(line) != 3:
            status, kind, body = 400, "text/plain", b"not an HTTP request\n"
        elif line[0] != "GET":
            status, kind, body = 405, "text/plain", b"only GET\n"
        elif (route := self._routes.get(line[1].split("?", 1)[0])) is None:
            status, kind, body = 404, "text/plain", b"try /healthz, /readyz or /metrics\n"
        else:
            status, kind, body = route()
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + body
