"""Refuse request bodies that are compressed, too large or too slow, while they arrive."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

DRAIN_S: Final = 10.0
"""A connection that is closed before its body was read is reset, and the client never sees the response. So more is
read and discarded, for so long and up to twice the limit."""

GRACE_S: Final = 10.0
"""For a body to begin, and for slow beginnings."""

MIN_BYTES_PER_S: Final = 16_384
"""Below what a mobile network delivers; a body slower than this for longer than the grace holds its connection only."""


@dataclass(frozen=True, slots=True)
class BodyRefused:
    """Why a body is not read.

    Attributes
    ----------
    status
        408, 413 or 415.
    given, allowed
        Bytes, of one that is too large.
    """

    status: int
    message: str
    given: int = 0
    allowed: int = 0


class _RefusedError(Exception):
    """The body is refused; the application is not to go on."""


class BodyLimit:
    """ASGI middleware that refuses such a body, whatever the application does with it.

    Parameters
    ----------
    max_bytes
        Of one request's body.
    make_body
        Makes the JSON of the response.
    grace_s
        Seconds before a body is too slow.
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int, make_body: Callable[[BodyRefused], bytes], grace_s: float = GRACE_S
    ) -> None:
        self._app = app
        self._max = max_bytes
        self._make_body = make_body
        self._grace_s = grace_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check what the headers declare, and watch what is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        encoding = headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding not in {b"", b"identity"}:
            await self._drain(receive)
            await self._refuse(send, BodyRefused(415, "the body is compressed; send it without Content-Encoding"))
        elif declared.isdigit() and int(declared[:20]) > self._max:
            await self._drain(receive)
            await self._refuse(send, self._too_large(int(declared[:20])))
        else:
            await self._watching(scope, receive, send)

    def _too_large(self, given: int) -> BodyRefused:
        message = f"the request has {given} bytes or more; at most {self._max} are read"
        return BodyRefused(413, message, given, self._max)

    async def _watching(self, scope: Scope, receive: Receive, send: Send) -> None:
        read, complete, answered = 0, False, False
        refused: BodyRefused | None = None
        begin = asyncio.get_running_loop().time()

        async def watched() -> Message:
            nonlocal read, complete, refused
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(begin + self._grace_s + read / MIN_BYTES_PER_S):
                    message = await receive()
            except TimeoutError:
                slow = f"the body came too slowly: {read} bytes in {self._grace_s + read / MIN_BYTES_PER_S:.0f} s"
                refused = BodyRefused(408, f"{slow}; send it faster, or in several requests")
                raise _RefusedError from None
            read += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if read > self._max:
                refused = self._too_large(read)
                raise _RefusedError
            return message

        async def replaced(message: Message) -> None:
            nonlocal answered
            if refused is None:
                await send(message)
            elif not answered:
                answered = True
                if refused.status == 413:
                    await self._drain(receive)
                await self._refuse(send, refused)

        try:
            await self._app(scope, watched, replaced)
        except _RefusedError:
            await replaced({})

    async def _drain(self, receive: Receive) -> None:
        read = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while read <= 2 * self._max:
                    message = await receive()
                    read += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return

    async def _refuse(self, send: Send, refused: BodyRefused) -> None:
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        if refused.status == 415:
            headers.append((b"accept-encoding", b"identity"))
        body = self._make_body(refused)
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": refused.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
