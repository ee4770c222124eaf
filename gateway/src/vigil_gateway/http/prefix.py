"""Paths below a prefix that a reverse proxy did not remove."""

from starlette.types import ASGIApp, Receive, Scope, Send


class PathPrefix:
    """ASGI middleware that takes what lies before a path of the application for its `root_path`."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; one whose path has no such part is passed on as it is."""
        if scope["type"] in {"http", "websocket"}:
            prefix, found, rest = f"{scope['path']}/".partition(f"{self._path}/")
            if prefix and found:
                scope = {**scope, "path": f"{self._path}/{rest}"[: len(scope["path"]) - len(prefix)]}
        await self._app(scope, receive, send)
