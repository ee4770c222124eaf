"""Relay's pages: sizes, directions, and where a page lies in its list."""

import uuid
from typing import Any

import pytest
from tests.integration.gateway_api.identity import a_match

from vigil_contracts.events import IdentityStatus
from vigil_contracts.ids import ResourceKey, new_sighting_id
from vigil_gateway.handlers.graphql import cursors
from vigil_gateway.handlers.graphql.errors import RequestError
from vigil_gateway.handlers.graphql.event_types import sighting_event
from vigil_gateway.handlers.graphql.filters import CameraKey, SightingFilter, SubjectKey, check_filter
from vigil_gateway.handlers.graphql.nodes import Camera
from vigil_gateway.handlers.graphql.pages import PageRequest, page, page_request
from vigil_gateway.storage.postgres.sighting_reader import SightingPosition


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"first": 201}, "entries in a page: 201 given, at most 200 allowed"),
        ({"last": 2**31 - 1}, "entries in a page: 2147483647 given, at most 200 allowed"),
        ({"first": 0}, "a page of 0 entries was asked for; ask for 1 to 200"),
        ({"first": -5}, "a page of -5 entries was asked for; ask for 1 to 200"),
        ({"first": 1, "last": 1}, "`first` and `last` were both given"),
        ({"after": "nonsense"}, "cannot be used"),
        ({"before": cursors.encode_event(cursors.EventCursor(7))}, "of an event of the subscription"),
    ],
)
def test_absurd_pages_are_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError) as refused:
        page_request(
            arguments.get("first"),
            arguments.get("after"),
            arguments.get("last"),
            arguments.get("before"),
            cursors.decode_sighting,
        )
    assert reason in refused.value.message


def a_camera(row: int) -> Camera:
    return Camera.from_key(ResourceKey("default", f"camera-{row}"), "home")


@pytest.mark.parametrize(
    ("request_", "rows", "kept", "following", "preceding"),
    [
        (PageRequest(2, False, None, None), [1, 2, 3], [1, 2], True, False),
        (PageRequest(2, False, 0, None), [1, 2], [1, 2], False, True),
        (PageRequest(2, True, None, None), [9, 8, 7], [8, 9], False, True),
        (PageRequest(2, True, None, 10), [9, 8], [8, 9], True, False),
        (PageRequest(2, False, None, None), [], [], False, False),
    ],
)
def test_pages_know_whether_others_precede_and_follow(
    request_: PageRequest[int], rows: list[int], kept: list[int], *, following: bool, preceding: bool
) -> None:
    found = page(request_, rows, a_camera, str)
    assert [node.name for node in found["nodes"]] == [f"camera-{row}" for row in kept]
    assert [edge.node for edge in found["edges"]] == found["nodes"]
    assert [edge.cursor for edge in found["edges"]] == [str(row) for row in kept]
    assert (found["page_info"].has_next_page, found["page_info"].has_previous_page) == (following, preceding)
    assert found["page_info"].end_cursor == (str(kept[-1]) if kept else None)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (SightingFilter(cameras=[CameraKey(name="a")] * 201), "entries in filter.cameras: 201 given, at most 200"),
        (SightingFilter(cameras=[CameraKey(name="Door")]), "'Door' in filter.cameras is not a name"),
        (SightingFilter(subjects=[SubjectKey()]), "needs either `name` or `subjectId`"),
        (
            SightingFilter(subjects=[SubjectKey(name="a", subject_id=uuid.uuid4())]),
            "needs either `name` or `subjectId`",
        ),
        (SightingFilter(subjects=[SubjectKey(name="x" * 5000)]), "is not a name"),
    ],
)
def test_wrong_filters_are_refused(given: SightingFilter, reason: str) -> None:
    with pytest.raises(RequestError) as refused:
        check_filter(given)
    assert reason in refused.value.message
    assert len(refused.value.message) < 300


@pytest.mark.parametrize("still", [True, False])
def test_photos_are_left_out_or_asked_for(*, still: bool) -> None:
    event = sighting_event(a_match(still=still), "0" * 12)
    assert check_filter(SightingFilter(still=still))(event)
    assert not check_filter(SightingFilter(still=not still))(event)
    assert check_filter(SightingFilter())(event)


def test_a_sightings_cursor_holds_its_moment() -> None:
    position = SightingPosition.claimed(new_sighting_id())
    assert cursors.decode_sighting(cursors.encode_sighting(position)) == position


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        (SightingFilter(subjects=[SubjectKey(name="ada")]), True),
        (SightingFilter(subjects=[SubjectKey(name="bob")]), False),
        (SightingFilter(identity=[IdentityStatus.KNOWN]), True),
        (SightingFilter(identity=[IdentityStatus.UNKNOWN]), True),
        (SightingFilter(identity=[IdentityStatus.UNDETERMINED]), False),
    ],
)
def test_a_correction_reaches_those_who_got_the_name(given: SightingFilter, *, fits: bool) -> None:
    """A subscriber to a Subject, or to who is known, learns that a name is taken back."""
    named = a_match(who="ada")
    nobody = named.identity.model_copy(update={"status": IdentityStatus.UNKNOWN, "subject": None})
    correction = named.model_copy(update={"identity": nobody, "previous": named.identity.subject})
    assert check_filter(given)(sighting_event(correction, "0" * 12)) is fits
    assert not check_filter(SightingFilter(subjects=[SubjectKey(name="ada")]))(
        sighting_event(named.model_copy(update={"identity": nobody}), "0" * 12)
    )
