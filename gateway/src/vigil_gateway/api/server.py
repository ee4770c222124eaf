"""The HTTP server: uvicorn, told how to let go of clients.

uvicorn closes a WebSocket politely, which never ends when the client does not read. Here a close that the client does
not take is followed by an abort, and a shutdown is told as 1001 with a reason, so that clients know to come back.
"""

import asyncio
import os
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from vigil_gateway.handlers.graphql.live.hub import GOING_AWAY
from vigil_gateway.handlers.graphql.transport import EXTENSION, Direct

GRACE_S: Final = 2.0
"""Seconds for a client that did not read to take its close frame."""

GOODBYE: Final = "the gateway goes down; connect again and resume after your last cursor"


class GatewayWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that can be closed without the client's help."""

    def handle_connect(self, event: Any) -> None:  # noqa: ANN401 - websockets' Request
        """Offer `write` and `drop` to the application as an ASGI extension."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = Direct(self.write, self.drop)

    def write(self, text: bytes) -> bool:
        """Write a text message if there is room; a frame of a server is the same bytes for every client."""
        closing = self.close_sent or self.disconnected or self.transport.is_closing()
        if closing or not self.writable.is_set() or self.conn.extensions:
            return False
        self.transport.write(frame_head(len(text)) + text)
        return True

    def drop(self, code: int, reason: str) -> None:
        """Send a close frame behind what is still unsent, and abort when it is not taken."""
        if self.close_sent or self.transport.is_closing():
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._resume_reading()
        self.close_timer = self.loop.call_later(GRACE_S, self.transport.abort)

    def shutdown(self) -> None:
        """Say goodbye when the server stops."""
        if self.handshake_complete and not self.close_sent:
            self.drop(GOING_AWAY, GOODBYE)
        elif not self.handshake_complete:
            super().shutdown()

    def keepalive_timeout(self) -> None:
        """Let go of a client that answers no ping, even if it takes no close frame either."""
        super().keepalive_timeout()
        self.close_timer = self.loop.call_later(GRACE_S, self.transport.abort)

    def _resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()


class GatewayServer(uvicorn.Server):
    """uvicorn, ended by SIGTERM or SIGINT with everything tidied up and exit code 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal; uvicorn's own way raises it again before the program could end its other parts."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket; raises ListenError, which says what to do."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        code = error.errno or 0  # below 0: of getaddrinfo, which has words of its own
        told = os.strerror(code) if code > 0 else error.strerror or str(error)
        msg = f"cannot listen on {host}:{port}: {told}; choose another with VIGIL_HTTP_HOST or VIGIL_HTTP_PORT"
        raise ListenError(msg) from None


class ListenError(Exception):
    """The address cannot be listened on."""


def frame_head(length: int) -> bytes:
    """Give the head of an unmasked text frame with all of a message in it (RFC 6455 §5.2)."""
    if length < 126:
        return bytes((0x81, length))
    if length < 65536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


def raise_file_limit() -> None:
    """Let the process open as many sockets as the system allows: 5,000 subscribers need more than the usual 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
