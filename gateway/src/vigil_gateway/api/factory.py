"""Wire the API's parts: one place that knows how they belong together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from vigil_gateway.api.limits import ApiLimits
from vigil_gateway.handlers.graphql.context import Services
from vigil_gateway.handlers.graphql.limits import QueryLimits
from vigil_gateway.handlers.graphql.live.bus import BusListener
from vigil_gateway.handlers.graphql.live.cameras import CameraStates
from vigil_gateway.handlers.graphql.live.hub import Hub, HubLimits
from vigil_gateway.handlers.graphql.transport import Gate
from vigil_gateway.principal import Permission, system
from vigil_gateway.storage.postgres.event_log import EventLog
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.reader import Reader
from vigil_gateway.storage.postgres.resource_reader import CameraReader, SubjectReader
from vigil_gateway.storage.postgres.sighting_reader import SightingReader
from vigil_runtime.tasks import BackgroundTasks

STOP_S: Final = 5.0
"""For the background tasks to end."""


@dataclass(frozen=True, slots=True)
class Process:
    """All long-lived parts of one API process."""

    limits: ApiLimits
    services: Services
    gate: Gate
    bus: BusListener

    @property
    def database_trouble(self) -> str | None:
        """Why the database cannot be read; None when it can."""
        return self.services.hub.feed.away

    @property
    def caught_up(self) -> bool:
        """Whether the newest event is known, behind which subscriptions begin."""
        return self.services.hub.feed.ready.is_set()

    @property
    def bus_up(self) -> bool:
        """Whether NATS is connected."""
        return self.bus.connected


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the servers are.

    Attributes
    ----------
    token
        Bearer token of the API's clients.
    """

    site: str
    nats_url: str
    nats_token: str | None
    database_url: str
    token: str


@asynccontextmanager
async def process(endpoints: Endpoints, limits: ApiLimits) -> AsyncIterator[Process]:
    """Start everything that runs in the background, and stop it again.

    Neither Postgres nor NATS need to be there: what needs them waits, and /readyz says so.
    """
    database = Database(endpoints.database_url, "vigil-gateway api", limits.database_connections)
    await database.open()
    parts = _parts(endpoints, limits, Reader(database, limits.query_timeout_s))
    tasks = BackgroundTasks()
    tasks.start("feed", parts.services.hub.feed.run)
    tasks.start("bus", parts.bus.run)
    tasks.start("cameras", lambda: _follow_cameras(parts.services))
    try:
        yield parts
    finally:
        parts.services.hub.close("the gateway goes down; connect again and resume after your last cursor")
        await tasks.stop(STOP_S)
        await database.close()


def _parts(endpoints: Endpoints, limits: ApiLimits, reader: Reader) -> Process:
    hub = Hub(
        EventLog(reader, system("live events", Permission.READ_SIGHTINGS)),
        HubLimits(limits.ring_events, limits.ring_age_s, limits.max_lag_events),
    )
    cameras = CameraStates()
    gate = Gate(max_connections=limits.max_connections, send_s=limits.send_timeout_s)
    bus = BusListener(
        endpoints.nats_url, endpoints.nats_token, endpoints.site, on_match=hub.feed.receive, on_camera=cameras.receive
    )
    services = Services(
        site=endpoints.site,
        version=version("vigil-gateway"),
        sightings=SightingReader(reader),
        registered_cameras=CameraReader(reader),
        subjects=SubjectReader(reader),
        hub=hub,
        cameras=cameras,
        limits=QueryLimits(
            tokens=limits.max_tokens, depth=limits.max_depth, aliases=limits.max_aliases, cost=limits.max_cost
        ),
        database_up=lambda: hub.feed.away is None,
        bus_up=lambda: bus.connected,
        connections=lambda: gate.open,
    )
    return Process(limits, services, gate, bus)


async def _follow_cameras(services: Services) -> None:
    await services.cameras.follow(services.registered_cameras.keys)
