"""Refuse request bodies that are too large, while they arrive."""

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyTooLargeError(Exception):
    """More bytes came than are allowed."""


class BodyLimit:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is read; answer 413 when it is too much."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > self._max:
            await self._refuse(send, int(declared))
            return
        await self._counting(scope, receive, send)

    async def _counting(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; whatever it makes of a body that is too long, the client is told the reason."""
        read, answered = 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max:
                raise BodyTooLargeError
            return message

        async def replaced(message: Message) -> None:
            nonlocal answered
            if read <= self._max:
                await send(message)
            elif not answered:
                answered = True
                await self._refuse(send, read)

        try:
            await self._app(scope, counted, replaced)
        except BodyTooLargeError:
            await replaced({})

    async def _refuse(self, send: Send, given: int) -> None:
        message = f"bytes in the request's body: {given} given, at most {self._max} allowed"
        details = {"code": "LIMIT", "limit": "bodyBytes", "allowed": self._max, "given": given}
        body = json.dumps({"errors": [{"message": message, "extensions": details}]}).encode()
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})
