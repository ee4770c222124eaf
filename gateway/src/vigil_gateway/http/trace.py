"""The trace of a request in the log: W3C Trace Context, level 1."""

import re
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from vigil_runtime.logs import bind_log_fields

TRACEPARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
"""Version, trace id, parent id and flags; https://www.w3.org/TR/trace-context/#traceparent-header."""


class TraceContext:
    """ASGI middleware that adds `trace_id` to the log records of a request whose client sent `traceparent`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; one without a valid `traceparent` is logged without `trace_id`."""
        trace_id = _trace_id(scope) if scope["type"] in {"http", "websocket"} else None
        if trace_id is not None:
            bind_log_fields(trace_id=trace_id)
        await self._app(scope, receive, send)


def _trace_id(scope: Scope) -> str | None:
    values = [value for name, value in scope["headers"] if name == b"traceparent"]
    found = TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    return found[1].decode() if found is not None else None
