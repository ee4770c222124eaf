"""The values of the schema; names and meanings are those of the contracts. Objects with an id are in `nodes`."""

import datetime as dt
from typing import NewType

import strawberry
from strawberry.schema.config import StrawberryConfig

from vigil_contracts.conditions import ConditionStatus, FitnessReason, SourceReason
from vigil_contracts.events import CameraState, CloseReason, IdentityReason, IdentityStatus, SightingState
from vigil_contracts.resources.camera import SourceType

Count = NewType("Count", int)

CONFIG = StrawberryConfig(
    scalar_map={
        Count: strawberry.scalar(
            name="Count",
            description="A number of things: a whole number from 0 to 2^53, more than Int can hold.",
            serialize=int,
            parse_value=int,
        )
    }
)

for _enum, _description in {
    ConditionStatus: "Kubernetes' three-valued truth.",
    FitnessReason: "Why faces at a camera are, or are not, good enough to recognise.",
    SourceReason: "Why a camera's source delivers frames, or does not.",
    CameraState: "The state of a camera's stream process.",
    CloseReason: "Why a sighting ended.",
    IdentityReason: "Why a person was recognised, or was not; AMBIGUOUS: two Subjects are about equally similar.",
    IdentityStatus: "The result of the search in the gallery; UNDETERMINED: no shot was good enough to compare.",
    SightingState: "A sighting opens, is updated, closes.",
    SourceType: "How a camera delivers its video.",
}.items():
    strawberry.enum(_enum, description=_description)  # by the members' names: `True` breaks generated clients


@strawberry.type(description="A rectangle in shares of the frame's width and height, from its upper left corner.")
class Box:
    """Mirror of the contract's Box."""

    x: float
    y: float
    width: float
    height: float


@strawberry.type(description="A point in shares of the frame's width and height.")
class Point:
    """One landmark."""

    x: float
    y: float


@strawberry.type(description="The quality of a shot of a face; shares from 0 to 1 unless the name has a unit.")
class FaceQuality:
    """Mirror of the contract's FaceQuality."""

    score: float
    face_pixels: float
    sharpness: float
    brightness: float
    yaw_degrees: float
    pitch_degrees: float
    roll_degrees: float


@strawberry.type(description="The face at the best moment of a sighting.")
class BestShot:
    """Mirror of the contract's BestShot, without its embedding."""

    captured_at: dt.datetime
    box: Box
    landmarks: list[Point]
    confidence: float
    quality: FaceQuality


@strawberry.type(description="When the frame that caused a revision passed each stage.")
class Trace:
    """Mirror of the contract's Trace."""

    captured_at: dt.datetime
    detected_at: dt.datetime | None
    embedded_at: dt.datetime | None
    published_at: dt.datetime | None
    identified_at: dt.datetime | None


@strawberry.type(description="One entry of a resource's conditions, as in Kubernetes.")
class Condition:
    """A condition, derived from a camera's heartbeat."""

    type: str
    status: ConditionStatus
    reason: str
    message: str
    last_transition_time: dt.datetime | None


@strawberry.type(description="Since the camera's state folder was made; they survive restarts of the process.")
class CameraCounters:
    """Mirror of the contract's CameraCounters."""

    frames_captured: Count
    frames_analysed: Count
    frames_without_motion: Count
    frames_duplicate: Count
    frames_dropped: Count
    frames_damaged: Count
    frames_left_out: Count
    frames_undecoded: Count
    reconnects: Count
    inference_errors: Count
    sightings_opened: Count
    events_created: Count
    events_published: Count
    events_dropped: Count
    embeddings: Count
    faces_left_out: Count


@strawberry.type(description="The last heartbeat of a camera's stream process.")
class CameraHeartbeat:
    """Mirror of the contract's CameraHeartbeat."""

    state: CameraState
    reason: SourceReason
    message: str
    session_id: str
    since: dt.datetime
    sent_at: dt.datetime = strawberry.field(description="When the heartbeat was sent, by the camera's clock.")
    received_at: dt.datetime = strawberry.field(
        description="When it was received, by the clock of the API; far from `sentAt`, the camera's clock is wrong."
    )
    stale: bool = strawberry.field(
        description="No heartbeat for longer than three of its periods: the process is not running or not connected."
    )
    last_frame_at: dt.datetime | None
    next_attempt_at: dt.datetime | None
    width: int | None
    height: int | None
    codec: str | None
    decoder: str | None
    inference_endpoint: str | None
    inference_trouble: str | None = strawberry.field(
        description="Why frames arrive and none of them can be analysed; null while they are."
    )
    captured_fps: float
    analysed_fps: float
    latency_p95_ms: float | None = strawberry.field(
        name="latencyP95Ms", description="Capture to detections, over the last minute."
    )
    outbox_pending: Count
    fitness: FitnessReason
    fitness_message: str
    counters: CameraCounters


@strawberry.type(description="The assessment of one photo of a Subject.")
class Photo:
    """One row of subject_photos."""

    name: str
    accepted: bool
    reason: str
    message: str
    quality: float | None = strawberry.field(description="0 to 1; null when no face was measured.")


@strawberry.type(description="The site that this API speaks for.")
class Site:
    """The site, and where its event log ends."""

    name: str
    cursor: str = strawberry.field(
        description="The newest event's cursor. Read it, then lists, then subscribe after it: nothing is missed."
    )
    cameras: Count
    subjects: Count


@strawberry.type(description="The state of this API.")
class Status:
    """The servers that the API needs, and its load."""

    version: str
    database: bool
    bus: bool
    newest_seq: Count = strawberry.field(description="Newest event that subscribers of this API can receive.")
    subscribers: int
    connections: int
