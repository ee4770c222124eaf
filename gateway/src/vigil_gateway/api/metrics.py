"""Prometheus metrics of the API: read from the parts at each scrape, so that counting costs the hot path nothing."""

from collections.abc import Iterable

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vigil_gateway.api.factory import Parts
from vigil_gateway.handlers.graphql.live.render import Renderers
from vigil_runtime.build_info import program_registry


class ApiCollector(Collector):
    """Exports the counts of the API's parts."""

    def __init__(self, parts: Parts, renderers: Renderers) -> None:
        self._parts = parts
        self._renderers = renderers

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics; called by the registry."""
        hub, gate = self._parts.services.hub, self._parts.gate
        gauges = {
            "vigil_api_subscribers": ("Open subscriptions to sightings.", len(hub.followers)),
            "vigil_api_connections": ("Open WebSockets that have shown the token.", gate.open),
            "vigil_api_unauthenticated_connections": (
                "Connections that have not sent a request or the token.",
                len(self._parts.lobby),
            ),
            "vigil_api_selections": ("Distinct selections of fields among the subscriptions.", len(self._renderers)),
            "vigil_api_newest_cursor": (
                "Position of the newest event that subscribers can receive.",
                hub.feed.ring.head,
            ),
            "vigil_api_database_up": ("1 while Postgres answers, else 0.", int(hub.feed.away is None)),
            "vigil_api_bus_up": ("1 while NATS is connected, else 0.", int(self._parts.bus.connected)),
        }
        counters = {
            "vigil_api_messages_sent": ("Messages sent to WebSockets.", gate.sent),
            "vigil_api_connections_refused": ("WebSockets refused because the limit was reached.", gate.refused),
            "vigil_api_queries_refused": (
                "Queries refused because their principal or connection had too many.",
                gate.budgets.refused,
            ),
            "vigil_api_subscribers_dropped": (
                "WebSockets that the API closed, for instance because the client read too slowly.",
                gate.dropped,
            ),
            "vigil_api_unauthenticated_closed": (
                "Connections closed before they had authenticated, to make room for others.",
                self._parts.lobby.turned_out,
            ),
            "vigil_api_catch_up_reads": ("Pages read from Postgres for subscribers that lag.", hub.history.reads),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value=value)
        for name, (text, value) in counters.items():
            yield CounterMetricFamily(name, text, value=value)
        events = CounterMetricFamily(
            "vigil_api_events",
            "Events read, by what caused the read: the bus, or the clock.",
            labels=["source"],
        )
        events.add_metric(["bus"], hub.feed.from_bus)
        events.add_metric(["database"], hub.feed.from_database)
        yield events


class QueryTimer:
    """The histogram of the durations of operations, and the registry of one API."""

    def __init__(self) -> None:
        self.registry = program_registry("api", "vigil-gateway")
        self._duration = Histogram(
            "vigil_api_operation_duration_seconds",
            "Duration of GraphQL operations, by kind.",
            ["kind"],
            registry=self.registry,
        )

    def observe(self, kind: str, seconds: float) -> None:
        """Add the duration of one operation."""
        self._duration.labels(kind).observe(seconds)
