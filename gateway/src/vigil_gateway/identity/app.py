"""Identity over HTTP: the registry, probes and metrics."""

import asyncio
import json
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI

from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.handlers.rest.health import health_router
from vigil_gateway.handlers.rest.registry import HANDLED, RegistryParts, error_response, registry_router
from vigil_gateway.http.body import BodyLimit, BodyRefused
from vigil_gateway.http.trace import TraceContext
from vigil_gateway.identity.metrics import Metrics
from vigil_gateway.services.models import Models
from vigil_gateway.storage.errors import DatabaseError, GalleryError
from vigil_gateway.storage.postgres import outbox
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.qdrant.gallery import Gallery
from vigil_runtime import health as probes

ASK_S: Final = 2.0


@dataclass(slots=True)
class Health:
    """The state of identity and of what it depends on.

    Attributes
    ----------
    starting
        What the program waits for before it processes sightings; empty when it does.
    opened
        The gallery was opened and brought up to date.
    """

    database: Database
    bus: SiteBus
    gallery: Gallery
    models: Models
    starting: str = "not started yet"
    opened: bool = False
    _looking: asyncio.Task[probes.Response] | None = None

    async def ready(self) -> probes.Response:
        """Return whether sightings are processed and identified now; one look serves all who ask meanwhile."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(self._looked)
        return await asyncio.shield(self._looking)

    def _looked(self, _done: asyncio.Task[probes.Response]) -> None:
        self._looking = None

    async def _look(self) -> probes.Response:
        return probes.probe(
            {
                "database": await self._database(),
                "bus": "" if self.bus.ready else f"NATS is away: {self.bus.last_error}",
                "gallery": await self._gallery(),
                "model": "" if self.models.current else f"no recognition model is known yet: {self.models.reason}",
                "consumer": self.starting,
            },
            {"enrolment": self.models.reason or "ok"},
        )

    async def _gallery(self) -> str:
        if not self.opened:
            return "the gallery is not open yet"
        try:
            async with asyncio.timeout(ASK_S):
                await self.gallery.open()
        except (GalleryError, TimeoutError) as error:
            return str(error) or f"the gallery did not answer within {ASK_S:g} s"
        return ""

    async def _database(self) -> str:
        try:
            async with asyncio.timeout(ASK_S):
                await self.database.ping()
        except (DatabaseError, TimeoutError) as error:
            return str(error) or f"the database did not answer within {ASK_S:g} s"
        return ""


def create_app(parts: RegistryParts, health: Health, metrics: Metrics, max_upload_bytes: int) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    max_upload_bytes
        Of one request.
    """
    app = FastAPI(title="Vigil identity", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health_router(health.ready, metrics.registry, lambda: _refresh(health, metrics, parts)))
    app.include_router(registry_router(parts))
    for kind in HANDLED:
        app.add_exception_handler(kind, error_response)
    app.add_middleware(BodyLimit, max_bytes=max_upload_bytes, make_body=_body_refused)
    app.add_middleware(TraceContext)
    return app


def _body_refused(refused: BodyRefused) -> bytes:
    return json.dumps({"detail": refused.message}).encode()


async def _refresh(health: Health, metrics: Metrics, parts: RegistryParts) -> None:
    """Set the gauges that are read from the bus and the database."""
    backlog = await parts.status.backlog()
    metrics.backlog.set(float("nan") if backlog is None else backlog)
    metrics.bus_up.set(int(health.bus.ready))
    try:
        async with asyncio.timeout(ASK_S), health.database.connection() as connection:
            metrics.outbox.set(await outbox.count_pending(connection))
        metrics.database_up.set(1)
    except (DatabaseError, TimeoutError):
        metrics.database_up.set(0)
