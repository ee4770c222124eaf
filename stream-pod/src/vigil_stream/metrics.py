"""Prometheus metrics of one camera; the scraper's target labels name the camera."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from vigil_contracts.events import CameraHeartbeat, CameraState
from vigil_runtime.build_info import program_registry

STAGES: Final = ("motion", "convert", "detect", "quality", "embed", "journal", "publish")
"""Stages of the work on a frame, in their order."""

_STAGE_BUCKETS: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_LATENCY_BUCKETS: Final = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)

_COUNTERS: Final = {
    "frames_captured": "Frames that capture received.",
    "frames_analysed": "Frames in which faces were searched for.",
    "frames_without_motion": "Frames that the motion gate skipped.",
    "frames_duplicate": "Frames skipped because they equal the frame before.",
    "frames_dropped": "Frames replaced by a newer frame before they were analysed.",
    "frames_damaged": "Frames that came damaged, or not at all.",
    "frames_left_out": "Frames left out because they, or frames that they depend on, were damaged.",
    "frames_undecoded": "Frames not decoded because the decoder was slower than the stream.",
    "reconnects": "Losses of the source.",
    "inference_errors": "Frames and faces that could not be analysed.",
    "sightings_opened": "Sightings opened.",
    "events_created": "Sighting events written to the journal.",
    "events_published": "Sighting events acknowledged by the bus.",
    "events_dropped": "Sighting events lost because the journal was full.",
    "embeddings": "Faces embedded.",
    "faces_left_out": "Faces in analysed frames beyond detection.maxFaces.",
}
"""Help text of each field of CameraCounters; they count from the creation of the state folder, across restarts."""


class Metrics:
    """Durations as histograms; state and counters read from the heartbeat at each scrape.

    Parameters
    ----------
    heartbeat
        Returns the newest heartbeat.
    """

    def __init__(self, heartbeat: Callable[[], CameraHeartbeat]) -> None:
        self.registry = program_registry("stream")
        self._heartbeat = heartbeat
        stages = Histogram(
            "vigil_stream_stage_duration_seconds",
            "Time that one stage of the work on a frame took.",
            ["stage"],
            registry=self.registry,
            buckets=_STAGE_BUCKETS,
        )
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        self._latency = Histogram(
            "vigil_stream_capture_to_detections_duration_seconds",
            "Time from the capture of a frame to its detections.",
            registry=self.registry,
            buckets=_LATENCY_BUCKETS,
        )
        self.registry.register(self)

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Add one duration of a stage."""
        self._stages[stage].observe(seconds)

    def observe_latency(self, seconds: float) -> None:
        """Add the age of a frame when its detections were known."""
        self._latency.observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """Yield what the heartbeat holds; called by the registry."""
        beat = self._heartbeat()
        for name, value in beat.counters.model_dump().items():
            yield CounterMetricFamily(f"vigil_stream_{name}", _COUNTERS[name], value=value)
        state = GaugeMetricFamily("vigil_stream_state", "1 for the camera's state, else 0.", labels=["state", "reason"])
        for name in CameraState:
            state.add_metric([name, beat.reason if name is beat.state else ""], float(name is beat.state))
        yield state
        yield GaugeMetricFamily(
            "vigil_stream_journal_events", "Events in the journal that wait for the bus.", value=beat.outbox_pending
        )

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
