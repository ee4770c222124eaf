"""A sighting is of one person, whoever takes the place of whom, and one person's sighting goes on."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.stream.test_frame_pipeline import ALICE, ALL, BOB, HERE, Camera, Place, Story

from vigil_contracts.events import CloseReason, Sighting, SightingState
from vigil_stream.analyses.faces.people import HIDDEN_S, UNDECIDED_S
from vigil_stream.pipeline.tracker import STALE_AFTER_S

LIKE_ALICE = (0.3, -math.sqrt(1 - 0.09))
"""Between the limits: neither certainly Alice nor certainly another."""


def final(camera: Camera) -> list[Sighting]:
    return list({event.sighting_id: event for event in camera.events}.values())


def who(sighting: Sighting) -> set[tuple[float, ...]]:
    vectors = [np.frombuffer(shot.embedding.to_bytes(), "<f4") for shot in sighting.shots if shot.embedding]
    return {tuple(np.round(vector, 3).tolist()) for vector in vectors}


def person(vector: tuple[float, float]) -> set[tuple[float, ...]]:
    return {tuple(np.round(np.array(vector, np.float32), 3).tolist())}


def stay(camera: Camera, vector: tuple[float, float], frames: int, place: Place = HERE) -> None:
    camera.story.person = vector
    for _ in range(frames):
        camera.show(place)


def leave(camera: Camera, frames: int) -> None:
    for _ in range(frames):
        camera.show()


@pytest.mark.parametrize("gap", [1, 3, 6])
def test_the_next_person_in_a_place_is_another_sighting(gap: int) -> None:
    """The first one's ends with the last frame that showed this person."""
    camera = Camera(Story(), **ALL)
    stay(camera, ALICE, 8)
    leave(camera, gap)
    stay(camera, BOB, 8)
    camera.pipeline.end_all(CloseReason.SHUTDOWN)
    first, second = final(camera)
    assert (who(first), who(second)) == (person(ALICE), person(BOB))
    assert first.frames == second.frames == 8
    assert first.last_seen_at < second.opened_at


@pytest.mark.parametrize("gap", [1, 3, 6])
def test_a_person_who_comes_back_in_time_is_the_same_sighting(gap: int) -> None:
    camera = Camera(Story(), **ALL)
    stay(camera, ALICE, 8)
    leave(camera, gap)
    stay(camera, ALICE, 8)
    camera.pipeline.end_all(CloseReason.SHUTDOWN)
    (only,) = final(camera)
    assert only.frames == 16


def test_a_hidden_person_who_comes_back_is_the_same_sighting() -> None:
    """Somebody else is in the place for longer than a person who left is waited for."""
    camera = Camera(Story(), **ALL)
    stay(camera, ALICE, 8)
    leave(camera, 1)
    stay(camera, BOB, 12)
    leave(camera, 1)
    stay(camera, ALICE, 8)
    camera.pipeline.end_all(CloseReason.SHUTDOWN)
    hidden, passer = final(camera)
    assert (who(hidden), who(passer)) == (person(ALICE), person(BOB))
    assert (hidden.frames, passer.frames) == (16, 12)


def test_a_covered_face_is_embedded_when_it_is_whole() -> None:
    story = Story()
    camera = Camera(story, **ALL)
    stay(camera, ALICE, 12)
    before = len(story.crops)
    x, y, size = HERE
    for _ in range(2):
        camera.show(HERE, (x + 1.1 * size, y, size))
    assert len(story.crops) == before
    camera.show(HERE, (x + 1.5 * size, y, size))
    assert len(story.crops) == before + 1


def test_nothing_of_an_undecided_face_is_in_any_sighting() -> None:
    camera = Camera(Story(), **ALL)
    stay(camera, ALICE, 8)
    before = camera.events[-1]
    leave(camera, 1)
    stay(camera, LIKE_ALICE, 2)
    assert camera.events[-1] == before
    stay(camera, LIKE_ALICE, 3)
    camera.pipeline.end_all(CloseReason.SHUTDOWN)
    first, second = final(camera)
    assert (who(first), who(second)) == (person(ALICE), person(LIKE_ALICE))
    assert (first.frames, second.frames) == (8, 5)


