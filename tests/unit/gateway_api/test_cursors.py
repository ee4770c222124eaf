"""Cursors come back as they were made, and nothing else is taken for one."""

import base64
import datetime as dt
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil_contracts.ids import DNS_LABEL, ResourceKey, new_sighting_id
from vigil_gateway.handlers.graphql import cursors
from vigil_gateway.handlers.graphql.errors import Code, RequestError
from vigil_gateway.storage.postgres.sighting_reader import SightingPosition

SECONDS = st.integers(86_400, 200_000_000_000)
"""From 1970 to the year 8307."""
KEYS = st.builds(ResourceKey, st.from_regex(DNS_LABEL, fullmatch=True), st.from_regex(DNS_LABEL, fullmatch=True))
DECODERS: list[Callable[[str], object]] = [
    cursors.decode_event,
    cursors.decode_sighting,
    cursors.decode_camera,
    cursors.decode_subject,
]


@given(
    st.builds(
        cursors.EventCursor,
        st.integers(0, cursors.MAX_SEQ),
        st.from_regex("[0-9a-f]{12}", fullmatch=True),
        st.from_regex("[0-9a-f]{8}|", fullmatch=True),
    )
    | st.builds(cursors.EventCursor, st.integers(0, cursors.MAX_SEQ))
)
def test_event_cursors_round_trip(cursor: cursors.EventCursor) -> None:
    assert cursors.decode_event(cursors.encode_event(cursor)) == cursor


@given(st.integers(0, cursors.MAX_SEQ), st.uuids(), st.uuids(), st.integers(1, 9))
def test_events_with_one_number_have_cursors_of_their_own(
    seq: int, first: uuid.UUID, second: uuid.UUID, revision: int
) -> None:
    own = cursors.encode_event(cursors.EventCursor(seq, "0" * 12, cursors.mark_event(first, revision)))
    for mark in (cursors.mark_event(first, revision + 1), cursors.mark_event(second, revision)):
        other = cursors.encode_event(cursors.EventCursor(seq, "0" * 12, mark))
        assert (other == own) == (second == first and mark == cursors.mark_event(first, revision))
    assert cursors.encode_event(cursors.EventCursor(seq, "1" * 12, "")) != own


@given(SECONDS, SECONDS | st.none(), st.integers(0, 999_999))
def test_sighting_cursors_round_trip(seconds: int, other: int | None, microsecond: int) -> None:
    """A sighting opened at the moment inside its id, or at another one when that is not believed."""
    position = SightingPosition.claimed(new_sighting_id(dt.datetime.fromtimestamp(seconds, dt.UTC)))
    if other is not None:
        opened_at = dt.datetime.fromtimestamp(other, dt.UTC).replace(microsecond=microsecond)
        position = position._replace(opened_at=opened_at)
    assert cursors.decode_sighting(cursors.encode_sighting(position)) == position


@given(KEYS)
def test_resource_cursors_round_trip(key: ResourceKey) -> None:
    assert cursors.decode_camera(cursors.encode_camera(key)) == key
    assert cursors.decode_subject(cursors.encode_subject(key)) == key


@given(st.text(max_size=400) | st.binary(max_size=200).map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_garbage_is_refused_with_a_reason(text: str) -> None:
    for decode in DECODERS:
        with pytest.raises(RequestError, match="cannot be used") as refused:
            decode(text)
        assert refused.value.code is Code.BAD_CURSOR
        assert len(refused.value.message) < 400


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("cursor", "decode", "reason"),
    [
        ("", cursors.decode_event, "not made by this API"),
        (encoded("v1:-1"), cursors.decode_event, "not a position"),
        (encoded("v1:01"), cursors.decode_event, "not a position"),
        (encoded("v1:9223372036854775808"), cursors.decode_event, "not a position"),
        (encoded("v1:1e3"), cursors.decode_event, "not a position"),
        (encoded("v1:¹"), cursors.decode_event, "not made by this API"),
        (encoded("v3:1"), cursors.decode_event, "not made by this API"),
        (encoded("v2:1"), cursors.decode_event, "names no history"),
        (encoded("v2:0123456789ab:1"), cursors.decode_event, "names no history"),
        (encoded("v2:0123456789AB:1:"), cursors.decode_event, "names no history"),
        (encoded("v2:0123456789ab:1:0123456"), cursors.decode_event, "names no history"),
        (encoded("v2:0123456789ab:01:01234567"), cursors.decode_event, "not a position"),
        (encoded("v2:0123456789ab:9223372036854775808:"), cursors.decode_event, "not a position"),
        (encoded("v1:1") + "==", cursors.decode_event, "not made by this API"),
        (encoded("v1:1"), cursors.decode_sighting, "of an event of the subscription `sightings`; here"),
        (encoded("s1:00000000-0000-4000-8000-000000000000"), cursors.decode_sighting, "no sighting's id"),
        (encoded("s1:x"), cursors.decode_sighting, "no sighting's id"),
        (encoded("s2:019aa4c5-5a00-7000-8000-000000000001"), cursors.decode_sighting, "no moment"),
        (encoded("s2:019aa4c5-5a00-7000-8000-000000000001:x"), cursors.decode_sighting, "no moment"),
        (encoded("s2:019aa4c5-5a00-7000-8000-000000000001:" + "9" * 18), cursors.decode_sighting, "no moment"),
        (encoded("s2:x:1"), cursors.decode_sighting, "no sighting's id"),
        (
            cursors.encode_sighting(SightingPosition.claimed(uuid.UUID("019aa4c5-5a00-7000-8000-000000000001"))),
            cursors.decode_event,
            "of an entry of the query `sightings`; here",
        ),
        (encoded("c1:default"), cursors.decode_camera, "no namespace and name"),
        (encoded("c1:default/UPPER"), cursors.decode_camera, "no namespace and name"),
        (encoded("p1:a/b"), cursors.decode_camera, "of an entry of the query `subjects`; here"),
        ("x" * 257, cursors.decode_event, "it has 257 characters"),
    ],
)
def test_wrong_cursors_are_refused(cursor: str, decode: Callable[[str], object], reason: str) -> None:
    with pytest.raises(RequestError) as refused:
        decode(cursor)
    assert reason in refused.value.message
