"""A shot is taken early, again only when it is better, and never mixes two people."""

import datetime as dt

import numpy as np
import pytest

from vigil_contracts.events import MAX_SHOTS, BestShot, Box, Embedding, FaceQuality
from vigil_stream.analyses.faces.shots import GOOD_SCORE, MARGIN, USABLE_SCORE, VERIFY_S, Shot, TrackShots

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def kept(score: float, vector: list[float] | None = None, model: str = "m@1") -> Shot:
    array = np.array(vector, np.float32) if vector is not None else None
    shot = BestShot(
        captured_at=NOW,
        box=Box(x=0, y=0, width=0.1, height=0.1),
        landmarks=[(0.1, 0.1)] * 5,
        confidence=0.9,
        quality=FaceQuality(
            score=score, face_pixels=80, sharpness=1, brightness=0.5, yaw_degrees=0, pitch_degrees=0, roll_degrees=0
        ),
        embedding=Embedding.from_bytes(model, array.astype("<f4").tobytes()) if array is not None else None,
    )
    return Shot(shot, array)


def test_a_good_first_check_leads_to_a_shot_at_once() -> None:
    shots = TrackShots()
    assert shots.wants_check(0.1, 0.0, doubtful=False)
    shots.checked(0.5, 0.0)
    assert shots.wants_shot(GOOD_SCORE, 0.0, doubtful=False)


def test_a_poor_first_check_waits_for_the_second_and_no_longer() -> None:
    shots = TrackShots()
    shots.checked(0.2, 0.0)
    assert not shots.wants_shot(GOOD_SCORE - 0.1, 0.0, doubtful=False)
    assert shots.wants_check(0.2, 0.2, doubtful=False)
    shots.checked(0.2, 0.2)
    assert shots.wants_shot(GOOD_SCORE - 0.1, 0.2, doubtful=False)


def test_an_unusable_face_is_never_taken() -> None:
    shots = TrackShots()
    for n in range(20):
        shots.checked(0.1, n)
        assert not shots.wants_shot(USABLE_SCORE - 0.01, n, doubtful=True)


@pytest.mark.parametrize(
    ("score", "at", "doubtful", "wanted"),
    [
        (0.7 + MARGIN, 1.0, False, True),
        (0.7 + MARGIN / 2, 1.0, False, False),
        (0.7 + MARGIN, 0.2, False, False),
        (0.3, 1.0, True, True),
        (0.65, 1.8, False, True),
        (0.4, 1.8, False, False),
    ],
)
def test_a_further_shot_must_be_worth_it(score: float, at: float, doubtful: bool, wanted: bool) -> None:
    shots = TrackShots()
    shots.keep(kept(0.7), 0.0)
    assert shots.wants_shot(score, at, doubtful=doubtful) is wanted


def test_a_person_who_stays_is_verified_now_and_then() -> None:
    """After the second opinion."""
    shots = TrackShots()
    shots.keep(kept(0.7), 0.0)
    shots.keep(kept(0.69), 2.0)
    assert not shots.wants_shot(0.69, 2.0 + VERIFY_S - 0.1, doubtful=False)
    assert shots.wants_shot(0.69, 2.0 + VERIFY_S, doubtful=False)


def test_a_postponed_shot_is_checked_in_the_next_frame() -> None:
    shots = TrackShots()
    for _ in range(3):
        shots.checked(0.9, 0.0)
    assert not shots.wants_check(0.9, 0.2, doubtful=False)
    shots.postpone()
    assert shots.wants_check(0.9, 0.2, doubtful=False)
    shots.checked(0.9, 0.2)
    assert not shots.wants_check(0.9, 0.4, doubtful=False)


def test_the_best_five_stay_in_order() -> None:
    shots = TrackShots()
    for n, score in enumerate([0.5, 0.9, 0.3, 0.7, 0.6, 0.8, 0.4]):
        shots.keep(kept(score), float(n))
    assert [one.score for one in shots.kept] == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert len(shots.kept) == MAX_SHOTS


@pytest.mark.parametrize(
    ("vector", "belongs"), [([1, 0], True), ([0.6, 0.8], True), ([0.1, 0.995], False), ([-1, 0], False)]
)
def test_another_face_does_not_belong(vector: list[float], belongs: bool) -> None:
    shots = TrackShots()
    shots.keep(kept(0.5, [1, 0]), 0.0)
    assert shots.shows_same_person(kept(0.6, vector), match_threshold=0.4) is belongs


def test_vectors_of_two_models_are_never_compared() -> None:
    shots = TrackShots()
    shots.keep(kept(0.5, [1, 0], "old@1"), 0.0)
    new = kept(0.5, [-1, 0], "new@1")
    assert shots.shows_same_person(new, match_threshold=0.4)
    shots.keep(new, 1.0)
    assert [one.model_id for one in shots.kept] == ["new@1"]
