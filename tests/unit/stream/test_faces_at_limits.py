"""Faces at the limits of a camera: too many, too small, too uncertain."""

import math

import numpy as np
import pytest
from tests.unit.stream.test_frame_pipeline import ALL, Camera, Story

from vigil_contracts.conditions import FitnessReason
from vigil_contracts.events import CloseReason, SightingState
from vigil_stream.analyses.faces.crowd import REPORTED_S, Crowd


def test_crowd() -> None:
    """35 people who stand still, with boxes that vary as a detector's do, are 20 sightings where 20 are allowed."""
    story = Story()
    story.rows = 40
    camera = Camera(story, recognition={"mode": "DetectOnly"}, detection={"maxFaces": 20}, **ALL)
    random = np.random.default_rng(1)
    places = [(8.0 + 90 * column, 5.0 + 69 * row, size) for row in range(5) for column, size in enumerate([48] * 7)]
    varied = np.zeros(35)
    for _ in range(60):
        varied = 0.9 * varied + random.normal(0, 0.022, 35)
        sizes = 48 * (1 + varied + random.normal(0, 0.025, 35))
        camera.show(*((x, y, size) for (x, y, _), size in zip(places, sizes.tolist(), strict=True)))
    reason, message = camera.observer.fitness
    assert len({event.sighting_id for event in camera.events}) == 20
    assert [event for event in camera.events if event.state is SightingState.CLOSED] == []
    assert reason is FitnessReason.TOO_MANY_FACES
    assert "35 faces were in view and 20 are analysed; raise detection.maxFaces" in message
    assert camera.pipeline.count("faces_left_out") == 60 * 15


def test_poster_at_the_limit() -> None:
    """A face whose size varies around minFacePixels opens a sighting when it is large enough, and stays one."""
    camera = Camera(Story(), **ALL)
    for frame in range(150):
        camera.show((200, 100, 30 + 1.5 * math.sin(frame / 12)))
    camera.pipeline.end_all(CloseReason.SHUTDOWN)
    assert len({event.sighting_id for event in camera.events}) == 1


@pytest.mark.parametrize(("size", "score", "begins"), [(27.0, 0.9, False), (40.0, 0.55, False), (40.0, 0.6, True)])
def test_a_face_below_a_limit_is_followed_and_never_begins(size: float, score: float, *, begins: bool) -> None:
    story = Story()
    camera = Camera(story, **ALL)
    story.score = score
    for _ in range(4):
        camera.show((200, 100, size))
    assert (camera.events != []) is begins
    story.score = 0.9
    camera.show((200, 100, 40.0))
    camera.show((200, 100, 40.0))
    story.score = score
    for _ in range(12):
        camera.show((200, 100, size))
    (track,) = camera.faces.tracker.tracks
    assert track.hits == (18 if begins else 14), "it is followed below the limit"
    assert len({event.sighting_id for event in camera.events}) == 1


def test_a_crowd_is_reported_for_a_minute() -> None:
    crowd = Crowd(20)
    crowd.add(0, 1.0)
    assert crowd.assess() is None
    crowd.add(3, 2.0)
    crowd.add(1, 3.0)
    assert crowd.assess() is not None
    crowd.add(0, 3.0 + REPORTED_S)
    assert crowd.assess() is not None
    crowd.add(0, 3.1 + REPORTED_S)
    assert crowd.assess() is None
    assert crowd.left_out == 4
