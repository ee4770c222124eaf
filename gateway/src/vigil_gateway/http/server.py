"""Connections of the HTTP server that are not yet a request: each has a deadline, and there is a bound for all.

uvicorn waits for ever for the first byte and for the end of the headers. A client that sends neither costs it a
descriptor and some memory, and thousands of such clients the service.
"""

import json
from typing import Any, Final, Protocol

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEAD_S: Final = 10.0
"""For the headers of a request, and for the rest of a body that nobody reads."""

UNREAD_S: Final = 60.0
"""For a client to read a response: the largest is a script of the page, of a megabyte."""

MAX_WAITING: Final = 6_000
"""More than the WebSockets of one API: all may come back in the same second."""


class Waiting(Protocol):
    """A connection whose client has yet to show what it wants."""

    def give_up(self) -> None:
        """Close at once."""


class Lobby:
    """The connections that wait for their client, the oldest first; the oldest has to leave when there are too many.

    Attributes
    ----------
    turned_out
        Connections closed to make room.
    """

    def __init__(self, max_waiting: int = MAX_WAITING, head_s: float = HEAD_S, unread_s: float = UNREAD_S) -> None:
        self.turned_out = 0
        self.head_s = head_s
        self.unread_s = unread_s
        self._max = max_waiting
        self._waiting: dict[Waiting, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, connection: Waiting) -> None:
        """Add a connection, which is then the newest."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = None
        if len(self._waiting) > self._max:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            self.turned_out += 1
            oldest.give_up()

    def leave(self, connection: Waiting) -> None:
        """Remove a connection whose client has sent what was waited for, or is gone."""
        self._waiting.pop(connection, None)


class GatewayHttp(H11Protocol):
    """An HTTP connection with a deadline for headers; errors of the protocol are answered in JSON."""

    def __init__(self, lobby: Lobby, **options: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(**options)
        self._lobby = lobby
        self._deadline: Any = None
        self._unread: Any = None

    def pause_writing(self) -> None:
        """Abort unless the client reads on: a response that nobody reads stays in memory."""
        super().pause_writing()
        self._unread = self.loop.call_later(self._lobby.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        self._read()

    def _read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvicorn narrows it, too
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Stop waiting once a request is being answered."""
        super().data_received(data)
        if self._responds:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if not self.transport.is_closing() and not self._responds:
            self._wait()

    @property
    def _cycle(self) -> RequestResponseCycle | None:
        """The request under way, or the last one; None before the first, which uvicorn's type leaves out."""
        return self.cycle

    @property
    def _responds(self) -> bool:
        return self._cycle is not None and not self._cycle.response_complete

    def handle_websocket_upgrade(self, event: Any) -> None:  # noqa: ANN401 - h11's
        """Leave the connection to the WebSocket."""
        self._stop_waiting()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        self._read()
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Close at once, to make room for others."""
        self._stop_waiting()
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP request."""
        self._stop_waiting()
        self._refuse(b"400 Bad Request", msg)

    def _wait(self) -> None:
        self._lobby.enter(self)
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(self._lobby.head_s, self._too_late)

    def _stop_waiting(self) -> None:
        self._lobby.leave(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._stop_waiting()
        if self.conn.trailing_data[0] and self._cycle is None:
            seconds = f"{self._lobby.head_s:g} s"
            self._refuse(b"408 Request Timeout", f"the headers were not complete within {seconds}; send them faster")
        else:
            self.transport.close()

    def _refuse(self, status: bytes, message: str) -> None:
        body = json.dumps({"detail": message, "errors": [{"message": message}]}).encode()
        head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()
