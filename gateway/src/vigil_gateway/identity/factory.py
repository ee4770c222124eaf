"""Wiring of identity's parts, and the principals as which its background work acts."""

import asyncio
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI

from vigil_contracts.resources.common import parse_duration
from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.handlers.rest.registry import RegistryParts
from vigil_gateway.identity.app import ASK_S, Health, create_app
from vigil_gateway.identity.consume import SightingProcessor
from vigil_gateway.identity.metrics import Metrics
from vigil_gateway.identity.pipeline import Pipeline, Stores
from vigil_gateway.identity.replay import Replayer
from vigil_gateway.principal import Permission, system
from vigil_gateway.services.cameras import Cameras
from vigil_gateway.services.detector import DetectorReader
from vigil_gateway.services.enrolment import Enroller
from vigil_gateway.services.erasure import Eraser
from vigil_gateway.services.gallery_sync import GallerySync
from vigil_gateway.services.inventory import Inventory
from vigil_gateway.services.missing_events import MissingEvents
from vigil_gateway.services.models import Models
from vigil_gateway.services.relay import Relay
from vigil_gateway.services.retention import Retention
from vigil_gateway.services.sites import Sites
from vigil_gateway.services.status import StatusReader
from vigil_gateway.settings import IdentitySettings
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.qdrant.gallery import Gallery
from vigil_vision.faces.models import TritonFaceModels
from vigil_vision.triton import TritonClient

GALLERY: Final = system("gallery", Permission.READ_SUBJECTS, Permission.ENROLL_SUBJECTS)
RELAY: Final = system("relay", Permission.READ_SIGHTINGS)
RETENTION: Final = system("retention", Permission.DELETE_SIGHTINGS)
ERASURE: Final = system("tombstones", Permission.ERASE_SUBJECTS)
HOUSEKEEPING: Final = system("housekeeping", Permission.DELETE_SIGHTINGS)


@dataclass(frozen=True, slots=True)
class Databases:
    """Pools, of which none can keep another one waiting.

    Attributes
    ----------
    ingestion
        Of what records sightings and publishes what was decided.
    registry
        Of requests to the registry, and of the work in the background that they cause.
    probes
        Of readiness and metrics.
    """

    ingestion: Database
    registry: Database
    probes: Database

    @property
    def all(self) -> tuple[Database, ...]:
        """Return the pools."""
        return self.ingestion, self.registry, self.probes


def _databases(url: str) -> Databases:
    return Databases(
        Database(url, "vigil-gateway identity", 6),
        Database(url, "vigil-gateway identity registry", 6),
        Database(url, "vigil-gateway identity probes", 1, statement_s=ASK_S),
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """All long-lived parts of one identity process."""

    databases: Databases
    bus: SiteBus
    gallery: Gallery
    inference: TritonFaceModels
    models: Models
    gallery_sync: GallerySync
    eraser: Eraser
    replayer: Replayer
    pipeline: Pipeline
    processor: SightingProcessor
    missing: MissingEvents
    relay: Relay
    retention: Retention
    health: Health
    metrics: Metrics
    app: FastAPI


def make_gallery(settings: IdentitySettings) -> Gallery:
    """Return the gallery of the settings; the client of the other kind is not imported."""
    if settings.qdrant_url is not None:
        from vigil_gateway.storage.qdrant.server import server_gallery

        key = settings.qdrant_api_key
        secret = key.get_secret_value() if key else None
        return server_gallery(settings.qdrant_url, secret, settings.site, settings.qdrant_grpc_port)
    if settings.qdrant_path is None:
        msg = "set either VIGIL_QDRANT_URL or VIGIL_QDRANT_PATH"
        raise ValueError(msg)
    from vigil_gateway.storage.qdrant.embedded import EmbeddedGallery

    return EmbeddedGallery(settings.qdrant_path)


def build(settings: IdentitySettings, gallery: Gallery | None = None) -> Parts:
    """Return all parts; connects to nothing yet."""
    bus = SiteBus(settings.bus_address, "vigil-gateway identity")
    databases = _databases(settings.database_url.get_secret_value())
    database = databases.registry
    gallery = gallery or make_gallery(settings)
    inference = TritonFaceModels(
        TritonClient(settings.triton_endpoints, deadline_s=settings.inference_deadline_s, shared_memory="off")
    )
    metrics = Metrics()
    metrics.watch_bus_errors(lambda: bus.errors)
    models = Models(GALLERY, database, gallery, inference)
    gallery_sync = GallerySync(database, gallery, models)
    replayer = Replayer(databases.ingestion, lambda: list(models.known))
    pipeline = Pipeline(settings.site, Stores(databases.ingestion, gallery, models), metrics, replayer)
    missing = MissingEvents(databases.ingestion, metrics)
    processor = SightingProcessor(bus, pipeline, missing, metrics)
    health = Health(databases.probes, bus, gallery, models)
    eraser = Eraser(database, gallery_sync, bus)
    registry = RegistryParts(
        sites=Sites(database),
        cameras=Cameras(database, settings.site, replayer.wake),
        enroller=Enroller(
            database, models, gallery_sync, eraser, inference, metrics, deadline_s=settings.inference_deadline_s
        ),
        eraser=eraser,
        inventory=Inventory(database),
        status=StatusReader(
            settings.site, database, models, processor.consumer.backlog, DetectorReader(settings.triton_endpoints)
        ),
        token=settings.token.get_secret_value(),
        max_photo_bytes=settings.max_photo_bytes,
    )
    return Parts(
        databases=databases,
        bus=bus,
        gallery=gallery,
        inference=inference,
        models=models,
        gallery_sync=gallery_sync,
        eraser=eraser,
        replayer=replayer,
        pipeline=pipeline,
        processor=processor,
        missing=missing,
        relay=Relay(RELAY, databases.ingestion, bus, pipeline.on_commit, metrics),
        retention=Retention(RETENTION, database, bus, metrics, parse_duration(settings.sighting_retention)),
        health=health,
        metrics=metrics,
        app=create_app(registry, health, metrics, settings.max_upload_bytes),
    )


async def close(parts: Parts) -> None:
    """Release everything."""
    await asyncio.to_thread(parts.inference.close)
    await parts.gallery.close()
    for database in parts.databases.all:
        await database.close()
