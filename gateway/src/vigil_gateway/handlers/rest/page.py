"""The page at /graphql: GraphiQL where its files can be loaded, else a console without external files."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Response

_FILES: Final = {
    "/graphql": ("page.html", "text/html; charset=utf-8"),
    "/graphql/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/graphql/page.css": ("page.css", "text/css; charset=utf-8"),
}
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' https://unpkg.com; style-src 'self' 'unsafe-inline' https://unpkg.com; "
        "font-src data: https://unpkg.com; img-src 'self' data:; connect-src 'self' ws: wss:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
"""The page receives a token, so it runs no script but its own and those whose hash it names."""


def page_router() -> APIRouter:
    """Return the routes of the page, which contains no data and asks for the token itself."""
    router = APIRouter(include_in_schema=False)
    for path, (name, media_type) in _FILES.items():
        content = files("vigil_gateway.handlers.graphql").joinpath("page", name).read_bytes()
        router.add_api_route(path, _static(content, media_type), methods=["GET"])
    return router


def _static(content: bytes, media_type: str) -> Callable[[], Awaitable[Response]]:
    async def respond() -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return respond
