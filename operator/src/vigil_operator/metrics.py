"""What the operator counts, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """All metrics of one operator, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "vigil_operator_reconciles", "Reconciles by kind and outcome.", ["kind", "outcome"], registry=self.registry
        )
        self.seconds = Histogram(
            "vigil_operator_reconcile_seconds",
            "Duration of a reconcile.",
            ["kind"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self.requests = Counter(
            "vigil_operator_api_requests", "Requests to the API server.", ["verb", "kind"], registry=self.registry
        )
        self.request_errors = Counter(
            "vigil_operator_api_errors",
            "Requests that the API server did not fulfil.",
            ["error"],
            registry=self.registry,
        )
        self.watch_restarts = Counter(
            "vigil_operator_watch_restarts", "Watches begun anew after a failure.", ["kind"], registry=self.registry
        )
        self.refusals = Counter(
            "vigil_operator_registry_refusals",
            "Requests that identity's registry refused for good, by what was asked.",
            ["method", "kind"],
            registry=self.registry,
        )
        self.cameras = Gauge(
            "vigil_operator_cameras",
            "Cameras by the reason of their condition Ready.",
            ["reason"],
            registry=self.registry,
        )
        self.leader = Gauge("vigil_operator_leader", "1 while this operator holds the Lease.", registry=self.registry)

    def watch_queue(self, depth: Callable[[], float], delayed: Callable[[], float]) -> None:
        """Read the queue's length whenever metrics are asked for."""
        for name, told, read in (
            ("vigil_operator_queue_depth", "Keys that wait for a worker.", depth),
            ("vigil_operator_queue_delayed", "Keys that come back later.", delayed),
        ):
            Gauge(name, told, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """Give all of it in Prometheus' text format."""
        return generate_latest(self.registry)
