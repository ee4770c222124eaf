"""Figures of the time between two snapshots of the system. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.subscriber import ReceivedEvent
from bench.system import Metrics, Snapshot

STAGES = ("motion", "convert", "detect", "quality", "embed", "journal", "publish")
"""Stages of `vigil_stream_stage_duration_seconds`, in their order."""

LATENCY = "vigil_stream_capture_to_detections_duration_seconds"

ON_TIME = 0.95
"""A camera is sustained when at least this share of the requested frames was analysed."""

LATENCY_LIMIT_S = 1.0
"""And when a frame is not older than this when it has been analysed: an age that grows would exceed it."""


@dataclass(frozen=True, slots=True)
class CameraWindow:
    """One camera over a window; `latency_p95_s` is read from the stream process's histogram of latencies."""

    analysed_fps: float
    captured_fps: float
    dropped_fps: float
    latency_p95_s: float

    def sustained(self, fps: float) -> bool:
        """Return whether it kept up with `fps` frames per second."""
        return self.analysed_fps >= ON_TIME * fps and self.latency_p95_s <= LATENCY_LIMIT_S


def camera_windows(before: Snapshot, after: Snapshot) -> dict[str, CameraWindow]:
    """Return every camera's rates; a camera whose process did not respond counts as idle."""
    seconds = after.at - before.at
    found = {}
    for name, now in after.cameras.items():
        then = before.cameras.get(name, {})
        analysed, captured, dropped = (
            _delta(then, now, f"vigil_stream_frames_{kind}_total") / seconds
            for kind in ("analysed", "captured", "dropped")
        )
        found[name] = CameraWindow(analysed, captured, dropped, quantile(then, now, LATENCY, 0.95))
    return found


def _delta(then: Metrics, now: Metrics, name: str) -> float:
    return max(now.get(name, 0.0) - then.get(name, 0.0), 0.0) if then and now else 0.0


def quantile(then: Metrics, now: Metrics, histogram: str, share: float) -> float:
    """Return a quantile of a histogram's growth as Prometheus' histogram_quantile does; 0 when nothing was observed.

    What lies above the last finite bound counts as that bound.
    """
    start = f'{histogram}_bucket{{le="'
    bounds = sorted(
        (float(name.removeprefix(start).removesuffix('"}')), _delta(then, now, name))
        for name in now
        if name.startswith(start)
    )
    rank = share * (bounds[-1][1] if bounds else 0.0)
    lower, below = 0.0, 0.0
    for bound, count in bounds:
        if count >= rank > 0 and math.isfinite(bound):
            return lower + (bound - lower) * (rank - below) / (count - below)
        if math.isfinite(bound):
            lower, below = bound, count
    return lower if rank else 0.0


def total(before: Snapshot, after: Snapshot, name: str) -> float:
    """Return a counter's growth over all cameras."""
    return sum(_delta(before.cameras.get(camera, {}), now, name) for camera, now in after.cameras.items())


def stages(before: Snapshot, after: Snapshot) -> list[dict[str, float | str]]:
    """Return each stage's calls per second, mean, and share of the time that one camera has between frames."""
    seconds = after.at - before.at
    frames = total(before, after, "vigil_stream_frames_analysed_total") or 1
    found: list[dict[str, float | str]] = []
    for stage in STAGES:
        label = f'{{stage="{stage}"}}'
        count = total(before, after, f"vigil_stream_stage_duration_seconds_count{label}")
        spent = total(before, after, f"vigil_stream_stage_duration_seconds_sum{label}")
        if count:
            found.append(
                {
                    "stage": stage,
                    "per second": count / seconds,
                    "mean ms": 1000 * spent / count,
                    "ms per frame": 1000 * spent / frames,
                }
            )
    return found


def cpu(before: Snapshot, after: Snapshot) -> list[dict[str, float | str]]:
    """Return each kind of process's cores used and CPU time per analysed frame; the cameras' processes as one line."""
    seconds = after.at - before.at
    frames = total(before, after, "vigil_stream_frames_analysed_total")
    used: dict[str, float] = {}
    for name, now in after.cpu_s.items():
        kind = "stream processes" if name.startswith("stream-") else name.rpartition(" ")[0] if ": " in name else name
        used[kind] = used.get(kind, 0.0) + now - before.cpu_s.get(name, 0.0)
    ordered = sorted(used.items(), key=lambda item: -item[1])
    return [
        {
            "process": name,
            "cores": spent / seconds,
            "CPU ms per frame": 1000 * spent / frames if frames else 0.0,
        }
        for name, spent in ordered
        if spent / seconds >= 0.001
    ]


def latencies_ms(events: Sequence[ReceivedEvent]) -> dict[str, list[float]]:
    """Return, for revisions that a frame with a new best shot caused, milliseconds from capture to each station."""
    found: dict[str, list[float]] = {}
    for event in events:
        captured = event.stations.get("capturedAt")
        if captured is None or "embeddedAt" not in event.stations:
            continue
        found.setdefault("subscriber", []).append(1000 * (event.at - captured))
        for name, at in event.stations.items():
            if name != "capturedAt":
                found.setdefault(name.removesuffix("At"), []).append(1000 * (at - captured))
    return found


def others_cores(before: Snapshot, after: Snapshot, known_s: float = 0.0) -> float:
    """Return the cores used by programs outside the system: a high figure makes a window unreliable.

    Parameters
    ----------
    known_s
        CPU seconds that serving used in the window; the bench itself counts as others.
    """
    ours = sum(now - before.cpu_s.get(name, 0.0) for name, now in after.cpu_s.items())
    return max(after.machine_s - before.machine_s - ours - known_s, 0.0) / (after.at - before.at)
