"""A shot is taken early, again only when it is better, and never mixes two people."""

import datetime as dt

import numpy as np
import pytest

from vigil_contracts.events import MAX_SHOTS, BestShot, Box, Embedding, FaceQuality
from vigil_stream.analyses.faces.shots import GOOD_SCORE, MARGIN, USABLE_SCORE, VERIFY_S, PersonShots, Shot

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
    shots = PersonShots()
    assert shots.wants_check(0.1, 0.0, urgent=False)
    shots.checked(0.5, 0.0)
    assert shots.wants_shot(GOOD_SCORE, 0.0, urgent=False)


def test_a_poor_first_check_waits_for_the_second_and_no_longer() -> None:
    shots = PersonShots()
    shots.checked(0.2, 0.0)
    assert not shots.wants_shot(GOOD_SCORE - 0.1, 0.0, urgent=False)
    assert shots.wants_check(0.2, 0.2, urgent=False)
    shots.checked(0.2, 0.2)
    assert shots.wants_shot(GOOD_SCORE - 0.1, 0.2, urgent=False)


def test_an_unusable_face_is_never_taken() -> None:
    shots = PersonShots()
    for n in range(20):
        shots.checked(0.1, n)
        assert not shots.wants_shot(USABLE_SCORE - 0.01, n, urgent=True)


@pytest.mark.parametrize(
    ("score", "at", "urgent", "wanted"),
    [
        (0.7 + MARGIN, 1.0, False, True),
        (0.7 + MARGIN / 2, 1.0, False, False),
        (0.7 + MARGIN, 0.2, False, False),
        (0.3, 1.0, True, True),
        (0.65, 1.8, False, True),
        (0.4, 1.8, False, False),
    ],
)
def test_a_further_shot_must_be_worth_it(score: float, at: float, urgent: bool, wanted: bool) -> None:
    shots = PersonShots()
    shots.keep(kept(0.7), 0.0)
    assert shots.wants_shot(score, at, urgent=urgent) is wanted


def test_a_person_who_stays_is_verified_now_and_then() -> None:
    """After the second opinion."""
    shots = PersonShots()
    shots.keep(kept(0.7), 0.0)
    shots.keep(kept(0.69), 2.0)
    assert not shots.wants_shot(0.69, 2.0 + VERIFY_S - 0.1, urgent=False)
    assert shots.wants_shot(0.69, 2.0 + VERIFY_S, urgent=False)


def test_a_postponed_shot_is_checked_in_the_next_frame() -> None:
    shots = PersonShots()
    for _ in range(3):
        shots.checked(0.9, 0.0)
    assert not shots.wants_check(0.9, 0.2, urgent=False)
    shots.postpone()
    assert shots.wants_check(0.9, 0.2, urgent=False)
    shots.checked(0.9, 0.2)
    assert not shots.wants_check(0.9, 0.4, urgent=False)


def test_the_best_five_stay_in_order() -> None:
    shots = PersonShots()
    for n, score in enumerate([0.5, 0.9, 0.3, 0.7, 0.6, 0.8, 0.4]):
        shots.keep(kept(score), float(n))
    assert [one.score for one in shots.kept] == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert len(shots.kept) == MAX_SHOTS


def test_vectors_of_two_models_are_never_kept_together() -> None:
    shots = PersonShots()
    shots.keep(kept(0.5, [1, 0], "old@1"), 0.0)
    shots.keep(kept(0.5, [-1, 0], "new@1"), 1.0)
    assert [one.model_id for one in shots.kept] == ["new@1"]
