"""What the services count, for Prometheus; the program that runs them adds what it counts itself."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class ServiceMetrics:
    """Counters and gauges of the services in one process; in a registry of its own, so that a test can run two."""

    def __init__(self) -> None:
        self.registry = here = CollectorRegistry()
        self.errors = Counter(
            "vigil_identity_errors", "Failures of what identity depends on, each tried again.", ["part"], registry=here
        )
        self.published = Counter("vigil_identity_published_events", "Match events published.", registry=here)
        self.leading = Gauge("vigil_identity_relay_leader", "1 when this process is the relay.", registry=here)
        self.photos = Counter(
            "vigil_identity_photos", "Photos assessed for enrolment, by what became of them.", ["reason"], registry=here
        )
        self.retained_out = Counter(
            "vigil_identity_retention_deleted",
            "Rows and messages deleted because their camera's or site's retention had passed, by where they were.",
            ["place"],
            registry=here,
        )
        self.retention_round = Gauge(
            "vigil_identity_retention_round_timestamp_seconds",
            "When retention was last enforced to the end; 0 before the first time.",
            registry=here,
        )
