"""Prometheus metrics of the services; the program that runs them adds its own to the same registry."""

from prometheus_client import Counter, Gauge

from vigil_runtime.build_info import program_registry


class ServiceMetrics:
    """Counters and gauges of the services in one process."""

    def __init__(self) -> None:
        self.registry = here = program_registry("identity", "vigil-gateway")
        self.errors = Counter(
            "vigil_identity_errors",
            "Failed calls to a dependency, each of which is repeated, by dependency.",
            ["part"],
            registry=here,
        )
        self.published = Counter(
            "vigil_identity_events_published", "Events published to the bus from the outbox.", registry=here
        )
        self.leading = Gauge(
            "vigil_identity_relay_leader", "1 while this process publishes the outbox, else 0.", registry=here
        )
        self.photos = Counter(
            "vigil_identity_photos", "Photos assessed for enrolment, by result.", ["reason"], registry=here
        )
        self.retained_out = Counter(
            "vigil_identity_retention_deleted",
            "Rows and messages deleted because their retention ended, by store.",
            ["place"],
            registry=here,
        )
        self.missing = Gauge(
            "vigil_identity_missing_events",
            "Sighting events before the last of their journal that were not processed, over all journals.",
            registry=here,
        )
        self.missed = Counter(
            "vigil_identity_events_missed",
            "Sighting events reported as missing, each by one process and once.",
            registry=here,
        )
        self.retention_round = Gauge(
            "vigil_identity_retention_round_timestamp_seconds",
            "Time of the last complete enforcement of retention; 0 before the first.",
            registry=here,
        )
