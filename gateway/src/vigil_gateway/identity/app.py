"""Identity over HTTP: the registry, and what those who operate it ask."""

import asyncio
import json
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.http.body import BodyLimit
from vigil_gateway.identity.metrics import Metrics
from vigil_gateway.identity.registry import HANDLED, RegistryParts, error_answer, registry_router
from vigil_gateway.services.models import Models
from vigil_gateway.storage.errors import DatabaseError, GalleryError
from vigil_gateway.storage.postgres import outbox
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.qdrant.gallery import Gallery

ASK_S: Final = 2.0


@dataclass(slots=True)
class Health:
    """How what identity depends on is doing.

    Attributes
    ----------
    starting
        What the program is waiting for before it takes sightings; empty when it takes them.
    opened
        The gallery was opened and brought up to date.
    """

    database: Database
    bus: SiteBus
    gallery: Gallery
    models: Models
    starting: str = "not started yet"
    opened: bool = False

    async def checks(self) -> dict[str, str]:
        """Ask each, and give `ok` or what is wrong by its name."""
        return {
            "database": await self._database(),
            "bus": "ok" if self.bus.ready else f"NATS is away: {self.bus.last_error}",
            "gallery": await self._gallery(),
            "model": "ok" if self.models.current else f"no recognition model is known yet: {self.models.reason}",
            "consumer": self.starting or "ok",
        }

    async def _gallery(self) -> str:
        if not self.opened:
            return "the gallery is not open yet"
        try:
            async with asyncio.timeout(ASK_S):
                await self.gallery.open()
        except (GalleryError, TimeoutError) as error:
            return str(error) or f"the gallery did not answer within {ASK_S:g} s"
        return "ok"

    async def _database(self) -> str:
        try:
            async with asyncio.timeout(ASK_S):
                await self.database.value("SELECT 1")
        except (DatabaseError, TimeoutError) as error:
            return str(error) or f"the database did not answer within {ASK_S:g} s"
        return "ok"


def create_app(parts: RegistryParts, health: Health, metrics: Metrics, max_upload_bytes: int) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    max_upload_bytes
        Of one request.
    """
    app = FastAPI(title="Vigil identity", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the process runs and answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """Say whether sightings are taken and identified now; 503 names what is missing."""
        checks = await health.checks()
        ready = all(told == "ok" for told in checks.values())
        enrolment = health.models.reason or "ok"
        return JSONResponse({"ready": ready, **checks, "enrolment": enrolment}, status_code=200 if ready else 503)

    @app.get("/metrics")
    async def prometheus() -> Response:
        """Give all metrics for Prometheus."""
        await _refresh(health, metrics, parts)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    app.include_router(registry_router(parts))
    for kind in HANDLED:
        app.add_exception_handler(kind, error_answer)
    app.add_middleware(BodyLimit, max_bytes=max_upload_bytes, answer=_too_large)
    return app


def _too_large(given: int, allowed: int) -> bytes:
    return json.dumps({"detail": f"the request has {given} bytes or more; at most {allowed} are read"}).encode()


async def _refresh(health: Health, metrics: Metrics, parts: RegistryParts) -> None:
    """Ask for the figures that nobody counts as they come."""
    backlog = await parts.status.backlog()
    metrics.backlog.set(float("nan") if backlog is None else backlog)
    metrics.bus_up.set(int(health.bus.ready))
    try:
        async with asyncio.timeout(ASK_S), health.database.connection() as connection:
            metrics.outbox.set(await outbox.count_pending(connection))
        metrics.database_up.set(1)
    except (DatabaseError, TimeoutError):
        metrics.database_up.set(0)
