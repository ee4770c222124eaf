"""A camera whose faces are not upright says so, and names nobody."""

from typing import Any

import numpy as np
import pytest
from tests.unit.stream.test_frame_pipeline import Camera, Story

from vigil_contracts.conditions import FitnessReason
from vigil_stream.analyses.faces.fitness import Fitness, breadth, lying
from vigil_stream.analyses.faces.uprightness import MIN_CHECKS, WINDOW, Surroundings, Uprightness
from vigil_vision.faces import orientation
from vigil_vision.faces.orientation import FaceOrientation
from vigil_vision.faces.quality import Pose

FACE = Surroundings(np.zeros((1, 1, 112, 112, 3), np.uint8), 0.0)
UPRIGHT, HEAD_DOWN, DOUBTFUL = (0.9, 0.1, 0.1, 0.1), (0.1, 0.1, 0.9, 0.1), (0.50, 0.1, 0.51, 0.1)


def checked(monkeypatch: pytest.MonkeyPatch, *scores: Any) -> Uprightness:
    found, models = iter(scores), Any
    monkeypatch.setattr(orientation, "read_orientations", lambda *_: [FaceOrientation(next(found))])
    one = Uprightness(models)  # type: ignore[arg-type]
    for _ in scores:
        one.check(FACE)
    return one


@pytest.mark.parametrize(
    ("scores", "turns", "misleads"),
    [
        ([], 0, False),
        ([UPRIGHT] * MIN_CHECKS, 0, False),
        ([HEAD_DOWN], 0, True),
        ([HEAD_DOWN] * MIN_CHECKS, 2, True),
        ([DOUBTFUL] * WINDOW, 0, False),
        ([UPRIGHT] * 8 + [HEAD_DOWN] * 6, 0, False),
        ([HEAD_DOWN] * WINDOW + [UPRIGHT] * 8, 0, False),
    ],
)
def test_most_faces_decide(monkeypatch: pytest.MonkeyPatch, scores: list[Any], turns: int, misleads: bool) -> None:
    one = checked(monkeypatch, *scores)
    assert (one.turns, one.misleads) == (turns, misleads)


@pytest.mark.parametrize(
    ("turns", "rotation", "mirror", "expected"),
    [
        (2, 0, False, 180),
        (1, 0, False, 270),
        (3, 0, False, 90),
        (1, 0, True, 90),
        (2, 180, False, 0),
        (3, 270, False, 0),
    ],
)
def test_the_message_names_the_rotation_to_set(turns: int, rotation: int, mirror: bool, expected: int) -> None:
    found = lying(turns, rotation, mirror=mirror)
    assert found is not None
    assert found[0] is FitnessReason.FACES_LYING
    assert found[1].endswith(f"set source.rotation to {expected}")


def test_upright_faces_are_not_lying() -> None:
    assert lying(0, 90, mirror=False) is None


def test_a_camera_upside_down_names_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Case rotation: 0 of 44 were recognised, and the fitness spoke of sizes only."""
    monkeypatch.setattr(orientation, "read_orientations", lambda *_: [FaceOrientation(HEAD_DOWN)])
    camera = Camera(Story())
    for _ in range(5 * MIN_CHECKS + 1):
        camera.show((200.0, 40.0, 90.0))
        camera.faces.taker._worker.submit(int).result(10)
    assert {shot.embedding for event in camera.events for shot in event.shots} <= {None}
    assert len({event.sighting_id for event in camera.events}) == 1
    assert camera.observer.fitness[0] is FitnessReason.FACES_LYING


@pytest.mark.parametrize(
    ("stretch", "reason"),
    [
        (1.0, FitnessReason.MEASURED),
        (1.1, FitnessReason.MEASURED),
        (1.45, FitnessReason.FACES_DISTORTED),
        (0.7, FitnessReason.FACES_DISTORTED),
    ],
)
def test_distorted_faces_are_reported(stretch: float, reason: FitnessReason) -> None:
    fitness = Fitness()
    # Eyes, nose and mouth as the detectors draw them in the middle of many faces.
    landmarks = np.array([(0, 0), (40, 0), (20, 22), (3, 40), (37, 40)], np.float32) * (stretch, 1)
    for _ in range(10):
        fitness.add_face(100.0)
        fitness.add_breadth(breadth(landmarks, Pose(0.0, 0.0, 0.0), 0.5))
        fitness.add_breadth(breadth(landmarks, Pose(60.0, 0.0, 0.0), 0.5))
    assert fitness.assess()[0] is reason


def test_small_faces_are_not_measured_for_distortion() -> None:
    """As in a 4K frame, of which the detector sees a sixth of the width: a pixel there changes the ratio by a fifth."""
    landmarks = np.array([(0, 0), (40, 0), (20, 15), (3, 26), (37, 26)], np.float32)
    assert breadth(landmarks, Pose(0.0, 0.0, 0.0), 0.5) is not None
    assert breadth(landmarks, Pose(0.0, 0.0, 0.0), 640 / 3840) is None
