"""The envelope: CloudEvents 1.0 in JSON."""

import datetime as dt
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, Field, ValidationError

from vigil_contracts.base import Tolerant
from vigil_contracts.bus import MAX_EVENT_BYTES
from vigil_contracts.events.heartbeat import CameraHeartbeat
from vigil_contracts.events.match import Match
from vigil_contracts.events.sighting import CameraRef, Sighting
from vigil_contracts.ids import ResourceKey


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


def event_source(site: str, camera: ResourceKey) -> str:
    """Return the CloudEvent attribute `source` of a camera's events."""
    return f"/sites/{site}/cameras/{camera.namespace}/{camera.name}"


def _encode(kind: str, event_id: str, site: str, camera: CameraRef, data: Tolerant, at: dt.datetime) -> bytes:
    source = event_source(site, camera.key)
    event = AnyEvent(id=event_id, source=source, type=kind, subject=str(camera.key), time=at, data=data)
    return event.model_dump_json(by_alias=True, exclude_none=True, serialize_as_any=True).encode()


def decode(body: bytes, expected: type[Data]) -> Data:
    """Read one event's data; raise as `decode_event`."""
    return decode_event(body, expected)[1]


def decode_event(body: bytes, expected: type[Data]) -> tuple[AnyEvent, Data]:
    """Read one event; return its envelope and its data.

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
        return envelope, expected.model_validate(envelope.data)
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
