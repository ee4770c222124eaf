import datetime as dt
import uuid

import numpy as np
import pytest

from vigil_contracts import events
from vigil_contracts.events import IdentityReason, IdentityStatus
from vigil_contracts.ids import new_sighting_id
from vigil_gateway.identity.decision import Shots, Times, decide, needs_wider_search, probe, undetermined
from vigil_gateway.services.model import Model
from vigil_gateway.storage.postgres.resource_rows import SubjectRow
from vigil_gateway.storage.qdrant.gallery import Neighbour, Neighbours, by_subject

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
TIMES = Times(NOW, NOW, NOW)
MODEL = Model("net@0123456789ab", 4, 0.4, 0.05)
ANN, BOB, EVE = (uuid.UUID(int=number) for number in (1, 2, 3))


def subject(one: uuid.UUID, **window: dt.datetime | None) -> SubjectRow:
    return SubjectRow(
        id=one,
        namespace="default",
        name=str(one.int),
        display_name="",
        external_id=None,
        category=None,
        consent="Granted",
        active_from=window.get("begins"),
        active_until=window.get("ends"),
        created_at=NOW,
        updated_at=NOW,
        granted_at=window.get("granted"),
    )


def near(*found: tuple[uuid.UUID, float], complete: bool = True) -> Neighbours:
    return Neighbours(tuple(Neighbour(*one) for one in found), complete)


EVERYBODY = {one: subject(one) for one in (ANN, BOB, EVE)}


@pytest.mark.parametrize(
    ("found", "threshold", "who"),
    [
        (near(), None, None),
        (near((ANN, 0.41)), None, ANN),
        (near((ANN, 0.39)), None, None),
        (near((ANN, 0.39)), 0.3, ANN),
        (near((ANN, 0.41)), 0.5, None),
        (near((ANN, 0.5), (BOB, 0.44)), None, ANN),
        (near((ANN, 0.5), (BOB, 0.46)), None, None),
        (near((uuid.UUID(int=99), 0.9), (ANN, 0.5)), None, ANN),
    ],
)
def test_the_threshold_and_the_margin_decide(found: Neighbours, threshold: float | None, who: uuid.UUID | None) -> None:
    decision = decide(found, EVERYBODY, MODEL, threshold, TIMES)
    named = decision.identity.subject
    assert (named and named.subject_id) == who
    assert decision.identity.status is (IdentityStatus.KNOWN if who else IdentityStatus.UNKNOWN)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (near(), IdentityReason.NOBODY_TO_COMPARE),
        (near((ANN, 0.41)), IdentityReason.RECOGNISED),
        (near((ANN, 0.39)), IdentityReason.BELOW_THRESHOLD),
        (near((ANN, 0.39), (BOB, 0.38)), IdentityReason.BELOW_THRESHOLD),
        (near((ANN, 1.0), (BOB, 1.0)), IdentityReason.AMBIGUOUS),
        (near((ANN, 0.5), (BOB, 0.46)), IdentityReason.AMBIGUOUS),
    ],
)
def test_case_one_person_twice_the_sighting_says_why(found: Neighbours, reason: IdentityReason) -> None:
    """Case one-person-twice: an unknown sighting of somebody enrolled under two names is ambiguous."""
    identity = decide(found, EVERYBODY, MODEL, None, TIMES).identity
    assert identity.reason is reason
    stored = identity.model_copy(update={"reason": None})
    assert stored.derive_reason() is reason


def test_a_sighting_without_a_face_says_so() -> None:
    identity = undetermined(NOW).identity
    assert identity.reason is identity.derive_reason() is IdentityReason.NO_FACE


def test_a_subject_below_the_threshold_is_not_named() -> None:
    """Its similarity is reported."""
    decision = decide(near((ANN, 0.3), (BOB, 0.2)), EVERYBODY, MODEL, None, TIMES)
    assert (decision.nearest, decision.runner_up) == (ANN, BOB)
    assert (decision.identity.similarity, decision.identity.runner_up_similarity) == (0.3, 0.2)
    assert decision.identity.subject is None


def test_an_inactive_subject_is_ignored() -> None:
    """It neither wins nor counts for the margin."""
    hour = dt.timedelta(hours=1)
    people = {ANN: subject(ANN), BOB: subject(BOB, ends=NOW), EVE: subject(EVE, begins=NOW + hour)}
    decision = decide(near((BOB, 0.9), (EVE, 0.8), (ANN, 0.79)), people, MODEL, None, TIMES)
    assert decision.nearest == ANN
    assert decision.identity.status is IdentityStatus.KNOWN


HOUR = dt.timedelta(hours=1)
SEEN = NOW - 6 * HOUR


@pytest.mark.parametrize(
    ("window", "named"),
    [
        ({"begins": SEEN}, True),
        ({"begins": SEEN + HOUR}, False),
        ({"begins": SEEN, "ends": NOW + HOUR}, True),
        ({"ends": NOW}, False),
        ({"ends": SEEN + HOUR}, False),
        ({"granted": SEEN - HOUR}, True),
        ({"granted": SEEN + HOUR}, False),
    ],
)
def test_a_name_needs_validity_when_seen_and_when_decided(window: dict[str, dt.datetime], *, named: bool) -> None:
    """The event is decided six hours after the person was seen."""
    times = Times(SEEN, SEEN + dt.timedelta(minutes=1), NOW)
    decision = decide(near((ANN, 0.9)), {ANN: subject(ANN, **window)}, MODEL, None, times)
    assert (decision.identity.subject is not None) is named


