"""Liveness, readiness and metrics of a program, open to all and without personal data."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest

from vigil_runtime import health


def health_router(
    ready: Callable[[], Awaitable[health.Response]],
    registry: CollectorRegistry,
    refresh: Callable[[], Awaitable[None]] | None = None,
) -> APIRouter:
    """Return the routes /healthz, /readyz and /metrics.

    Parameters
    ----------
    ready
        Makes the response to /readyz, with `vigil_runtime.health.probe`.
    refresh
        Called before each scrape, for metrics that have to be asked for.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> Response:
        return _http(health.probe({}))

    @router.get("/readyz")
    async def readyz() -> Response:
        return _http(await ready())

    @router.get("/metrics")
    async def metrics() -> Response:
        if refresh is not None:
            await refresh()
        return _http(health.metrics(generate_latest(registry)))

    return router


def _http(response: health.Response) -> Response:
    return Response(response.body, response.status, media_type=response.content_type)
