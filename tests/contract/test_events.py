"""Events survive the bus, tolerate what is new inside them and are refused when they are something else."""

import datetime as dt
import json
import math
import struct
import uuid
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vigil_contracts import bus, schemas
from vigil_contracts.conditions import SourceReason
from vigil_contracts.events import (
    BestShot,
    Box,
    CameraHeartbeat,
    CameraRef,
    CameraState,
    CloseReason,
    Embedding,
    EventError,
    FaceQuality,
    Identity,
    IdentityStatus,
    Match,
    RejectReason,
    Sighting,
    SightingState,
    decode,
    encode_heartbeat,
    encode_match,
    encode_sighting,
)
from vigil_contracts.ids import ResourceKey, new_sighting_id, sighting_time

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
DOOR = CameraRef(namespace="default", name="door")
BOX = Box(x=0.1, y=0.2, width=0.1, height=0.2)
CHECKED_IN = Path(__file__).parents[2] / "contracts" / "schemas"


def vector(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def shot() -> BestShot:
    quality = FaceQuality(
        score=0.8, face_pixels=80, sharpness=0.5, brightness=0.5, yaw_degrees=-3, pitch_degrees=1, roll_degrees=0
    )
    embedding = Embedding.from_bytes("sface@0123456789ab", vector(0.6, 0.8))
    points = [(0.1, 0.2)] * 5
    return BestShot(captured_at=NOW, box=BOX, landmarks=points, confidence=0.9, quality=quality, embedding=embedding)


def sighting(**changes: Any) -> Sighting:
    fields: dict[str, Any] = {
        "sighting_id": new_sighting_id(NOW),
        "revision": 1,
        "state": SightingState.OPENED,
        "site": "hq",
        "camera": DOOR,
        "session_id": "s1",
        "last_seen_at": NOW,
        "frames": 3,
        "box": BOX,
        "shots": [shot()],
    }
    return Sighting(**{**fields, **changes})


def closed() -> Sighting:
    return sighting(revision=7, state=SightingState.CLOSED, closed_at=NOW, close_reason=CloseReason.LEFT)


def match() -> Match:
    identity = Identity(status=IdentityStatus.UNKNOWN, similarity=0.2, threshold=0.42, decided_at=NOW)
    return Match(seq=12, revision=7, sighting=closed(), identity=identity)


def heartbeat() -> CameraHeartbeat:
    return CameraHeartbeat(
        site="hq", camera=DOOR, session_id="s1", state=CameraState.STREAMING, reason=SourceReason.CONNECTED, since=NOW
    )


def test_every_event_reads_back_as_it_was_written() -> None:
    for original, body in ((closed(), encode_sighting(closed(), NOW)),):
        assert decode(body, Sighting).model_dump(exclude={"sighting_id"}) == original.model_dump(
            exclude={"sighting_id"}
        )
    event, beat = match(), heartbeat()
    assert decode(encode_match(event, NOW), Match) == event
    assert decode(encode_heartbeat(beat, NOW), CameraHeartbeat) == beat


def test_the_message_id_is_the_sighting_and_its_revision() -> None:
    seen = closed()
    assert json.loads(encode_sighting(seen, NOW))["id"] == f"{seen.sighting_id}:7"


def test_a_sighting_of_an_earlier_writer_is_not_still() -> None:
    event = json.loads(encode_sighting(closed(), NOW))
    assert event["data"].pop("still") is False
    assert not decode(json.dumps(event).encode(), Sighting).still


def test_unknown_fields_of_a_later_writer_are_left_aside() -> None:
    event = json.loads(encode_sighting(closed(), NOW))
    event["extension"] = "x"
    event["data"]["mood"] = {"happy": True}
    event["data"]["camera"]["vendor"] = "y"
    assert decode(json.dumps(event).encode(), Sighting).revision == 7


def changed(path: list[str | int], value: Any) -> bytes:
    event = json.loads(encode_sighting(closed(), NOW))
    place = event
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return json.dumps(event).encode()


EMBEDDING: list[str | int] = ["data", "shots", 0, "embedding", "vector"]
REFUSED: list[tuple[bytes, RejectReason, str]] = [
    (b"", RejectReason.NOT_JSON, "not JSON"),
    (b"\xff\xfe", RejectReason.NOT_JSON, "not JSON"),
    (b'{"specversion"', RejectReason.NOT_JSON, "not JSON"),
    (b"[]", RejectReason.NOT_CLOUD_EVENT, "not a CloudEvent"),
    (b"{}", RejectReason.NOT_CLOUD_EVENT, "id: Field required"),
    (changed(["specversion"], "2.0"), RejectReason.NOT_CLOUD_EVENT, "specversion"),
    (changed(["type"], "dev.vigil.sighting.v2"), RejectReason.FUTURE_VERSION, "later version"),
    (changed(["type"], "dev.vigil.match.v1"), RejectReason.UNKNOWN_TYPE, "dev.vigil.sighting.v1 is expected"),
    (changed(["type"], "com.example.thing"), RejectReason.UNKNOWN_TYPE, "com.example.thing"),
    (changed(["data", "revision"], 0), RejectReason.INVALID_DATA, "revision"),
    (changed(["data", "sightingId"], str(uuid.UUID(int=5))), RejectReason.INVALID_DATA, "version 7 is expected"),
    (changed(["data", "state"], "Opened"), RejectReason.INVALID_DATA, "closedAt"),
    (changed(["data", "lastSeenAt"], "2026-01-01T00:00:00"), RejectReason.INVALID_DATA, "lastSeenAt"),
    (changed(EMBEDDING, "%%%"), RejectReason.INVALID_DATA, "not base64"),
    (changed(EMBEDDING, "AAAA"), RejectReason.INVALID_DATA, "multiple of 4"),
    (changed(EMBEDDING, ""), RejectReason.INVALID_DATA, "multiple of 4"),
    (
        changed(EMBEDDING, Embedding.model_construct(model_id="m", vector="AADAfw==").vector),
        RejectReason.INVALID_DATA,
        "NaN",
    ),
    (b" " * (bus.MAX_EVENT_BYTES + 1), RejectReason.TOO_LARGE, "at most"),
]


@pytest.mark.parametrize(("body", "reason", "expected"), REFUSED)
def test_what_is_no_event_of_ours_is_refused_with_its_reason(body: bytes, reason: RejectReason, expected: str) -> None:
    with pytest.raises(EventError, match=expected) as caught:
        decode(body, Sighting)
    assert caught.value.reason is reason


@given(st.binary(max_size=300))
def test_no_bytes_at_all_can_do_worse_than_be_refused(body: bytes) -> None:
    with pytest.raises(EventError):
        decode(body, Sighting)


def test_an_embedding_keeps_every_bit() -> None:
    numbers = (1.5, -0.25, 3e-20)
    assert struct.unpack("<3f", Embedding.from_bytes("m", vector(*numbers)).to_bytes()) == pytest.approx(numbers)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_an_embedding_that_is_not_a_point_is_never_made(number: float) -> None:
    with pytest.raises(ValidationError, match="NaN or infinity"):
        Embedding.from_bytes("m", vector(0.5, number))


def test_the_schemas_checked_in_are_those_of_the_code() -> None:
    assert {path.name: path.read_text() for path in CHECKED_IN.glob("*.json")} == schemas.event_schemas()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("dev.vigil.sighting.v1", encode_sighting(closed(), NOW)),
        ("dev.vigil.match.v1", encode_match(match(), NOW)),
        ("dev.vigil.camera.v1", encode_heartbeat(heartbeat(), NOW)),
    ],
)
def test_our_events_obey_the_schemas_we_publish(name: str, body: bytes) -> None:
    schema = json.loads((CHECKED_IN / f"{name}.json").read_text())
    jsonschema.validate(json.loads(body), schema, cls=jsonschema.Draft202012Validator)


def test_a_sighting_id_tells_when_it_opened() -> None:
    assert sighting_time(new_sighting_id(NOW)) == NOW


def test_sighting_ids_of_a_process_ascend_and_never_repeat() -> None:
    made = [new_sighting_id() for _ in range(2000)]
    assert made == sorted(set(made))


@given(
    st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True),
    st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True),
)
def test_a_camera_is_found_again_in_its_subject(namespace: str, name: str) -> None:
    key = ResourceKey(namespace, name)
    assert bus.parse_subject(bus.bus_subject("hq", bus.MessageKind.SIGHTING, key)) == (
        "hq",
        bus.MessageKind.SIGHTING,
        key,
    )


@pytest.mark.parametrize(
    "text",
    ["", "vigil.hq.sighting", "vigil.hq.nothing.a_b", "other.hq.match.a_b", "vigil.HQ.match.a_b", "vigil.hq.match.ab"],
)
def test_a_foreign_subject_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        bus.parse_subject(text)
