"""The state of the camera: written by capture, analysis and the bus, read by heartbeats, metrics and probes."""

import datetime as dt
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from vigil_contracts.conditions import FitnessReason, SourceReason
from vigil_contracts.events import CameraCounters, CameraHeartbeat, CameraRef, CameraState
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.source import SourceInfo
from vigil_stream.frame_loss import FrameLoss

RATE_WINDOW_S = 10.0
LATENCY_WINDOW_S = 60.0
BLIP_S = 5.0
"""Inference that analysed a frame so recently is not reported as away."""


@dataclass(slots=True)
class _Source:
    state: CameraState
    reason: SourceReason
    message: str
    since: dt.datetime
    next_attempt_at: dt.datetime | None = None
    info: SourceInfo | None = None
    size: tuple[int, int] | None = None
    last_frame_at: dt.datetime | None = None


class _Rate:
    """Events per second over the last ten, from a running count."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def mark(self, at: float, count: int) -> float:
        self._marks.append((at, count))
        while len(self._marks) > 2 and self._marks[0][0] < at - RATE_WINDOW_S:
            self._marks.popleft()
        first_at, first = self._marks[0]
        return (count - first) / (at - first_at) if at > first_at else 0.0


class Status:
    """The state of one camera; its methods may be called from several threads.

    Parameters
    ----------
    site, camera, session_id
        Go into every heartbeat.
    changed
        Called after each change of state, from the thread that made it.
    """

    def __init__(self, site: str, camera: CameraRef, session_id: str, changed: Callable[[], None]) -> None:
        self._site = site
        self._camera = camera
        self._session_id = session_id
        self._changed = changed
        self._lock = threading.Lock()
        self._source = _Source(CameraState.CONNECTING, SourceReason.CONNECTING, "starting", _now())
        self._latencies: deque[tuple[float, float]] = deque(maxlen=4096)
        self._captured_rate = _Rate()
        self._analysed_rate = _Rate()
        self._loss = FrameLoss()
        self._fitness = (FitnessReason.NO_FACES_YET, "")
        self._errors: dict[str, str] = {}
        self._analysed_at = float("-inf")
        self.inference_endpoint: str | None = None
        self.detection_error = ""
        """Why the last frame could not be analysed; empty when it could."""
        self.journal_pending: Callable[[], int] = lambda: 0
        self.counters: Callable[[], CameraCounters] = CameraCounters
        self.observe_latency: Callable[[float], None] = lambda _: None

    @property
    def state(self) -> CameraState:
        """The state of the source."""
        return self._source.state

    @property
    def reason(self) -> SourceReason:
        """The reason of that state."""
        return self._source.reason

    @property
    def errors(self) -> dict[str, str]:
        """The errors beside the source, by part: bus, counters, inference, journal; empty when every part works."""
        with self._lock:
            return dict(self._errors)

    def connecting(self) -> None:
        """Record that an attempt begins; the reason of the last failure stays until it succeeds."""
        with self._lock:
            again = self._source.reason is not SourceReason.CONNECTING
            self._source.next_attempt_at = None
        if not again:
            self._set(CameraState.CONNECTING, SourceReason.CONNECTING, "connecting")

    def connected(self, info: SourceInfo) -> None:
        """Record that the source was opened; it streams with its first frame."""
        with self._lock:
            self._source.info = info
            self._source.size = None
            if info.width and info.height:
                self._source.size = info.width, info.height

    def frame_captured(self, width: int, height: int, captured_at: float) -> None:
        """Record a frame that was sampled for analysis."""
        with self._lock:
            self._source.last_frame_at = dt.datetime.fromtimestamp(captured_at, dt.UTC)
            self._source.size = width, height
            streaming = self._source.state is CameraState.STREAMING
        if not streaming:
            self._set(CameraState.STREAMING, SourceReason.CONNECTED, "")

    def notice(self, reason: SourceReason, message: str) -> None:
        """Record a reason while the source is read on; CONNECTED when it is gone."""
        if reason is SourceReason.WAITING_FOR_KEYFRAME:
            self._set(CameraState.CONNECTING, reason, message)
        elif self.state is CameraState.STREAMING:
            self._set(CameraState.STREAMING, reason, message)

    def lost(self, error: SourceError, retry_in_s: float) -> None:
        """Record that the source is lost."""
        next_at = _now() + dt.timedelta(seconds=retry_in_s)
        self._set(CameraState.RECONNECTING, error.reason, str(error), next_at)

    def ended(self) -> None:
        """Record that a file came to its end."""
        self._set(CameraState.ENDED, SourceReason.ENDED, "the file has been played to its end")

    def suspended(self) -> None:
        """Record that the camera is not captured."""
        self._set(CameraState.SUSPENDED, SourceReason.SUSPENDED, "spec.suspend is true")

    def hung(self, activity: str) -> None:
        """Record that a call into the decoder did not return."""
        message = f"{activity} does not return; the process ends and is started again"
        self._set(CameraState.RECONNECTING, SourceReason.DECODER_HUNG, message)

    def stopped(self) -> None:
        """Record that the process ends on request."""
        self._set(CameraState.STOPPED, SourceReason.STOPPED, "the process was asked to end")

    def _set(
        self, state: CameraState, reason: SourceReason, message: str, next_attempt_at: dt.datetime | None = None
    ) -> None:
        with self._lock:
            source = self._source
            if source.state is CameraState.STOPPED:
                # Capture, which ends too, may still report; the last state stays.
                return
            changed = (state, reason, message) != (source.state, source.reason, source.message)
            if (state, reason) != (source.state, source.reason):
                source.since = _now()
            source.state, source.reason, source.message = state, reason, message
            source.next_attempt_at = next_attempt_at
        if changed:
            self._changed()

    def analysed(self, latency_s: float) -> None:
        """Record an analysed frame and the seconds from its capture to its detections."""
        with self._lock:
            self._analysed_at = time.monotonic()
            self._latencies.append((self._analysed_at, latency_s))
        self.observe_latency(latency_s)

    def set_fitness(self, reason: FitnessReason, message: str) -> None:
        """Record whether the camera is fit for recognition."""
        self._fitness = (reason, message)

    def set_error(self, part: str, message: str) -> None:
        """Record the error of a part; an empty message when it works again."""
        with self._lock:
            before = self._errors.get(part, "")
            if message:
                self._errors[part] = message
            else:
                self._errors.pop(part, None)
        if bool(before) != bool(message):
            self._changed()

    def latency_p95_s(self) -> float | None:
        """Return the 95th percentile of the last minute's latencies in seconds."""
        since = time.monotonic() - LATENCY_WINDOW_S
        with self._lock:
            recent = sorted(latency for at, latency in self._latencies if at >= since)
        return recent[min(int(len(recent) * 0.95), len(recent) - 1)] if recent else None

    def heartbeat(self) -> CameraHeartbeat:
        """Return the whole state."""
        counters, latency, now = self.counters(), self.latency_p95_s(), time.monotonic()
        with self._lock:
            source = self._source
            info, size = source.info, source.size
            fitness, fitness_message = self._fitness
            texts = (source.message, self._loss.message(counters, now), *self._errors.values())
            message = "; ".join(text for text in texts if text)
            return CameraHeartbeat(
                site=self._site,
                camera=self._camera,
                session_id=self._session_id,
                state=source.state,
                reason=source.reason,
                message=message,
                since=source.since,
                last_frame_at=source.last_frame_at,
                next_attempt_at=source.next_attempt_at,
                width=size[0] if size else None,
                height=size[1] if size else None,
                codec=info.codec if info else None,
                decoder=info.decoder if info else None,
                inference_endpoint=self.inference_endpoint,
                inference_trouble=self.detection_error or None if now - self._analysed_at >= BLIP_S else None,
                captured_fps=round(self._captured_rate.mark(now, counters.frames_captured), 2),
                analysed_fps=round(self._analysed_rate.mark(now, counters.frames_analysed), 2),
                latency_p95_ms=round(latency * 1000, 1) if latency is not None else None,
                outbox_pending=self.journal_pending(),
                fitness=fitness,
                fitness_message=fitness_message,
                counters=counters,
            )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
