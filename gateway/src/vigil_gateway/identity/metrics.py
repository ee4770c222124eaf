"""What identity counts, for Prometheus, beside what its services count."""

import datetime as dt
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from vigil_gateway.identity.recorder import Judged, Outcome
from vigil_gateway.services.metrics import ServiceMetrics

_LATENCY_BUCKETS: Final = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_SHORT_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)


class Metrics(ServiceMetrics):
    """Counters, gauges and histograms of one identity process."""

    def __init__(self) -> None:
        super().__init__()
        here = self.registry
        self.events = Counter(
            "vigil_identity_events", "Sighting events dealt with, by what became of them.", ["result"], registry=here
        )
        self.identities = Counter("vigil_identity_decisions", "Decisions, by status.", ["status"], registry=here)
        self.rejected = Counter(
            "vigil_identity_rejected_events", "Events set aside, by reason.", ["reason"], registry=here
        )
        self.latency = Histogram(
            "vigil_identity_capture_to_identity_seconds",
            "From the capture of the picture to the commit of its identity.",
            buckets=_LATENCY_BUCKETS,
            registry=here,
        )
        self.search_seconds = Histogram(
            "vigil_identity_search_seconds", "One search of the gallery.", buckets=_SHORT_BUCKETS, registry=here
        )
        self.transaction_seconds = Histogram(
            "vigil_identity_transaction_seconds", "One transaction.", buckets=_SHORT_BUCKETS, registry=here
        )
        self.backlog = Gauge(
            "vigil_identity_backlog", "Sighting events on the bus that are not yet dealt with.", registry=here
        )
        self.unpublished = Gauge(
            "vigil_identity_unpublished", "Events committed that the relay has not yet published.", registry=here
        )
        self.database_up = Gauge("vigil_identity_database_up", "1 when Postgres answered last.", registry=here)
        self.bus_up = Gauge("vigil_identity_bus_up", "1 when NATS is connected.", registry=here)
        self.bus_errors = Gauge("vigil_identity_bus_errors", "Errors of the connection to NATS so far.", registry=here)

    def count(self, judged: Judged, outcome: Outcome) -> None:
        """Count one message and what became of it."""
        self.events.labels(str(outcome.result)).inc()
        if outcome.rejection is not None:
            self.rejected.labels(str(outcome.rejection.reason)).inc()
        if outcome.decision is None or judged.sighting is None:
            return
        self.identities.labels(str(outcome.decision.identity.status)).inc()
        if judged.sighting.trace is not None and judged.incoming.rejected_id is None:
            passed = dt.datetime.now(dt.UTC) - judged.sighting.trace.captured_at
            self.latency.observe(max(passed.total_seconds(), 0.0))
