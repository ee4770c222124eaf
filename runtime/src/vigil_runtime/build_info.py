"""The metrics that every program exports: its build and its process."""

import platform
from collections.abc import Iterable
from importlib import metadata

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector


class BuildInfo(Collector):
    """Exports `vigil_build_info{program,version,python}`.

    Parameters
    ----------
    program
        Short name, such as `stream`; its distribution is `vigil-<program>` unless it is named.
    """

    def __init__(self, program: str, distribution: str | None = None) -> None:
        self._labels = {
            "program": program,
            "version": metadata.version(distribution or f"vigil-{program}"),
            "python": platform.python_version(),
        }

    def collect(self) -> Iterable[Metric]:
        """Yield the metric; its value is always 1."""
        info = GaugeMetricFamily("vigil_build_info", "Version of the running program.", labels=list(self._labels))
        info.add_metric(list(self._labels.values()), 1.0)
        yield info


def register_build_info(registry: CollectorRegistry, program: str, distribution: str | None = None) -> None:
    """Export the build of a program beside its other metrics."""
    registry.register(BuildInfo(program, distribution))


def program_registry(program: str, distribution: str | None = None) -> CollectorRegistry:
    """Return a registry with the program's build and the usual `process_*` metrics.

    Each program has a registry of its own, so that a test can hold several. The `_created` series, which would nearly
    double the counters of a scrape, are switched off; `process_start_time_seconds` shows when counting began.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus_client leaves it without annotations
    registry = CollectorRegistry()
    register_build_info(registry, program, distribution)
    ProcessCollector(registry=registry)
    return registry
