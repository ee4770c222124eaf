"""Prometheus metrics of identity, beside those of its services."""

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from vigil_gateway.identity.recorder import Outcome, ProcessedMessage
from vigil_gateway.services.metrics import ServiceMetrics

_LATENCY_BUCKETS: Final = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_SHORT_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)


class _BusErrors(Collector):
    def __init__(self, read: Callable[[], int]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily("vigil_identity_bus_errors", "Errors of the connection to NATS.", value=self._read())


class Metrics(ServiceMetrics):
    """Counters, gauges and histograms of one identity process."""

    def __init__(self) -> None:
        super().__init__()
        here = self.registry
        self.events = Counter(
            "vigil_identity_events", "Sighting events processed, by result.", ["result"], registry=here
        )
        self.identities = Counter(
            "vigil_identity_decisions", "Decisions on the identity of a sighting, by status.", ["status"], registry=here
        )
        self.rejected = Counter(
            "vigil_identity_events_rejected", "Sighting events rejected, by reason.", ["reason"], registry=here
        )
        self.latency = Histogram(
            "vigil_identity_capture_to_identity_duration_seconds",
            "Time from the capture of a frame to the commit of the identity decided from it.",
            buckets=_LATENCY_BUCKETS,
            registry=here,
        )
        self.search_duration = Histogram(
            "vigil_identity_search_duration_seconds",
            "Duration of a search in the gallery.",
            buckets=_SHORT_BUCKETS,
            registry=here,
        )
        self.transaction_duration = Histogram(
            "vigil_identity_transaction_duration_seconds",
            "Duration of a database transaction that records sighting events.",
            buckets=_SHORT_BUCKETS,
            registry=here,
        )
        self.backlog = Gauge(
            "vigil_identity_backlog_events", "Sighting events on the bus that are not processed yet.", registry=here
        )
        self.outbox = Gauge(
            "vigil_identity_outbox_events", "Committed events that are not on the bus yet.", registry=here
        )
        self.database_up = Gauge("vigil_identity_database_up", "1 while Postgres answers, else 0.", registry=here)
        self.bus_up = Gauge("vigil_identity_bus_up", "1 while NATS is connected, else 0.", registry=here)

    def watch_bus_errors(self, read: Callable[[], int]) -> None:
        """Export the number of errors of the bus connection, read at each scrape."""
        self.registry.register(_BusErrors(read))

    def count(self, message: ProcessedMessage, outcome: Outcome) -> None:
        """Count one message and its outcome."""
        self.events.labels(str(outcome.result)).inc()
        if outcome.rejection is not None:
            self.rejected.labels(str(outcome.rejection.reason)).inc()
        if outcome.decision is None or message.sighting is None:
            return
        self.identities.labels(str(outcome.decision.identity.status)).inc()
        clock_is_right = message.sighting.opened_not_before is None
        if message.sighting.trace is not None and message.incoming.rejected_id is None and clock_is_right:
            passed = dt.datetime.now(dt.UTC) - message.sighting.trace.captured_at
            self.latency.observe(max(passed.total_seconds(), 0.0))
