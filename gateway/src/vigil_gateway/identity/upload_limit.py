"""Refuse request bodies that are too large, while they arrive."""

import asyncio
from contextlib import suppress
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DRAIN_S: Final = 10.0
"""A connection that is closed before the body was read is reset, and the client never sees why it was refused; so some
more is read and thrown away, for as long as this and up to twice as much as is allowed."""


class UploadLimit:
    """ASGI middleware: reading more than `max_bytes` of a body ends in 413."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is read, and believe a length that is declared."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        read = 0

        async def counted() -> Message:
            nonlocal read
            given = int(declared) if declared.isdigit() else 0
            if given <= self._max:
                message = await receive()
                read += len(message.get("body", b""))
                if read <= self._max:
                    return message
            await self._drain(receive)
            told = f"the request has {max(given, read)} bytes or more; at most {self._max} are read"
            raise HTTPException(413, told, {"Connection": "close"})

        await self._app(scope, counted, send)

    async def _drain(self, receive: Receive) -> None:
        read = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while read <= 2 * self._max:
                    message = await receive()
                    read += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return