def test_a_person_who_is_doubted_again_and_again_is_not_missed() -> None:
    """No part between two doubts is enough to decide; together they are."""
    camera = Camera(Story(), **ALL)
    stay(camera, ALICE, 8)
    for _ in range(3):
        leave(camera, 1)
        stay(camera, LIKE_ALICE, 3)
    camera.pipeline.end_all(CloseReason.SHUTDOWN)
    first, second = final(camera)
    assert (who(first), who(second)) == (person(ALICE), person(LIKE_ALICE))


def test_a_moment_that_nothing_decided_is_nobodys() -> None:
    camera = Camera(Story(), **ALL)
    stay(camera, ALICE, 8)
    leave(camera, 1)
    stay(camera, LIKE_ALICE, 1)
    leave(camera, 1)
    stay(camera, ALICE, 3)
    camera.pipeline.end_all(CloseReason.SHUTDOWN)
    (only,) = final(camera)
    assert (who(only), only.frames) == (person(ALICE), 11)


def test_an_exchange_that_nothing_showed_is_taken_back() -> None:
    """The sighting had gone on; it ends with its last verified shot."""
    camera = Camera(Story(), **ALL)
    stay(camera, ALICE, 12)
    stay(camera, BOB, 30)
    camera.pipeline.end_all(CloseReason.SHUTDOWN)
    first, second = final(camera)
    assert (who(first), who(second)) == (person(ALICE), person(BOB))
    assert (first.last_seen_at - second.opened_at).total_seconds() < 0.001, "ids count milliseconds"
    assert first.frames + second.frames == 42


def test_a_face_that_cannot_be_compared_is_somebody_new() -> None:
    story = Story()
    camera = Camera(story, **ALL)
    stay(camera, ALICE, 8)
    leave(camera, 1)
    story.embeds = False
    stay(camera, ALICE, int(UNDECIDED_S / 0.2) - 1)
    assert len(final(camera)) == 1
    stay(camera, ALICE, int((HIDDEN_S - UNDECIDED_S) / 0.2) + 3)
    first, second = final(camera)
    assert first.state is SightingState.CLOSED
    assert second.shots == []


def test_a_camera_that_only_detects_follows_by_position_alone() -> None:
    camera = Camera(Story(), recognition={"mode": "DetectOnly"}, **ALL)
    stay(camera, ALICE, 8)
    leave(camera, 3)
    stay(camera, ALICE, 8)
    camera.pipeline.end_all(CloseReason.SHUTDOWN)
    (only,) = final(camera)
    assert only.frames == 16


scripts = st.lists(
    st.tuples(st.sampled_from([ALICE, BOB, LIKE_ALICE, None]), st.integers(1, 9)), min_size=1, max_size=7
)


@given(scripts)
@settings(max_examples=20)
def test_no_sighting_holds_shots_of_two_people(script: list[tuple[tuple[float, float] | None, int]]) -> None:
    """Nor does one that goes on after another was seen in its place end before it began."""
    camera = Camera(Story(), **ALL)
    for vector, frames in script:
        if vector is None:
            leave(camera, frames)
        else:
            stay(camera, vector, frames)
    camera.pipeline.end_all(CloseReason.SHUTDOWN)
    for event in camera.events:
        assert len(who(event)) <= 1
        assert (event.last_seen_at - event.opened_at).total_seconds() >= 0
    assert all(event.state is SightingState.CLOSED for event in final(camera))
    assert sum(event.frames for event in final(camera)) <= sum(frames for vector, frames in script if vector)


def test_a_person_who_waits_goes_stale_while_nothing_is_analysed() -> None:
    """Somebody else has the place, and then inference fails for long."""
    camera = Camera(Story(), **ALL)
    stay(camera, ALICE, 8)
    leave(camera, 1)
    stay(camera, BOB, 2)
    camera.faces.end([], camera.events[-1].last_seen_at.timestamp() + STALE_AFTER_S + 1, CloseReason.LEFT)
    first, second = final(camera)
    assert (first.state, second.state) == (SightingState.CLOSED, SightingState.OPENED)
