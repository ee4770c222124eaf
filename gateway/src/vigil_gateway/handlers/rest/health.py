"""Liveness, readiness and metrics; open to all, and without any person's data."""

from typing import Protocol

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


class Probed(Protocol):
    """What is asked about its health."""

    @property
    def database_trouble(self) -> str | None:
        """Why the database cannot be read; None when it can."""

    @property
    def caught_up(self) -> bool:
        """Whether the newest event is known, behind which subscriptions begin."""

    @property
    def bus_up(self) -> bool:
        """Whether NATS is connected."""


def health_router(parts: Probed, registry: CollectorRegistry) -> APIRouter:
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
        ready = parts.database_trouble is None and parts.caught_up
        told = {
            "database": parts.database_trouble or "ok",
            "bus": "ok" if parts.bus_up else "NATS is not connected; events come from the database meanwhile",
        }
        return JSONResponse({"ready": ready, **told}, status_code=200 if ready else 503)

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """Give all metrics for Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
