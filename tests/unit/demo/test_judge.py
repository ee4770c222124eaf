"""The verdict: everybody enrolled recognised where they are, nobody else named."""

import datetime as dt
from typing import Any

import pytest

from vigil_cli.commands.demo import TRUTH
from vigil_cli.demo.judge import Judge, Truth

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SMALL = Truth(
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
            "status": "Known" if who else "Unknown",
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
        ([*ALL_WELL[:2]], "nobody was unknown on lobby, where Bob passed"),
        ([*ALL_WELL, event("lobby", "grace")], "Grace was named on lobby, where Grace never is"),
        ([*ALL_WELL, event("lobby", "joe")], "Joe was named on lobby"),
        ([*ALL_WELL, event("roof", "ada")], "Ada was named on roof"),
        ([event("lobby", "ada"), event("lobby", "grace"), event("lobby", None)], "Grace was not recognised"),
        ([*ALL_WELL, event("lobby", "grace", superseded=True)], None),
        ([*ALL_WELL, event("lobby", "grace", opened_s=-5)], None),
        # A name that is taken back was said all the same.
        ([*ALL_WELL, event("lobby", "grace", sighting="x"), event("lobby", None, sighting="x")], "Grace was named"),
        # Only a stranger who stays unknown was noticed as one.
        (
            [*ALL_WELL[:2], event("lobby", None, sighting="y"), event("lobby", "ada", sighting="y")],
            "nobody was unknown on lobby",
        ),
        ([], "Ada was not recognised"),
    ],
)
def test_verdict(events: list[dict[str, Any]], problem: str | None) -> None:
    judge = Judge(SMALL, START)
    for number, one in enumerate(events):
        judge.hear(one, float(number))
    verdict = judge.verdict()
    assert verdict.passed == (problem is None), verdict.problems
    if problem:
        assert any(problem in told for told in verdict.problems), verdict.problems


def test_each_person_s_row_tells_where_when_and_how_well() -> None:
    judge = Judge(SMALL, START)
    judge.hear(event("gate", "ada", similarity=0.5), 4.0)
    judge.hear(event("gate", "ada", similarity=0.8), 5.0)
    judge.hear(event("lobby", "ada", similarity=0.7), 9.0)
    row = judge.verdict().rows[0]
    assert (row.name, row.best, row.first_s) == ("Ada", 0.8, 4.0)
    assert row.recognised_on == row.shown_on == {"gate", "lobby"}
    assert judge.verdict().first_s == 4.0


def test_the_demo_s_truth_has_people_of_both_sorts_on_every_camera_s_wall() -> None:
    assert len(TRUTH.enrolled) >= 3
    assert len(TRUTH.strangers) >= 2
    for camera, people in TRUTH.cameras.items():
        assert people & TRUTH.enrolled.keys(), camera
        assert people & TRUTH.strangers.keys(), camera
    for key in [*TRUTH.enrolled, *TRUTH.strangers]:
        assert TRUTH.shown_on(key), key
