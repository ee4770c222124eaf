"""The types of the schema; names and meanings are those of the contracts."""

import datetime as dt
import uuid
from typing import Generic, NewType, TypeVar

import strawberry
from strawberry.schema.config import StrawberryConfig

from vigil_contracts.conditions import ConditionStatus, FitnessReason, SourceReason
from vigil_contracts.events import CameraState, CloseReason, IdentityStatus, SightingState
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
    IdentityStatus: "The result of the search in the gallery; UNDETERMINED: no shot was good enough to compare.",
    SightingState: "A sighting opens, is updated, closes.",
    SourceType: "How a camera delivers its video.",
}.items():
    strawberry.enum(_enum, description=_description)  # by the members' names: `True` breaks generated clients


@strawberry.type(description="The camera that a sighting was made by.")
class CameraRef:
    """Mirror of the contract's CameraRef."""

    namespace: str
    name: str


@strawberry.type(description="A rectangle in shares of the picture's width and height, from its upper left corner.")
class Box:
    """Mirror of the contract's Box."""

    x: float
    y: float
    width: float
    height: float


@strawberry.type(description="A point in shares of the picture's width and height.")
class Point:
    """One landmark."""

    x: float
    y: float


@strawberry.type(description="How good a shot of a face is; shares from 0 to 1 but for what is named otherwise.")
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


@strawberry.type(description="The Subject that a sighting was of.")
class SubjectRef:
    """Mirror of the contract's SubjectRef."""

    subject_id: uuid.UUID
    namespace: str
    name: str
    display_name: str


@strawberry.type(description="Who a sighting was of, and how surely.")
class Identity:
    """Mirror of the contract's Identity."""

    status: IdentityStatus
    subject: SubjectRef | None
    similarity: float | None = strawberry.field(
        description="Cosine of the best Subject, also when it stayed below the threshold."
    )
    runner_up_similarity: float | None
    threshold: float | None
    margin: float | None
    model_id: str | None
    decided_at: dt.datetime | None


@strawberry.type(description="One person on one camera from entering to leaving, as of its newest revision.")
class Sighting:
    """Mirror of the contract's Sighting, with what became of it."""

    id: uuid.UUID
    revision: int
    state: SightingState
    site: str
    camera: CameraRef
    opened_at: dt.datetime = strawberry.field(description="The moment inside the id; the same in all revisions.")
    last_seen_at: dt.datetime
    closed_at: dt.datetime | None
    close_reason: CloseReason | None
    frames: Count = strawberry.field(description="Analysed pictures in which the face was found.")
    best_shot: BestShot | None
    identity: Identity


@strawberry.type(description="When the picture that caused a revision passed each station.")
class Trace:
    """Mirror of the contract's Trace."""

    captured_at: dt.datetime
    detected_at: dt.datetime | None
    embedded_at: dt.datetime | None
    published_at: dt.datetime | None
    identified_at: dt.datetime | None


@strawberry.type(description="A revision of a sighting with its identity, at its place in the site's order.")
class SightingEvent:
    """What the subscription `sightings` yields."""

    cursor: str = strawberry.field(description="Pass it as `after` to go on behind this event.")
    seq: Count = strawberry.field(description="Place in the site's order of events: gap-free, in order of commit.")
    revision: int = strawberry.field(description="The revision that this event tells of.")
    superseded: bool = strawberry.field(
        description="A later revision had already been told; `sighting` and `identity` are those of the later one."
    )
    sighting: Sighting
    identity: Identity
    trace: Trace | None


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
    reconnects: Count
    inference_errors: Count
    sightings_opened: Count
    events_created: Count
    events_published: Count
    events_dropped: Count
    embeddings: Count


@strawberry.type(description="How a camera is doing: its last heartbeat.")
class CameraHeartbeat:
    """Mirror of the contract's CameraHeartbeat."""

    state: CameraState
    reason: SourceReason
    message: str
    session_id: str
    since: dt.datetime
    sent_at: dt.datetime = strawberry.field(description="When the heartbeat was sent, by the camera's clock.")
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
        description="Why pictures come and none of them can be analysed; null while they are."
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


@strawberry.type(description="A camera: as declared, and as it is.")
class Camera:
    """A registered camera; `heartbeat` is null until its stream process has spoken."""

    namespace: str
    name: str
    uid: uuid.UUID | None
    site: str
    source_type: SourceType | None
    url: str | None
    suspended: bool
    fps: int | None = strawberry.field(description="Declared sampling rate.")
    created_at: dt.datetime
    updated_at: dt.datetime
    heartbeat: CameraHeartbeat | None
    conditions: list[Condition] = strawberry.field(
        description="Streaming, SourceReachable and FitForRecognition by the last heartbeat; empty without one."
    )


@strawberry.type(description="A camera's heartbeat as it arrives.")
class CameraEvent:
    """What the subscription `cameras` yields."""

    camera: CameraRef
    heartbeat: CameraHeartbeat
    conditions: list[Condition]


@strawberry.type(description="What became of one photo of a Subject.")
class Photo:
    """One row of subject_photos."""

    name: str
    accepted: bool
    reason: str
    message: str
    quality: float | None = strawberry.field(description="0 to 1; null when no face was measured.")


@strawberry.type(description="A person who may be recognised.")
class Subject:
    """A registered Subject."""

    id: uuid.UUID
    namespace: str
    name: str
    display_name: str
    external_id: str | None
    category: str | None
    enrolled: bool = strawberry.field(description="At least one photo is in the gallery.")
    active: bool = strawberry.field(description="May be recognised at this moment, as far as validity and consent go.")
    active_from: dt.datetime | None
    active_until: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime
    photos: list[Photo]


@strawberry.type(description="The site that this API speaks for.")
class Site:
    """What a newcomer asks first."""

    name: str
    cursor: str = strawberry.field(
        description="The newest event's cursor. Read it, then lists, then subscribe after it: nothing is missed."
    )
    cameras: Count
    subjects: Count


@strawberry.type(description="How this API stands.")
class Status:
    """The parts that the API needs and the load it carries."""

    version: str
    database: bool
    bus: bool
    newest_seq: Count = strawberry.field(description="Newest event that this API has told its subscribers.")
    subscribers: int
    connections: int


NodeType = TypeVar("NodeType")


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """As Relay has it."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type(description="An entry of a list with its place.")
class Edge(Generic[NodeType]):
    """As Relay has it."""

    cursor: str
    node: NodeType


@strawberry.type(description="One page of a list.")
class Connection(Generic[NodeType]):
    """As Relay has it, with `nodes` for those who need no cursors."""

    edges: list[Edge[NodeType]]
    page_info: PageInfo
    nodes: list[NodeType] = strawberry.field(description="The entries without their cursors.")
