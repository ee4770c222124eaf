"""A photo that hangs in view is one sighting, marked as still; people who stand quietly are not, nor part of it."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.stream.test_frame_pipeline import ALICE, ALL, BOB, HERE, Camera, Place, Story
from tests.unit.stream.test_people import final, leave, stay

from vigil_contracts.events import CloseReason, Sighting, SightingState
from vigil_stream.analyses.faces.stillness import Observation, StillPlace, StillPlaces

STILL: dict[str, Any] = {"detection": {"stillFaces": {"afterSeconds": 10, "sightingHours": 1}}, **ALL}
HANGS = 60
"""Frames after which a face is still: 12 s."""
X, Y, SIZE = HERE


def hang(**spec: Any) -> Camera:
    """Return a camera in whose view Alice's photo has hung for a while."""
    camera = Camera(Story(), **{**STILL, **spec})
    stay(camera, ALICE, HANGS)
    (poster,) = final(camera)
    assert poster.still
    return camera


def end(camera: Camera) -> list[Sighting]:
    camera.pipeline.end_all(CloseReason.SHUTDOWN)
    found = final(camera)
    assert all(one.state is SightingState.CLOSED for one in found)
    return found


def test_a_photo_is_marked_by_a_revision() -> None:
    camera = hang()
    marks = [event.still for event in camera.events]
    assert marks == sorted(marks)
    assert (marks[0], marks[-1]) == (False, True)
    assert [event.revision for event in camera.events] == list(range(1, len(marks) + 1))


@pytest.mark.parametrize("mode", ["Identify", "DetectOnly"])
@pytest.mark.parametrize("gap", [1, 12, 200])
def test_a_photo_stays_one_sighting_across_gaps(mode: str, gap: int) -> None:
    camera = hang(recognition={"mode": mode})
    for _ in range(3):
        leave(camera, gap)
        stay(camera, ALICE, 4)
    (poster,) = end(camera)
    assert (poster.still, poster.frames) == (True, HANGS + 12)


def test_a_photo_that_is_rarely_found_becomes_still() -> None:
    """The detector finds it twice in four seconds; the sightings until it is still are all there are."""
    camera = Camera(Story(), **STILL)
    for _ in range(40):
        stay(camera, ALICE, 2)
        leave(camera, 18)
    found = end(camera)
    assert found[-1].still
    assert len(found) <= 13
    assert found[-1].frames > 2 * (40 - 13)


def test_a_photo_outlasts_the_loss_of_its_camera() -> None:
    camera = hang()
    for reason in (CloseReason.SOURCE_LOST, CloseReason.CUT):
        camera.faces.end_all(reason)
        camera.at += 60
        stay(camera, ALICE, 4)
    (poster,) = end(camera)
    assert poster.close_reason is CloseReason.SHUTDOWN


def test_another_light_keeps_the_sighting() -> None:
    """The photo looks different; its embedding shows whose it is."""
    camera = hang()
    leave(camera, 1)
    camera.lit = (int(X), int(Y), int(X + SIZE / 2), int(Y + SIZE))
    stay(camera, ALICE, 6)
    (poster,) = end(camera)
    assert poster.frames == HANGS + 6


@pytest.mark.parametrize("mode", ["Identify", "DetectOnly"])
def test_somebody_who_passes_has_a_sighting_of_their_own(mode: str) -> None:
    camera = hang(recognition={"mode": mode})
    camera.story.person = BOB
    for step in range(-6, 7):
        passer: Place = (X + step * SIZE / 2, Y + 10, SIZE * 1.2)
        camera.show(*([passer] if abs(step) < 3 else [HERE, passer]))
    camera.story.person = ALICE
    stay(camera, ALICE, 12)
    poster, visitor = end(camera)
    assert (poster.still, visitor.still) == (True, False)
    assert (poster.frames, visitor.frames) == (HANGS + 20, 13)


def test_somebody_in_front_of_a_photo_is_not_part_of_it() -> None:
    camera = hang()
    leave(camera, 1)
    camera.lit = (int(X), int(Y), int(X + SIZE / 2), int(Y + SIZE))
    stay(camera, BOB, 10)
    camera.lit = None
    leave(camera, 1)
    stay(camera, ALICE, 6)
    poster, visitor = end(camera)
    assert (poster.frames, visitor.frames) == (HANGS + 6, 10)
    assert not visitor.still


