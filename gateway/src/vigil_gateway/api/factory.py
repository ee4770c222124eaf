"""Wiring of the API's parts, and the principal as which live events are read."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from vigil_gateway.api.limits import ApiLimits
from vigil_gateway.handlers.graphql.budgets import BudgetLimits, Budgets
from vigil_gateway.handlers.graphql.context import Services
from vigil_gateway.handlers.graphql.limits import QueryLimits
from vigil_gateway.handlers.graphql.live.bus import BusListener
from vigil_gateway.handlers.graphql.live.cameras import CameraStates
from vigil_gateway.handlers.graphql.live.history import PARALLEL_READS
from vigil_gateway.handlers.graphql.live.hub import Hub, HubLimits
from vigil_gateway.handlers.graphql.transport import Gate
from vigil_gateway.http.server import Lobby
from vigil_gateway.principal import Permission, system
from vigil_gateway.settings import ApiSettings
from vigil_gateway.storage.postgres.event_log import EventLog
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.reader import Reader
from vigil_gateway.storage.postgres.resource_reader import CameraReader, SubjectReader
from vigil_gateway.storage.postgres.sighting_reader import SightingReader

LIVE_CONNECTIONS: Final = 2
"""The feed reads one page after the other; the second connection is for a read that was cut off."""


@dataclass(frozen=True, slots=True)
class Parts:
    """All long-lived parts of one API process.

    Attributes
    ----------
    databases
        Pools for queries, for live events (and so for readiness) and for replays: none can keep another one waiting.
    """

    limits: ApiLimits
    databases: tuple[Database, ...]
    services: Services
    gate: Gate
    bus: BusListener
    lobby: Lobby


def _budget_limits(limits: ApiLimits) -> BudgetLimits:
    return BudgetLimits(
        of_principal=min(limits.max_queries, max(1, limits.database_connections - 1)),
        of_connection=limits.max_connection_queries,
        waiting=limits.max_waiting_queries,
        wait_s=limits.query_timeout_s,
        reads=PARALLEL_READS - 1,
    )


def build(settings: ApiSettings, limits: ApiLimits) -> Parts:
    """Return all parts; connects to nothing yet."""
    url = settings.database_url.get_secret_value()
    queries = Database(url, "vigil-gateway api", limits.database_connections, limits.query_timeout_s)
    live = Database(url, "vigil-gateway api live", LIVE_CONNECTIONS, limits.query_timeout_s)
    replays = Database(url, "vigil-gateway api replays", PARALLEL_READS, limits.query_timeout_s)
    reader = Reader(queries, limits.query_timeout_s)
    follower = system("live events", Permission.READ_SIGHTINGS)
    hub = Hub(
        EventLog(Reader(live, limits.query_timeout_s), follower),
        HubLimits(limits.ring_events, limits.ring_age_s, limits.max_lag_events),
        EventLog(Reader(replays, limits.query_timeout_s), follower),
    )
    cameras = CameraStates()
    gate = Gate(
        max_connections=limits.max_connections,
        send_s=limits.send_timeout_s,
        max_replays=limits.max_replays,
        budgets=Budgets(_budget_limits(limits)),
    )
    bus = BusListener(
        settings.bus_address,
        on_match=hub.feed.notify,
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
    return Parts(
        limits,
        (queries, live, replays),
        services,
        gate,
        bus,
        Lobby(limits.max_unauthenticated, limits.head_timeout_s, limits.response_timeout_s),
    )
