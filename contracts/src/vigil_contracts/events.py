"""Events on the bus: CloudEvents 1.0 in JSON, one schema per type and version.

Writers fill every field they know; readers leave unknown fields aside, and refuse a type or a version that they do
not know with an error that names both. A sighting event is complete in itself: the newest revision decides alone, so
that seeing one twice, late or out of order changes nothing.
"""

import base64
import datetime as dt
import math
import struct
import uuid
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import AwareDatetime, Field, ValidationError, field_validator, model_validator

from vigil_contracts.base import Tolerant
from vigil_contracts.bus import MAX_EVENT_BYTES
from vigil_contracts.conditions import FitnessReason, SourceReason
from vigil_contracts.ids import ResourceKey, sighting_time

MAX_SHOTS = 5
"""Best shots that a sighting carries: more change no decision and make events grow."""

Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class EventError(ValueError):
    """A message that is no valid event; the text names the fault."""

    def __init__(self, reason: "RejectReason", message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RejectReason(StrEnum):
    """Why an event was set aside."""

    NOT_JSON = "NotJSON"
    NOT_CLOUD_EVENT = "NotCloudEvent"
    UNKNOWN_TYPE = "UnknownType"
    FUTURE_VERSION = "FutureVersion"
    INVALID_DATA = "InvalidData"
    TOO_LARGE = "TooLarge"
    WRONG_SUBJECT = "WrongSubject"
    UNKNOWN_CAMERA = "UnknownCamera"
    UNKNOWN_MODEL = "UnknownModel"
    WRONG_EMBEDDING_LENGTH = "WrongEmbeddingLength"


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
    shots: Annotated[list[BestShot], Field(max_length=MAX_SHOTS)] = []
    """The best so far, best first."""
    trace: Trace | None = None

    @property
    def opened_at(self) -> dt.datetime:
        """The moment inside the id, the same in all revisions."""
        return sighting_time(self.sighting_id)

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


class IdentityStatus(StrEnum):
    """The result of the search in the gallery."""

    KNOWN = "Known"
    UNKNOWN = "Unknown"
    UNDETERMINED = "Undetermined"
    """No shot was good enough to compare."""


class SubjectRef(Tolerant):
    """The Subject that a sighting was of."""

    subject_id: uuid.UUID
    namespace: str
    name: str
    display_name: str


class Identity(Tolerant):
    """The person of a sighting, with the similarity behind the decision."""

    status: IdentityStatus
    subject: SubjectRef | None = None
    similarity: Finite | None = None
    """Cosine of the best Subject, also when it stayed below the threshold."""
    runner_up_similarity: Finite | None = None
    threshold: Finite | None = None
    margin: Finite | None = None
    model_id: str | None = None
    decided_at: AwareDatetime


class Match(Tolerant):
    """A revision of a sighting with its identity, at its place in the site's order."""

    seq: Annotated[int, Field(ge=1)]
    """Gap-free, in order of commit."""
    revision: Annotated[int, Field(ge=1)]
    """The revision that this event reports."""
    superseded: bool = False
    """A later revision had already been seen; `sighting` and `identity` are then those of the later one."""
    sighting: Sighting
    """Without embeddings."""
    identity: Identity


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
    reconnects: int = 0
    inference_errors: int = 0
    sightings_opened: int = 0
    events_created: int = 0
    events_published: int = 0
    """Acknowledged by JetStream."""
    events_dropped: int = 0
    """Lost because the outbox was full."""
    embeddings: int = 0


class CameraHeartbeat(Tolerant):
    """How a camera is doing; every 2 s and at each change of state."""

    site: str
    camera: CameraRef
    session_id: str
    state: CameraState
    reason: SourceReason
    message: str = ""
    since: AwareDatetime
    last_frame_at: AwareDatetime | None = None
    next_attempt_at: AwareDatetime | None = None
    width: int | None = None
    height: int | None = None
    codec: str | None = None
    decoder: str | None = None
    inference_endpoint: str | None = None
    inference_trouble: str | None = None
    """Why frames arrive and cannot be analysed, for a person; empty during a short interruption."""
    captured_fps: Finite = 0.0
    analysed_fps: Finite = 0.0
    latency_p95_ms: Finite | None = None
    """Capture to detections, over the last minute."""
    outbox_pending: int = 0
    fitness: FitnessReason = FitnessReason.NO_FACES_YET
    fitness_message: str = ""
    counters: CameraCounters = CameraCounters()

    @property
    def event_id(self) -> str:
        """Heartbeats have no id that matters; the last one counts."""
        return str(uuid.uuid4())


Data = TypeVar("Data", bound=Tolerant)


class CloudEvent(Tolerant, Generic[Data]):
    """The envelope, as CloudEvents 1.0 defines it in JSON; attribute names are lower case without separators there."""

    model_config = {**Tolerant.model_config, "alias_generator": None}

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, Field(min_length=1, max_length=256)]
    source: Annotated[str, Field(min_length=1, max_length=512)]
    type: str
    subject: str | None = None
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: Data