def test_a_sighting_of_a_photo_ends_after_its_hours() -> None:
    """The next one is still from its first revision on, and only one is open at a time."""
    camera = hang()
    for _ in range(3):
        camera.at += 1500
        stay(camera, ALICE, 4)
    first, second = final(camera)
    assert (first.state, first.close_reason) == (SightingState.CLOSED, CloseReason.LEFT)
    assert (second.state, second.still) == (SightingState.OPENED, True)
    camera.at += 4000
    camera.faces.end([], camera.events[-1].last_seen_at.timestamp() + 6000, CloseReason.LEFT)
    assert all(one.state is SightingState.CLOSED for one in final(camera)), "also while nothing is analysed"


def test_a_person_who_moves_after_all_is_no_photo() -> None:
    """The sighting goes on, and the revision takes the mark back."""
    camera = hang()
    for step in range(20):
        camera.show((X + 8 * step, Y, SIZE))
    leave(camera, 30)
    (person,) = final(camera)
    assert (person.still, person.close_reason) == (False, CloseReason.LEFT)
    assert person.frames == HANGS + 20


def test_a_still_face_costs_few_embeddings_and_revisions() -> None:
    camera = hang()
    before = len(camera.story.crops), len(camera.events)
    stay(camera, ALICE, 900)
    assert len(camera.story.crops) - before[0] <= 1
    assert len(camera.events) - before[1] <= 4


def looks(count: int, variation: float, seed: int = 3) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    made = random.normal(0, 1, 64) + random.normal(0, variation, (count, 64))
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def observe(offsets: NDArray[np.float64], patches: NDArray[np.float32], fps: float = 5) -> StillPlace | None:
    """Return whether a face 60 pixels wide, displaced by these shares of its width, becomes still within 60 s."""
    places, found = StillPlaces(60, 3600), None
    marks = np.array([(0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75)]) * 60
    for frame, (offset, patch) in enumerate(zip(offsets, patches, strict=True)):
        points = (marks + 200 + 60 * offset).astype(np.float32)
        found = places.observe(Observation(points, 60.0, patch, 100 + frame / fps)) or found
    return found


SECONDS = np.arange(0, 62, 0.2)


@pytest.mark.parametrize(
    ("sway", "jitter", "variation", "still"),
    [
        (0.0, 0.002, 0.1, True),
        (0.0, 0.012, 0.3, True),
        (0.047, 0.002, 0.1, False),
        (0.028, 0.002, 0.1, False),
        (0.1, 0.01, 0.3, False),
        (0.0, 0.05, 0.1, False),
        (0.0, 0.002, 0.8, False),
    ],
)
def test_what_is_still(sway: float, jitter: float, variation: float, *, still: bool) -> None:
    """A head sways with a standard deviation of 7 mm, 0.047 of a face's width; a detector's landmarks jitter less."""
    random = np.random.default_rng(1)
    noise = random.normal(0, 1, len(SECONDS))
    swaying = np.convolve(noise, np.exp(-np.arange(0, 8, 0.2)), "same")
    offsets = sway * swaying[:, None, None] / swaying.std() + random.normal(0, jitter, (len(SECONDS), 5, 2))
    assert (observe(offsets, looks(len(SECONDS), variation)) is not None) is still


@pytest.mark.parametrize(("hidden", "still"), [(0.02, True), (0.4, False)])
def test_a_face_half_hidden_now_and_then_may_be_still(hidden: float, *, still: bool) -> None:
    random = np.random.default_rng(2)
    offsets = random.normal(0, 0.004, (len(SECONDS), 5, 2))
    offsets[random.random(len(SECONDS)) < hidden] += 0.2
    assert (observe(offsets, looks(len(SECONDS), 0.1)) is not None) is still


def test_a_still_life_needs_the_time_that_is_stated() -> None:
    offsets, patches = np.zeros((len(SECONDS), 5, 2)), looks(len(SECONDS), 0.1)
    assert observe(offsets[:280], patches[:280]) is None
    assert observe(offsets, patches) is not None
