"""A problem is reported once with its cause, and once when it is solved."""

import uuid

from vigil_cli.dashboard import DashboardState
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport, Lookalike, PhotoReason, PhotoResult
from vigil_contracts.resources import Subject

ADA = ResourceKey("default", "ada")
SUBJECT = Subject.model_validate(
    {
        "metadata": {"name": "ada"},
        "spec": {
            "displayName": "Ada",
            "consent": {"status": "Granted"},
            "photos": [{"name": name, "secretKeyRef": {"name": "ada", "key": name}} for name in ("one", "two")],
        },
    }
)


def a_dashboard() -> tuple[DashboardState, list[str]]:
    lines: list[str] = []
    dashboard = DashboardState(emit=lambda _, line: lines.append(line))
    dashboard.declare({}, {ADA: SUBJECT})
    return dashboard, lines


def test_a_problem_stays_visible_until_it_is_solved() -> None:
    dashboard, lines = a_dashboard()

    dashboard.problem("stream default/lobby", "No space left on device: /x; it is tried again")
    assert dashboard.notices == {
        "stream default/lobby": ("warning", "stream default/lobby: No space left on device: /x; it is tried again")
    }
    dashboard.problem("stream default/lobby", "")

    assert dashboard.notices == {}
    assert [line.partition(": ")[2] for line in lines] == [
        "No space left on device: /x; it is tried again",
        "solved",
    ]


def test_a_solved_problem_of_a_subject_is_not_reported() -> None:
    dashboard, lines = a_dashboard()

    dashboard.subject_problem(ADA, "identity does not answer")
    dashboard.subject_problem(ADA, "")

    assert lines == ["Ada cannot be enrolled yet: identity does not answer"]
    assert dashboard.subjects[ADA].problem == ""


def test_a_photo_that_is_missing_is_not_called_refused() -> None:
    dashboard, lines = a_dashboard()
    photos = [
        PhotoResult(name="one", accepted=False, reason=PhotoReason.NOT_FOUND, message="the server answered 503"),
        PhotoResult(name="two", accepted=False, reason=PhotoReason.NO_FACE, message="no face"),
    ]

    dashboard.enrolled(
        ADA, EnrolmentReport(subject_id=uuid.uuid4(), enrolled=False, reason="NoUsablePhoto", photos=photos)
    )

    assert lines[1:] == [
        "  photo one of Ada missing: the server answered 503",
        "  photo two of Ada refused: no face",
    ]


def test_case_one_person_twice_names_both_once() -> None:
    """Case one-person-twice: the pair stays until a newer report of either is without the other."""
    dashboard, lines = a_dashboard()
    smith = ResourceKey("default", "ada-smith")
    subject = Subject.model_validate(
        {
            "metadata": {"name": "ada-smith"},
            "spec": {
                "displayName": "Ada Smith",
                "photos": [{"name": "p", "secretKeyRef": {"name": "s", "key": "k"}}],
                "consent": {"status": "Granted"},
            },
        }
    )
    declared = dict.fromkeys((ADA, smith), subject)
    dashboard.declare({}, declared)

    def report(*others: ResourceKey) -> EnrolmentReport:
        found = [Lookalike(namespace=key.namespace, name=key.name, similarity=1.0) for key in others]
        return EnrolmentReport(subject_id=uuid.uuid4(), enrolled=True, reason="Enrolled", lookalikes=found)

    dashboard.enrolled(ADA, report())
    dashboard.enrolled(smith, report(ADA))
    assert lines[-1] == (
        "ada-smith and ada look like the same person (1.00); neither can be recognised until one of them is removed"
    )
    dashboard.enrolled(ADA, report(smith))
    assert dashboard.lookalikes() == [(ADA, smith, 1.0)]

    dashboard.enrolled(ADA, report())
    assert dashboard.lookalikes() == []
