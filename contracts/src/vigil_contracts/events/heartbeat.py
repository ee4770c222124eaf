"""The state of a stream process."""

import uuid
from enum import StrEnum

from pydantic import AwareDatetime

from vigil_contracts.addresses import PublicText
from vigil_contracts.base import Tolerant
from vigil_contracts.conditions import FitnessReason, SourceReason
from vigil_contracts.events.sighting import CameraRef, Finite


class CameraState(StrEnum):
    """The state of a stream process."""

    CONNECTING = "Connecting"
    STREAMING = "Streaming"
    RECONNECTING = "Reconnecting"
    SUSPENDED = "Suspended"
    ENDED = "Ended"
    STOPPED = "Stopped"


class CameraCounters(Tolerant):
    """Since the camera's state folder was made; they survive restarts of the process."""

    frames_captured: int = 0
    frames_analysed: int = 0
    frames_without_motion: int = 0
    frames_duplicate: int = 0
    frames_dropped: int = 0
    """Replaced by a newer frame before they were analysed, beyond what the sampling rate leaves out."""
    frames_damaged: int = 0
    """Came damaged, or not at all."""
    frames_left_out: int = 0
    """Damaged, or dependent on such ones; none of them was analysed."""
    frames_undecoded: int = 0
    """Not decoded because the decoder was slower than the stream."""
    reconnects: int = 0
    inference_errors: int = 0
    sightings_opened: int = 0
    events_created: int = 0
    events_published: int = 0
    """Acknowledged by JetStream."""
    events_dropped: int = 0
    """Lost because the journal was full."""
    embeddings: int = 0
    faces_left_out: int = 0
    """Faces in analysed frames beyond detection.maxFaces."""


class CameraHeartbeat(Tolerant):
    """How a camera is doing; every 2 s and at each change of state."""

    site: str
    camera: CameraRef
    session_id: str
    state: CameraState
    reason: SourceReason
    message: PublicText = ""
    since: AwareDatetime
    last_frame_at: AwareDatetime | None = None
    next_attempt_at: AwareDatetime | None = None
    width: int | None = None
    height: int | None = None
    codec: str | None = None
    decoder: str | None = None
    inference_endpoint: str | None = None
    inference_trouble: PublicText | None = None
    """Why frames arrive and cannot be analysed, for a person; empty during a short interruption."""
    captured_fps: Finite = 0.0
    analysed_fps: Finite = 0.0
    latency_p95_ms: Finite | None = None
    """Capture to detections, over the last minute."""
    outbox_pending: int = 0
    fitness: FitnessReason = FitnessReason.NO_FACES_YET
    fitness_message: PublicText = ""
    counters: CameraCounters = CameraCounters()

    @property
    def event_id(self) -> str:
        """Heartbeats have no id that matters; the last one counts."""
        return str(uuid.uuid4())
