"""The evaluation: all enrolled people recognised where they appear, and no other name."""

import datetime as dt
from typing import Any

import pytest

from vigil_cli.commands.demo import GROUND_TRUTH
from vigil_cli.demo.evaluation import Evaluator, GroundTruth

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SMALL = GroundTruth(
    enrolled={"ada": "Ada", "grace": "Grace"},
    strangers={"bob": "Bob"},
    cameras={"lobby": frozenset({"ada", "bob"}), "gate": frozenset({"ada", "grace"})},
)


def event(
    camera: str,
    who: str | None,
    *,
    similarity: float = 0.6,
    sighting: str | None = None,
    opened_s: float = 1.0,
    superseded: bool = False,
) -> dict[str, Any]:
    return {
        "superseded": superseded,
        "sighting": {
            "id": sighting or f"{camera}-{who}",
            "openedAt": (START + dt.timedelta(seconds=opened_s)).isoformat(),
            "camera": {"namespace": "default", "name": camera},
        },
        "identity": {
            "status": "KNOWN" if who else "UNKNOWN",
            "similarity": similarity,
            "subject": {"namespace": "default", "name": who, "displayName": who.title()} if who else None,
        },
    }


ALL_WELL = [event("lobby", "ada"), event("gate", "grace"), event("lobby", None)]


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        (ALL_WELL, None),
        ([event("gate", "ada"), event("gate", "grace"), event("lobby", None)], None),
        ([event("lobby", "ada"), event("lobby", None)], "Grace was not recognised"),
        ([*ALL_WELL[:2]], "no sighting stayed unknown on lobby, where Bob passed"),
        ([*ALL_WELL, event("lobby", "grace")], "Grace was named on lobby, where Grace never is"),
        ([*ALL_WELL, event("lobby", "joe")], "Joe was named on lobby"),
        ([*ALL_WELL, event("roof", "ada")], "Ada was named on roof"),
        ([event("lobby", "ada"), event("lobby", "grace"), event("lobby", None)], "Grace was not recognised"),
        ([*ALL_WELL, event("lobby", "grace", superseded=True)], None),
        ([*ALL_WELL, event("lobby", "grace", opened_s=-5)], None),
        # A name counts also when a later revision changes it.
        ([*ALL_WELL, event("lobby", "grace", sighting="x"), event("lobby", None, sighting="x")], "Grace was named"),
        # Only a stranger who stays unknown was noticed as one.
        (
            [*ALL_WELL[:2], event("lobby", None, sighting="y"), event("lobby", "ada", sighting="y")],
            "no sighting stayed unknown on lobby",
        ),
        ([], "Ada was not recognised"),
    ],
)
def test_verdict(events: list[dict[str, Any]], problem: str | None) -> None:
    evaluator = Evaluator(SMALL, START)
    for number, one in enumerate(events):
        evaluator.add_event(one, float(number))
    evaluation = evaluator.evaluate()
    assert evaluation.passed == (problem is None), evaluation.problems
    if problem:
        assert any(problem in text for text in evaluation.problems), evaluation.problems


def test_each_person_s_row_tells_where_when_and_how_well() -> None:
    evaluator = Evaluator(SMALL, START)
    evaluator.add_event(event("gate", "ada", similarity=0.5), 4.0)
    evaluator.add_event(event("gate", "ada", similarity=0.8), 5.0)
    evaluator.add_event(event("lobby", "ada", similarity=0.7), 9.0)
    row = evaluator.evaluate().rows[0]
    assert (row.name, row.best, row.first_s) == ("Ada", 0.8, 4.0)
    assert row.recognised_on == row.shown_on == {"gate", "lobby"}
    assert evaluator.evaluate().first_s == 4.0


def test_the_demo_s_truth_has_both_sorts_on_every_camera() -> None:
    """The demo's truth has people of both sorts on every camera's wall."""
    assert len(GROUND_TRUTH.enrolled) >= 3
    assert len(GROUND_TRUTH.strangers) >= 2
    for camera, people in GROUND_TRUTH.cameras.items():
        assert people & GROUND_TRUTH.enrolled.keys(), camera
        assert people & GROUND_TRUTH.strangers.keys(), camera
    for key in [*GROUND_TRUTH.enrolled, *GROUND_TRUTH.strangers]:
        assert GROUND_TRUTH.shown_on(key), key
