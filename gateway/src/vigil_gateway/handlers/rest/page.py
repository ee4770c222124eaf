"""The page at /graphql: GraphiQL, from its package and served by this program, so that it needs no other host."""

import base64
import functools
import gzip
import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

VENDORED: Final = {
    "react.production.min.js": "tMH8h3BGESGckSAVGZ82T9n90ztNXxvdwvdM6UoR56cYcf+0iGXBliJ29D+wZ/x8",
    "react-dom.production.min.js": "bm7MnzvK++ykSwVJ2tynSE5TRdN+xL418osEVF2DE/L/gfWHj91J2Sphe582B1Bh",
    "graphiql.min.js": "HbRVEFG0JGJZeAHCJ9Xm2+tpknBQ7QZmNlO/DgZtkZ0aJSypT96YYGRNod99l9Ie",
    "graphiql.min.css": "Mq3vbRBY71jfjQAt/DcjxUIYY33ksal4cgdRt9U/hNPvHBCaT2JfJ/PTRiPKf0aM",
}
"""Files of the npm packages react 18.2.0, react-dom 18.2.0 and graphiql 3.8.3, unchanged, with their SHA-384."""

OWN: Final = ("page.js", "page.css")
_TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_FOLDER: Final = files("vigil_gateway.handlers.graphql").joinpath("page")
_POLICY: Final = (
    "default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; font-src data:; img-src 'self' data:; "
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page receives a token, so it runs the scripts with these hashes and no other, not even one of the same host."""


class _PageRoute(APIRoute):
    """Leaves to GraphQL what is not the request of a browser that was led to the address."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match requests without a `query` whose client takes HTML."""
        found, child = super().matches(scope)
        return (found, child) if found is Match.FULL and _wants_page(scope) else (Match.NONE, {})


def _wants_page(scope: Scope) -> bool:
    accept = Headers(scope=scope).get("accept", "*/*").lower()
    asks = "query" in parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return not asks and ("text/html" in accept or "*/*" in accept)


def page_router() -> APIRouter:
    """Return the routes of the page, which contains no data and asks for the token itself."""
    packed = {name: _FOLDER.joinpath("vendor", f"{name}.gz").read_bytes() for name in VENDORED}
    packed |= {name: gzip.compress(_FOLDER.joinpath(name).read_bytes(), mtime=0) for name in OWN}
    hashes = {name: integrity(gzip.decompress(one)) for name, one in packed.items()}
    html = _FOLDER.joinpath("page.html").read_text(encoding="utf-8")
    for name, digest in hashes.items():
        html = html.replace(f"{{{name}}}", digest)
    scripts = " ".join(f"'{digest}'" for name, digest in hashes.items() if name.endswith(".js"))
    headers = {
        "Content-Security-Policy": _POLICY.format(scripts=scripts),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    router = APIRouter(include_in_schema=False, route_class=_PageRoute)
    router.add_api_route(
        "/graphql", _static(gzip.compress(html.encode()), "text/html; charset=utf-8", headers), methods=["GET"]
    )
    for name, one in packed.items():
        media = _TYPES[name[name.rindex(".") :]]
        router.add_api_route(f"/graphql/{name}", _static(one, media, headers), methods=["GET"])
    # Relative, because a proxy may have removed a prefix, or have another name.
    router.add_api_route("/graphql/", _moved("../graphql"), methods=["GET"])
    router.add_api_route("/", _moved("graphql"), methods=["GET"])
    return router


def integrity(content: bytes) -> str:
    """Return the hash of a file as Subresource Integrity and Content Security Policy write it."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def _static(packed: bytes, media_type: str, headers: dict[str, str]) -> Callable[[Request], Awaitable[Response]]:
    plain = functools.cache(functools.partial(gzip.decompress, packed))  # not for each request: it takes 20 ms

    async def respond(request: Request) -> Response:
        if "gzip" in request.headers.get("accept-encoding", ""):
            more = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            return Response(packed, media_type=media_type, headers=headers | more)
        return Response(plain(), media_type=media_type, headers=headers | {"Vary": "Accept-Encoding"})

    return respond


def _moved(to: str) -> Callable[[], Awaitable[Response]]:
    async def respond() -> Response:
        return RedirectResponse(to)

    return respond
