"""Prometheus metrics of one camera. Labels are few: which camera it is, the scraper's target labels say."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

from vigil_contracts.events import CameraHeartbeat, CameraState

STAGES = ("motion", "convert", "detect", "look", "embed", "journal", "publish")
"""Where the time of a picture goes."""

_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Metrics:
    """Stage timings as histograms; state and counters read from the heartbeat when somebody scrapes.

    Parameters
    ----------
    heartbeat
        Gives the newest.
    """

    def __init__(self, heartbeat: Callable[[], CameraHeartbeat]) -> None:
        self._registry = CollectorRegistry()
        self._heartbeat = heartbeat
        stages = Histogram(
            "vigil_stream_stage_seconds",
            "Time that one stage took.",
            ["stage"],
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def took(self, stage: str, seconds: float) -> None:
        """Note how long a stage took."""
        self._stages[stage].observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """Read the heartbeat; called by the registry."""
        beat = self._heartbeat()
        for name, value in beat.counters.model_dump().items():
            yield CounterMetricFamily(f"vigil_stream_{name}", f"{name.replace('_', ' ')}, since ever.", value=value)
        state = GaugeMetricFamily(
            "vigil_stream_state", "1 for the state that the camera is in.", labels=["state", "reason"]
        )
        for name in CameraState:
            state.add_metric([name, beat.reason if name is beat.state else ""], float(name is beat.state))
        yield state
        gauges = {
            "captured_fps": beat.captured_fps,
            "analysed_fps": beat.analysed_fps,
            "outbox_pending": beat.outbox_pending,
            "latency_p95_seconds": (beat.latency_p95_ms or 0.0) / 1000,
        }
        for name, number in gauges.items():
            yield GaugeMetricFamily(f"vigil_stream_{name}", f"{name.replace('_', ' ')}.", value=number)

    def text(self) -> bytes:
        """Give all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
