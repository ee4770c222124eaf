"""Liveness and readiness of a program, open to all and without personal data, and metrics."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Response
from prometheus_client import CollectorRegistry, generate_latest

from vigil_runtime import health


def health_router(
    ready: Callable[[], Awaitable[health.Response]],
    registry: CollectorRegistry,
    refresh: Callable[[], Awaitable[None]] | None = None,
    may_scrape: Callable[[str | None], bool] | None = None,
) -> APIRouter:
    """Return the routes /healthz, /readyz and /metrics.

    Parameters
    ----------
    ready
        Makes the response to /readyz, with `vigil_runtime.health.probe`.
    refresh
        Called before each scrape, for metrics that have to be asked for.
    may_scrape
        Whether the Authorization of a request allows it to read metrics; without it every request may, where only
        the cluster can reach the port.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> Response:
        return _http(health.probe({}))

    @router.get("/readyz")
    async def readyz() -> Response:
        return _http(await ready())

    @router.get("/metrics")
    async def metrics(authorization: Annotated[str | None, Header()] = None) -> Response:
        if may_scrape is not None and not may_scrape(authorization):
            message = "metrics need a token: send the header `Authorization: Bearer TOKEN`"
            raise HTTPException(401, message, {"WWW-Authenticate": "Bearer"})
        if refresh is not None:
            await refresh()
        return _http(health.metrics(generate_latest(registry)))

    return router


def _http(response: health.Response) -> Response:
    return Response(response.body, response.status, media_type=response.content_type)
