"""Prometheus metrics of the operator."""

from collections.abc import Callable
from functools import partial

from prometheus_client import Counter, Gauge, Histogram, generate_latest

from vigil_runtime.build_info import program_registry


class Metrics:
    """All metrics of one operator."""

    def __init__(self) -> None:
        self.registry = program_registry("operator")
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        self.reconciles = counter("vigil_operator_reconciles", "Reconciles, by kind and outcome.", ["kind", "outcome"])
        self.reconcile_duration = Histogram(
            "vigil_operator_reconcile_duration_seconds",
            "Duration of a reconcile, by kind.",
            ["kind"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self.requests = counter(
            "vigil_operator_api_requests", "Requests to the API server, by verb and kind.", ["verb", "kind"]
        )
        self.request_errors = counter(
            "vigil_operator_api_errors", "Requests that the API server did not fulfil, by error.", ["error"]
        )
        self.kopf_errors = counter(
            "vigil_operator_kopf_errors",
            "Requests of kopf that the API server did not fulfil, by error; kopf retries them.",
            ["error"],
        )
        self.watch_restarts = counter(
            "vigil_operator_watch_restarts", "Watches started again after a failure, by kind.", ["kind"]
        )
        self.refusals = counter(
            "vigil_operator_registry_refusals",
            "Requests that the registry refused for good, by method and kind.",
            ["method", "kind"],
        )
        self.cameras = gauge("vigil_operator_cameras", "Cameras, by the reason of their condition Ready.", ["reason"])
        self.leader = gauge("vigil_operator_leader", "1 while this operator holds the Lease, else 0.")

    def watch_queue(self, depth: Callable[[], float], delayed: Callable[[], float]) -> None:
        """Export the length of the queue, read at each scrape."""
        for name, text, read in (
            ("vigil_operator_queue_depth", "Objects that wait for a worker.", depth),
            ("vigil_operator_queue_delayed", "Objects whose reconcile is due later.", delayed),
        ):
            Gauge(name, text, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
