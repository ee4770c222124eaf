"""Two Subjects that look like one person are each told about the other, whichever report is newer."""

import uuid

import pytest

from vigil_contracts.conditions import SubjectCondition, SubjectReason
from vigil_contracts.registry import EnrolmentReport, Lookalike, PhotoReason, PhotoResult
from vigil_contracts.resources import Subject, check
from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.reconcile.context import utc_now
from vigil_operator.reconcile.subject.conditions import Enrolment, condition_updates
from vigil_operator.reconcile.subject.lookalikes import LookalikePairs

ANNA, SMITH, BOB = (Key(Kind.SUBJECT, "default", name) for name in ("anna", "anna-smith", "bob"))


def report(*others: tuple[Key, float], enrolled: bool = True) -> EnrolmentReport:
    found = [Lookalike(namespace=key.namespace, name=key.name, similarity=value) for key, value in others]
    photos = [PhotoResult(name="p", accepted=enrolled, reason=PhotoReason.ACCEPTED)]
    return EnrolmentReport(
        subject_id=uuid.uuid4(), enrolled=enrolled, reason="Enrolled", photos=photos, lookalikes=found
    )


def names(pairs: LookalikePairs, key: Key) -> list[str]:
    return [one.name for one in pairs.of(key)]


def test_the_second_report_tells_both() -> None:
    pairs = LookalikePairs()
    assert pairs.follow(ANNA, report()) == set()
    assert pairs.follow(SMITH, report((ANNA, 1.0))) == {ANNA}
    assert (names(pairs, ANNA), names(pairs, SMITH)) == (["anna-smith"], ["anna"])


def test_a_report_without_the_other_one_ends_it_for_both() -> None:
    """The older report of the other Subject still names this one, and is not followed again."""
    pairs = LookalikePairs()
    pairs.follow(ANNA, report())
    second = report((ANNA, 1.0))
    pairs.follow(SMITH, second)
    assert pairs.follow(ANNA, report()) == {SMITH}
    assert pairs.follow(SMITH, second) == set()
    assert names(pairs, ANNA) == names(pairs, SMITH) == []


def test_a_withdrawn_or_deleted_subject_is_no_lookalike() -> None:
    pairs = LookalikePairs()
    pairs.follow(ANNA, report((SMITH, 0.9), (BOB, 0.5)))
    assert pairs.forget(SMITH) == {ANNA}
    assert names(pairs, ANNA) == ["bob"]
    assert pairs.follow(ANNA, report(enrolled=False)) == {BOB}
    assert names(pairs, BOB) == []


def subject() -> Subject:
    photos = [{"name": "p", "secretKeyRef": {"name": "s", "key": "k"}}]
    spec = {"displayName": "Anna", "consent": {"status": "Granted"}, "photos": photos}
    found = check(
        {
            "apiVersion": "vigil.dev/v1alpha1",
            "kind": "Subject",
            "metadata": {"name": "anna", "namespace": "default"},
            "spec": spec,
        }
    )
    assert isinstance(found, Subject)
    return found


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (
            [("default", "anna-smith", 1.0)],
            "looks like the same person as anna-smith (1.00); neither can be recognised",
        ),
        ([("guests", "secret", 0.9)], "as 1 Subject of another namespace; neither"),
        (
            [("default", "ann", 0.8), ("guests", "secret", 0.7), ("guests", "other", 0.6)],
            "as ann (0.80), 2 Subjects of another namespace; neither",
        ),
    ],
)
def test_case_one_person_twice_in_the_conditions(others: list[tuple[str, str, float]], words: str) -> None:
    """Case one-person-twice: Ready is False and names the other one, but no name of another namespace."""
    found = [Lookalike(namespace=space, name=name, similarity=value) for space, name, value in others]
    updates = condition_updates(subject(), Enrolment(report(), lookalikes=found), utc_now())
    ready, enrolled = updates[:2]
    assert (ready.type, ready.true, ready.reason) == (
        SubjectCondition.READY,
        False,
        SubjectReason.LOOKS_LIKE_ANOTHER,
    )
    assert words in ready.message
    assert "secret" not in ready.message
    assert enrolled.true
