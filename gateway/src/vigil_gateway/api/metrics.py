"""Prometheus metrics: read from the parts when they are asked for, so that counting costs the hot path nothing."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vigil_gateway.api.factory import Process
from vigil_gateway.handlers.graphql.live.render import Renderers


class ApiCollector(Collector):
    """What the API's parts have counted."""

    def __init__(self, parts: Process, renderers: Renderers) -> None:
        self._parts = parts
        self._renderers = renderers

    def collect(self) -> Iterable[Metric]:
        """Give all metrics."""
        hub, gate = self._parts.services.hub, self._parts.gate
        gauges = {
            "vigil_api_subscribers": ("Subscriptions of sightings.", len(hub.followers)),
            "vigil_api_connections": ("WebSockets open.", gate.open),
            "vigil_api_selections": ("Distinct selections among subscriptions.", len(self._renderers)),
            "vigil_api_newest_seq": ("Newest event that subscribers can hear.", hub.feed.ring.head),
            "vigil_api_database_up": ("1 when Postgres answered last.", int(hub.feed.away is None)),
            "vigil_api_bus_up": ("1 when NATS is connected.", int(self._parts.bus.connected)),
        }
        counters = {
            "vigil_api_messages_sent": ("Messages sent to WebSockets.", gate.sent),
            "vigil_api_connections_refused": ("WebSockets refused because all were taken.", gate.refused),
            "vigil_api_subscribers_dropped": ("WebSockets closed by the gateway.", gate.dropped),
            "vigil_api_catch_up_reads": ("Pages read from Postgres for subscribers behind.", hub.history.reads),
        }
        for name, (told, value) in gauges.items():
            yield GaugeMetricFamily(name, told, value=value)
        for name, (told, value) in counters.items():
            yield CounterMetricFamily(name, told, value=value)
        events = CounterMetricFamily(
            "vigil_api_events", "Events appended, by where they were first had.", labels=["source"]
        )
        events.add_metric(["bus"], hub.feed.from_bus)
        events.add_metric(["database"], hub.feed.from_database)
        yield events


class QueryTimer:
    """The histogram of query durations, in its own registry, so that a process can hold several APIs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "vigil_api_operation_seconds", "Duration of GraphQL operations.", ["kind"], registry=self.registry
        )

    def observe(self, kind: str, seconds: float) -> None:
        """Count one operation."""
        self._seconds.labels(kind).observe(seconds)
