"""The WebSocket of the HTTP server: uvicorn's, which can also be closed without a response.

uvicorn waits for the client to answer a close frame, for ever when the client does not read. Here an abort follows, and
a shutdown closes with 1001 and a reason, so that clients connect again.
"""

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from vigil_gateway.handlers.graphql.live.hub import GOING_AWAY
from vigil_gateway.handlers.graphql.transport import EXTENSION, DirectWriter
from vigil_gateway.http.server import Lobby

GRACE_S: Final = 2.0
"""Seconds for a client that does not read to answer its close frame."""

GOING_AWAY_REASON: Final = "the gateway goes down; connect again and resume after your last cursor"


class GatewayWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that can be closed without a response of the client."""

    def __init__(self, lobby: Lobby, **options: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(**options)
        self._lobby = lobby

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvicorn narrows it
        """Wait for the token."""
        super().connection_made(transport)
        self._lobby.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._lobby.leave(self)
        super().connection_lost(exc)

    def admit(self) -> None:
        """Leave the connections that wait: the client has shown the token."""
        self._lobby.leave(self)

    def give_up(self) -> None:
        """Close at once, to make room for others."""
        self.transport.abort()

    def handle_connect(self, event: Any) -> None:  # noqa: ANN401 - websockets' Request
        """Offer `write`, `drop` and `admit` to the application as an ASGI extension."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = DirectWriter(self.write, self.drop, self.admit)

    def write(self, text: bytes) -> bool:
        """Write a text message and return True if there is room; the frame is the same for every client."""
        closing = self.close_sent or self.disconnected or self.transport.is_closing()
        if closing or not self.writable.is_set() or self.conn.extensions:
            return False
        self.transport.write(frame_head(len(text)) + text)
        return True

    def drop(self, code: int, reason: str) -> None:
        """Send a close frame after what is still unsent, and abort when it is not answered."""
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
        """Close with a reason when the server stops."""
        if self.handshake_complete and not self.close_sent:
            self.drop(GOING_AWAY, GOING_AWAY_REASON)
        elif not self.handshake_complete:
            super().shutdown()

    def keepalive_timeout(self) -> None:
        """Abort the connection of a client that answers neither a ping nor the close frame."""
        super().keepalive_timeout()
        self.close_timer = self.loop.call_later(GRACE_S, self.transport.abort)

    def _resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()


def frame_head(length: int) -> bytes:
    """Return the head of an unmasked text frame that contains a whole message (RFC 6455 §5.2)."""
    if length < 126:
        return bytes((0x81, length))
    if length < 65536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")
