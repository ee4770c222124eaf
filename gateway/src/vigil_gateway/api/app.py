"""The FastAPI application around the schema."""

import json
from datetime import timedelta
from typing import Any, Final

from fastapi import FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import HTTPConnection
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from vigil_gateway.api.factory import Parts
from vigil_gateway.api.metrics import ApiCollector, QueryTimer
from vigil_gateway.handlers.graphql.context import RequestContext
from vigil_gateway.handlers.graphql.errors import Code, RequestError, error_body, limit_error
from vigil_gateway.handlers.graphql.router import Router, bearer
from vigil_gateway.handlers.graphql.schema import build_schema
from vigil_gateway.handlers.rest.health import health_router
from vigil_gateway.handlers.rest.page import page_router
from vigil_gateway.http.body import BodyLimit, BodyRefused
from vigil_gateway.http.prefix import PathPrefix
from vigil_gateway.http.trace import TraceContext
from vigil_runtime import health

CLOSED: Final[dict[str, Any]] = {"openapi_url": None, "docs_url": None, "redoc_url": None, "redirect_slashes": False}
"""FastAPI's pages would be open to all; its redirects lead to the Host that a proxy made up."""


def create_app(parts: Parts, token: str, metrics_token: str | None = None) -> FastAPI:
    """Return the application; starting and stopping the parts is left to the program.

    Parameters
    ----------
    token
        Bearer token that every GraphQL request must carry.
    metrics_token
        Another one, with which metrics alone can be read.
    """
    timer = QueryTimer()
    limits = parts.limits
    app = FastAPI(title="Vigil", version=parts.services.version, **CLOSED)
    router = _graphql(parts, token, timer)
    timer.registry.register(ApiCollector(parts, router.renderers))
    parts.services.hub.on_rewrite.append(router.renderers.drop)

    app.include_router(page_router())
    app.include_router(router, prefix="/graphql", include_in_schema=False)
    readers = [bearer(one) for one in (token, metrics_token) if one is not None]
    app.include_router(
        health_router(
            lambda: _ready(parts),
            timer.registry,
            may_scrape=lambda given: any(reader(given) is not None for reader in readers),
        )
    )
    app.add_exception_handler(AnyHTTPException, _refused)
    app.add_middleware(
        BodyLimit, max_bytes=limits.max_body_bytes, make_body=_body_refused, grace_s=limits.body_timeout_s
    )
    app.add_middleware(PathPrefix, path="/graphql")
    app.add_middleware(TraceContext)
    if limits.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=limits.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
        )
    return app


def _graphql(parts: Parts, token: str, timer: QueryTimer) -> Router:
    authenticate = bearer(token)

    async def context(connection: HTTPConnection) -> RequestContext:
        live = connection.scope["type"] == "websocket"
        principal = authenticate(connection.headers.get("authorization"))
        found = RequestContext(parts.services, principal=principal, live=live)
        if not live and principal is None:
            raise HTTPException(401, "the token is missing or wrong: send the header `Authorization: Bearer TOKEN`")
        return found

    return Router(
        build_schema(timer.observe),
        parts.gate,
        authenticate,
        graphql_ide=None,
        context_getter=context,
        subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
        connection_init_wait_timeout=timedelta(seconds=parts.limits.init_timeout_s),
        max_subscriptions_per_connection=parts.limits.max_operations,
    )


async def _ready(parts: Parts) -> health.Response:
    """Return whether requests can be answered now; without NATS they can, with events up to a second later."""
    feed = parts.services.hub.feed
    database = feed.away or ("" if feed.ready.is_set() else "the newest event is not known yet")
    bus = "ok" if parts.bus.connected else "NATS is not connected; events come from the database meanwhile"
    return health.probe({"database": database}, {"bus": bus})


async def _refused(_request: Request, error: Any) -> JSONResponse:  # noqa: ANN401 - starlette's handlers take any error
    headers = {"WWW-Authenticate": "Bearer"} if error.status_code == 401 else error.headers
    code = Code.UNAUTHENTICATED if error.status_code == 401 else Code.BAD_REQUEST
    body = error_body(RequestError(code, error.detail))
    return JSONResponse(body, status_code=error.status_code, headers=headers)


def _body_refused(refused: BodyRefused) -> bytes:
    if refused.status == 413:
        error = limit_error("bodyBytes", refused.allowed, refused.given, "bytes in the request's body")
    else:
        error = RequestError(Code.BAD_REQUEST, refused.message)
    return json.dumps(error_body(error)).encode()