def test_a_clock_that_is_ahead_names_nobody_whose_validity_ends() -> None:
    times = Times(NOW + HOUR, NOW + HOUR, NOW)
    decision = decide(near((ANN, 0.9)), {ANN: subject(ANN, ends=NOW + HOUR / 2)}, MODEL, None, times)
    assert decision.identity.status is IdentityStatus.UNKNOWN


@pytest.mark.parametrize(("complete", "wider"), [(True, False), (False, True)])
def test_a_wider_search_is_needed_only_when_the_gallery_has_more(*, complete: bool, wider: bool) -> None:
    assert needs_wider_search(near((ANN, 0.9), complete=complete), {ANN: subject(ANN)}, TIMES) is wider


def test_each_subject_counts_once_with_its_nearest_photo() -> None:
    found = by_subject([(ANN, 0.3), (BOB, 0.5), (ANN, 0.7)], complete=True)
    assert found.nearest == (Neighbour(ANN, 0.7), Neighbour(BOB, 0.5))


def seen(*shots: tuple[list[float], float, str]) -> events.Sighting:
    made = [
        events.BestShot(
            captured_at=NOW,
            box=events.Box(x=0, y=0, width=1, height=1),
            landmarks=[(0, 0)] * 5,
            confidence=1,
            quality=events.FaceQuality(
                score=quality, face_pixels=1, sharpness=1, brightness=1, yaw_degrees=0, pitch_degrees=0, roll_degrees=0
            ),
            embedding=events.Embedding.from_bytes(model, np.array(vector, "<f4").tobytes()),
        )
        for vector, quality, model in shots
    ]
    return events.Sighting(
        sighting_id=new_sighting_id(NOW),
        revision=1,
        state=events.SightingState.OPENED,
        site="home",
        camera=events.CameraRef(namespace="default", name="door"),
        session_id="s",
        last_seen_at=NOW,
        frames=1,
        box=events.Box(x=0, y=0, width=1, height=1),
        shots=made,
    )


def test_shots_are_weighted_by_their_quality() -> None:
    pooled = probe(seen(([1, 0], 0.9, "a"), ([0, 1], 0.3, "a")))
    assert pooled
    assert pooled.vector == pytest.approx(np.array([3, 1]) / np.sqrt(10), abs=1e-6)


def test_what_shots_have_in_common_stays_and_what_differs_fades() -> None:
    """Five shots at cosine 0.5 to the person, each off in another direction, together come to 0.79."""
    shots = []
    for number in range(5):
        vector = [0.5, *([0.0] * 5)]
        vector[1 + number] = float(np.sqrt(0.75))
        shots.append((vector, 0.8, "a"))
    pooled = probe(seen(*shots))
    assert pooled
    assert pooled.vector[0] == pytest.approx(0.5 / np.sqrt(0.25 + 0.75 / 5), abs=1e-6)


@pytest.mark.parametrize(
    ("shots", "model"),
    [
        ([([1, 0], 0.9, "a"), ([1, 0], 0.5, "b"), ([0, 1], 0.4, "b")], "b"),
        ([([1, 0], 0.9, "a"), ([0, 1], 0.5, "b")], "a"),
    ],
)
def test_vectors_of_two_models_are_never_averaged(shots: list[tuple[list[float], float, str]], model: str) -> None:
    pooled = probe(seen(*shots))
    assert pooled
    assert pooled.model_id == model


def test_shots_that_cancel_each_other_out_say_nothing() -> None:
    assert probe(seen(([1, 0], 0.5, "a"), ([-1, 0], 0.5, "a"))) is None
    assert probe(seen()) is None


def test_huge_and_unequal_lengths_do_not_outweigh_quality() -> None:
    pooled = probe(seen(([3e38, 0], 0.5, "a"), ([0, 1e-3], 0.5, "a")))
    assert pooled
    assert pooled.vector == pytest.approx([np.sqrt(0.5)] * 2, abs=1e-5)


LIMITED = Model("net@0123456789ab", 4, 0.4, 0.05, same_person=0.5, other_person=0.2)


@pytest.mark.parametrize(
    ("case", "agreement", "shots", "who"),
    [
        ("all are of the person named", 0.4, (near((ANN, 0.6)), near((ANN, 0.3), (BOB, 0.25))), ANN),
        ("two are of two people", 0.1, (near((ANN, 0.6)), near((ANN, 0.6))), None),
        ("one alone would be another's", 0.4, (near((ANN, 0.6)), near((BOB, 0.45), (ANN, 0.41))), None),
        ("one alone is another's, who may not be named", 0.4, (near((ANN, 0.6)), near((BOB, 0.39), (ANN, 0.3))), ANN),
        ("one alone is nobody's", 0.4, (near((ANN, 0.6)), near((BOB, 0.1), (ANN, 0.1))), None),
        ("one alone is far from all", 0.4, (near((ANN, 0.6)), near()), None),
    ],
)
def test_shots_that_contradict_are_not_pooled_into_a_name(
    case: str, agreement: float, shots: tuple[Neighbours, ...], who: uuid.UUID | None
) -> None:
    decided = decide(near((ANN, 0.55)), EVERYBODY, LIMITED, None, TIMES, Shots(agreement, shots))
    named = decided.identity.subject
    assert (named and named.subject_id) == who, case
    assert decided.identity.reason is (IdentityReason.RECOGNISED if who else IdentityReason.SHOTS_DISAGREE), case
