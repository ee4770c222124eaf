"""Events on the bus: CloudEvents 1.0 in JSON, one schema per type and version.

Writers fill every field they know; readers leave unknown fields aside, and refuse a type or a version that they do
not know with an error that names both. A sighting event is complete in itself: the newest revision decides alone, so
that seeing one twice, late or out of order changes nothing.

A new type is a module here and a line in `envelope.TYPES`.
"""

from vigil_contracts.events.envelope import (
    CAMERA_TYPE,
    MATCH_TYPE,
    SIGHTING_TYPE,
    TYPES,
    AnyEvent,
    CloudEvent,
    Data,
    EventError,
    RejectReason,
    decode,
    decode_event,
    encode_heartbeat,
    encode_match,
    encode_sighting,
    event_source,
)
from vigil_contracts.events.heartbeat import (
    CameraCounters,
    CameraHeartbeat,
    CameraState,
)
from vigil_contracts.events.match import (
    Identity,
    IdentityReason,
    IdentityStatus,
    Match,
    SubjectRef,
)
from vigil_contracts.events.sighting import (
    MAX_SHOTS,
    BestShot,
    Box,
    CameraRef,
    CloseReason,
    Embedding,
    FaceQuality,
    Sighting,
    SightingState,
    Trace,
)

__all__ = [
    "CAMERA_TYPE",
    "MATCH_TYPE",
    "MAX_SHOTS",
    "SIGHTING_TYPE",
    "TYPES",
    "AnyEvent",
    "BestShot",
    "Box",
    "CameraCounters",
    "CameraHeartbeat",
    "CameraRef",
    "CameraState",
    "CloseReason",
    "CloudEvent",
    "Data",
    "Embedding",
    "EventError",
    "FaceQuality",
    "Identity",
    "IdentityReason",
    "IdentityStatus",
    "Match",
    "RejectReason",
    "Sighting",
    "SightingState",
    "SubjectRef",
    "Trace",
    "decode",
    "decode_event",
    "encode_heartbeat",
    "encode_match",
    "encode_sighting",
    "event_source",
]