AnyEvent = CloudEvent[Any]
"""Kept here: pydantic drops a parametrised model without a reference, and building it again takes 2 ms per event."""

SIGHTING_TYPE = "dev.vigil.sighting.v1"
MATCH_TYPE = "dev.vigil.match.v1"
CAMERA_TYPE = "dev.vigil.camera.v1"
TYPES: dict[str, type[Tolerant]] = {SIGHTING_TYPE: Sighting, MATCH_TYPE: Match, CAMERA_TYPE: CameraHeartbeat}


def encode_sighting(sighting: Sighting, at: dt.datetime) -> bytes:
    """Wrap a sighting's revision for the bus."""
    return _encode(SIGHTING_TYPE, sighting.event_id, sighting.site, sighting.camera, sighting, at)


def encode_match(match: Match, at: dt.datetime) -> bytes:
    """Wrap a match for the bus."""
    return _encode(MATCH_TYPE, f"match:{match.seq}", match.sighting.site, match.sighting.camera, match, at)


def encode_heartbeat(heartbeat: CameraHeartbeat, at: dt.datetime) -> bytes:
    """Wrap a heartbeat for the bus."""
    return _encode(CAMERA_TYPE, heartbeat.event_id, heartbeat.site, heartbeat.camera, heartbeat, at)


def _encode(kind: str, event_id: str, site: str, camera: CameraRef, data: Tolerant, at: dt.datetime) -> bytes:
    source = f"/sites/{site}/cameras/{camera.namespace}/{camera.name}"
    event = AnyEvent(id=event_id, source=source, type=kind, subject=str(camera.key), time=at, data=data)
    return event.model_dump_json(by_alias=True, exclude_none=True, serialize_as_any=True).encode()


def decode(body: bytes, expected: type[Data]) -> Data:
    """Read one event's data.

    Raises
    ------
    EventError
        Not JSON, not a CloudEvent, another type, a later version, data that do not fit, or too large.
    """
    if len(body) > MAX_EVENT_BYTES:
        raise EventError(RejectReason.TOO_LARGE, f"the event has {len(body)} bytes; at most {MAX_EVENT_BYTES} are read")
    wanted = next(name for name, model in TYPES.items() if model is expected)
    try:
        envelope = AnyEvent.model_validate_json(body)
    except ValidationError as error:
        not_json = any(details["type"] == "json_invalid" for details in error.errors())
        reason, form = (
            (RejectReason.NOT_JSON, "JSON") if not_json else (RejectReason.NOT_CLOUD_EVENT, "a CloudEvent 1.0")
        )
        raise EventError(reason, f"the message is not {form}: {_first(error)}") from None
    if envelope.type != wanted:
        raise _unexpected_type(envelope.type, wanted)
    try:
        return expected.model_validate(envelope.data)
    except ValidationError as error:
        raise EventError(RejectReason.INVALID_DATA, f"the data of {wanted} do not fit: {_first(error)}") from None


def _unexpected_type(found: str, wanted: str) -> EventError:
    stem, _, version = found.rpartition(".v")
    known_stem, _, known_version = wanted.rpartition(".v")
    if stem == known_stem and version.isdecimal() and int(version) > int(known_version):
        return EventError(
            RejectReason.FUTURE_VERSION,
            f"{found} is of a later version than {wanted}, which this program reads; upgrade it",
        )
    return EventError(RejectReason.UNKNOWN_TYPE, f"the type is {found!r}; {wanted} is expected here")


def _first(error: ValidationError) -> str:
    details = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in details["loc"])
    return f"{where}: {details['msg']}" if where else details["msg"]
