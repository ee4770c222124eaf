"""Sightings with their best shots."""

import base64
import datetime as dt
import math
import struct
import uuid
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from vigil_contracts.base import Tolerant
from vigil_contracts.ids import ResourceKey, sighting_time

MAX_SHOTS = 5
"""Best shots that a sighting carries: more change no decision and make events grow."""

Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class CameraRef(Tolerant):
    """The camera of an event."""

    namespace: str
    name: str

    @property
    def key(self) -> ResourceKey:
        """The same as a key."""
        return ResourceKey(self.namespace, self.name)


class Box(Tolerant):
    """A rectangle in shares of the source frame's width and height, from its upper left corner."""

    x: Finite
    y: Finite
    width: Finite
    height: Finite


class Embedding(Tolerant):
    """A face as numbers; only vectors of one model can be compared."""

    model_id: str
    vector: str
    """base64 of little-endian float32, L2-normalised."""

    @classmethod
    def from_bytes(cls, model_id: str, data: bytes) -> Self:
        """Wrap little-endian float32 bytes, for example `array.astype("<f4").tobytes()`."""
        return cls(model_id=model_id, vector=base64.b64encode(data).decode())

    def to_bytes(self) -> bytes:
        """Return the little-endian float32 bytes, for `numpy.frombuffer(…, "<f4")`."""
        return base64.b64decode(self.vector)

    @property
    def size(self) -> int:
        """Length of the vector."""
        return len(self.to_bytes()) // 4

    @field_validator("vector")
    @classmethod
    def _finite_floats(cls, value: str) -> str:
        try:
            data = base64.b64decode(value, validate=True)
        except ValueError:
            msg = "the vector is not base64"
            raise ValueError(msg) from None
        if not data or len(data) % 4:
            msg = f"the vector has {len(data)} bytes; a positive multiple of 4 is needed for float32"
            raise ValueError(msg)
        if not all(map(math.isfinite, struct.unpack(f"<{len(data) // 4}f", data))):
            msg = "the vector holds NaN or infinity"
            raise ValueError(msg)
        return value


class FaceQuality(Tolerant):
    """The quality of a shot of a face."""

    score: Unit
    """The overall quality."""
    face_pixels: Finite
    """Width of the face in pixels of the source frame."""
    sharpness: Unit
    brightness: Unit
    yaw_degrees: Finite
    """Turned to the side; negative: to the image's left."""
    pitch_degrees: Finite
    roll_degrees: Finite


class BestShot(Tolerant):
    """The face at one moment of a sighting."""

    captured_at: AwareDatetime
    box: Box
    landmarks: Annotated[list[tuple[Finite, Finite]], Field(min_length=5, max_length=5)]
    """In shares of the frame: eyes, nose, mouth corners, image-left first."""
    confidence: Unit
    quality: FaceQuality
    embedding: Embedding | None = None
    """None when the camera only detects."""


class SightingState(StrEnum):
    """A sighting opens, is updated, closes."""

    OPENED = "Opened"
    UPDATED = "Updated"
    CLOSED = "Closed"


class CloseReason(StrEnum):
    """Why a sighting ended."""

    LEFT = "Left"
    CUT = "Cut"
    SOURCE_LOST = "SourceLost"
    SHUTDOWN = "Shutdown"
    RESTARTED = "Restarted"


class Trace(Tolerant):
    """When the frame that caused a revision passed each stage, for latency by stage."""

    captured_at: AwareDatetime
    detected_at: AwareDatetime | None = None
    embedded_at: AwareDatetime | None = None
    published_at: AwareDatetime | None = None
    identified_at: AwareDatetime | None = None


class Sighting(Tolerant):
    """One person on one camera from entering to leaving, as of one revision."""

    sighting_id: uuid.UUID
    revision: Annotated[int, Field(ge=1)]
    state: SightingState
    site: str
    camera: CameraRef
    session_id: str
    """One run of the camera's stream process."""
    last_seen_at: AwareDatetime
    closed_at: AwareDatetime | None = None
    close_reason: CloseReason | None = None
    frames: Annotated[int, Field(ge=1)]
    """Analysed frames in which the face was found."""
    box: Box
    """Where it was last."""
    still: bool = False
    """The face does not live: a photo or a poster, which stays where it is as no person does."""
    shots: Annotated[list[BestShot], Field(max_length=MAX_SHOTS)] = []
    """The best so far, best first."""
    trace: Trace | None = None
    received_at: AwareDatetime | None = None
    """When the bus received this revision; this and the following fields are identity's, whatever a camera sends."""
    clock_offset_ms: Finite | None = None
    """How far the camera's clock was ahead of the bus' when it sent this revision; negative: behind."""
    bounded_opened_at: AwareDatetime | None = None
    """When the sighting opened, where the camera's clock was implausible; none: at the moment inside the id."""
    opened_not_before: AwareDatetime | None = None
    """Beside `boundedOpenedAt`: the earliest moment at which the sighting can have opened."""

    @property
    def opened_at(self) -> dt.datetime:
        """When it opened, the same in all revisions: the moment inside the id, unless identity has bounded it."""
        return self.bounded_opened_at or sighting_time(self.sighting_id)

    @property
    def event_id(self) -> str:
        """The message id by which JetStream drops duplicates."""
        return f"{self.sighting_id}:{self.revision}"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sighting_time(self.sighting_id)
        if (self.state is SightingState.CLOSED) != (self.closed_at is not None):
            msg = "closedAt belongs to state Closed and to no other"
            raise ValueError(msg)
        return self
