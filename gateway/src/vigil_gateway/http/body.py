"""Refuse request bodies that are too large, while they arrive."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

DRAIN_S: Final = 10.0
"""A connection that is closed before its body was read is reset, and the client never sees the response. So more is
read and discarded, for so long and up to twice the limit."""


class _BodyTooLargeError(Exception):
    """More bytes came than are allowed."""


class BodyLimit:
    """ASGI middleware that refuses a body of more than `max_bytes` with 413, whatever the application does with it.

    Parameters
    ----------
    max_bytes
        Of one request's body.
    make_body
        Makes the JSON of the response from the number of bytes given (or read so far) and the number allowed.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, make_body: Callable[[int, int], bytes]) -> None:
        self._app = app
        self._max = max_bytes
        self._make_body = make_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the declared length, and count what is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > self._max:
            await self._drain(receive)
            await self._refuse(send, int(declared))
            return
        await self._counting(scope, receive, send)

    async def _counting(self, scope: Scope, receive: Receive, send: Send) -> None:
        read, answered = 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max:
                raise _BodyTooLargeError
            return message

        async def replaced(message: Message) -> None:
            nonlocal answered
            if read <= self._max:
                await send(message)
            elif not answered:
                answered = True
                await self._drain(receive)
                await self._refuse(send, read)

        try:
            await self._app(scope, counted, replaced)
        except _BodyTooLargeError:
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

    async def _refuse(self, send: Send, given: int) -> None:
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": self._make_body(given, self._max)})
