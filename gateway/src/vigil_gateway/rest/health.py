"""Liveness, readiness and metrics; open to all, and without any person's data."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from vigil_gateway.api.factory import Process


def health_router(parts: Process, registry: CollectorRegistry) -> APIRouter:
    """Make the routes /healthz, /readyz and /metrics."""
    router = APIRouter(tags=["operating"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the process runs and answers."""
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """Say whether requests can be answered now; 503 names what is missing.

        Without NATS the API goes on: events then come from the database, up to a second later.
        """
        feed = parts.services.hub.feed
        ready = feed.away is None and feed.ready.is_set()
        told = {
            "database": feed.away or "ok",
            "bus": "ok" if parts.bus.connected else "NATS is not connected; events come from the database meanwhile",
        }
        return JSONResponse({"ready": ready, **told}, status_code=200 if ready else 503)

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """Give all metrics for Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
