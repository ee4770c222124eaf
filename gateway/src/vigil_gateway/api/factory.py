"""Wiring of the API's parts, and the principal as which live events are read."""

from dataclasses import dataclass
from importlib.metadata import version

from vigil_gateway.api.limits import ApiLimits
from vigil_gateway.handlers.graphql.context import Services
from vigil_gateway.handlers.graphql.limits import QueryLimits
from vigil_gateway.handlers.graphql.live.bus import BusListener
from vigil_gateway.handlers.graphql.live.cameras import CameraStates
from vigil_gateway.handlers.graphql.live.hub import Hub, HubLimits
from vigil_gateway.handlers.graphql.transport import Gate
from vigil_gateway.principal import Permission, system
from vigil_gateway.settings import ApiSettings
from vigil_gateway.storage.postgres.event_log import EventLog
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.reader import Reader
from vigil_gateway.storage.postgres.resource_reader import CameraReader, SubjectReader
from vigil_gateway.storage.postgres.sighting_reader import SightingReader
from vigil_runtime.bus import BusAddress


@dataclass(frozen=True, slots=True)
class Parts:
    """All long-lived parts of one API process."""

    limits: ApiLimits
    database: Database
    services: Services
    gate: Gate
    bus: BusListener


def build(settings: ApiSettings, limits: ApiLimits) -> Parts:
    """Return all parts; connects to nothing yet."""
    database = Database(settings.database_url.get_secret_value(), "vigil-gateway api", limits.database_connections)
    reader = Reader(database, limits.query_timeout_s)
    hub = Hub(
        EventLog(reader, system("live events", Permission.READ_SIGHTINGS)),
        HubLimits(limits.ring_events, limits.ring_age_s, limits.max_lag_events),
    )
    cameras = CameraStates()
    gate = Gate(max_connections=limits.max_connections, send_s=limits.send_timeout_s)
    bus = BusListener(
        BusAddress(settings.nats_url, settings.bus_token, settings.site),
        on_match=hub.feed.receive,
        on_camera=cameras.receive,
    )
    services = Services(
        site=settings.site,
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
    return Parts(limits, database, services, gate, bus)
