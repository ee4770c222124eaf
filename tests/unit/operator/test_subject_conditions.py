"""The conditions of a Subject, from its spec, the time and the results of its photos."""

import datetime as dt
import uuid
from typing import Any

import pytest

from vigil_contracts.registry import EnrolmentReport, PhotoReason, PhotoResult
from vigil_contracts.resources import Subject, check
from vigil_operator.reconcile.subject import conditions as subject_conditions
from vigil_operator.reconcile.subject.conditions import Enrolment

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
BEFORE, AFTER = "2026-05-01T00:00:00Z", "2026-07-01T00:00:00Z"


def subject(**spec: Any) -> Subject:
    found = check(
        {
            "apiVersion": "vigil.dev/v1alpha1",
            "kind": "Subject",
            "metadata": {"name": "ann"},
            "spec": {
                "displayName": "Ann",
                "photos": [
                    {"name": "one", "secretKeyRef": {"name": "ann", "key": "1.jpg"}},
                    {"name": "two", "secretKeyRef": {"name": "ann", "key": "2.jpg"}},
                ],
                "consent": {"status": "Granted"},
                **spec,
            },
        }
    )
    assert isinstance(found, Subject), found
    return found


def photo(name: str, reason: str = "Accepted") -> PhotoResult:
    return PhotoResult(
        name=name, accepted=reason == "Accepted", reason=PhotoReason(reason), message=f"message of {name}"
    )


def report(*photos: PhotoResult) -> EnrolmentReport:
    good = any(one.accepted for one in photos)
    return EnrolmentReport(subject_id=uuid.uuid4(), enrolled=good, reason="Enrolled", photos=list(photos))


BOTH = report(photo("one"), photo("two"))
ONE = report(photo("one"), photo("two", "NoFace"))
NONE = report(photo("one", "NoFace"), photo("two", "FaceBlurred"))
EMPTY = report()
GONE = {"two": photo("two", "NotFound")}
ALL_GONE = {"one": photo("one", "NotFound"), "two": photo("two", "ChecksumMismatch")}
WITHDRAWN = {"consent": {"status": "Withdrawn"}}
EXPIRED_CONSENT = {"consent": {"status": "Granted", "expiresAt": BEFORE}}
OVER = {"validity": {"notAfter": BEFORE}}
LATER = {"validity": {"notBefore": AFTER}}

CASES: dict[str, tuple[dict[str, Any], Enrolment, dict[str, tuple[bool | None, str]]]] = {
    "all photos are in the gallery": (
        {},
        Enrolment(BOTH),
        {"Ready": (True, "Enrolled"), "Enrolled": (True, "Enrolled"), "ConsentValid": (True, "ConsentGranted")},
    ),
    "one photo was refused": (
        {},
        Enrolment(ONE),
        {
            "Ready": (True, "SomePhotosRefused"),
            "Enrolled": (True, "SomePhotosRefused"),
            "Replicated": (True, "OneSite"),
        },
    ),
    "every photo was refused": (
        {},
        Enrolment(NONE),
        {
            "Ready": (False, "NoUsablePhoto"),
            "Enrolled": (False, "NoUsablePhoto"),
            "Replicated": (False, "NoUsablePhoto"),
        },
    ),
    "no photo is there yet": (
        {},
        Enrolment(None, ALL_GONE),
        {"Ready": (False, "PhotoSourceMissing"), "Enrolled": (False, "PhotoSourceMissing")},
    ),
    "a photo's Secret went after it was enrolled": (
        {},
        Enrolment(BOTH, GONE),
        {"Ready": (True, "Enrolled"), "Enrolled": (True, "Enrolled")},
    ),
    "one photo is not there yet": (
        {},
        Enrolment(report(photo("one"), photo("two", "Missing")), GONE),
        {"Ready": (True, "SomePhotosRefused")},
    ),
    "consent is withdrawn and nothing is left": (
        WITHDRAWN,
        Enrolment(EMPTY),
        {
            "Ready": (False, "ConsentNotGranted"),
            "Enrolled": (False, "ConsentNotGranted"),
            "ConsentValid": (False, "ConsentNotGranted"),
        },
    ),
    "consent is withdrawn and identity is away": (
        WITHDRAWN,
        Enrolment(BOTH, error="nobody answers"),
        {
            "Ready": (False, "GalleryUnreachable"),
            "Enrolled": (True, "GalleryUnreachable"),
            "ConsentValid": (False, "ConsentNotGranted"),
        },
    ),
    "consent was never given": (
        {"consent": {"status": "Pending"}},
        Enrolment(None),
        {"Ready": (False, "ConsentNotGranted"), "ConsentValid": (False, "ConsentNotGranted")},
    ),
    "consent has expired": (
        EXPIRED_CONSENT,
        Enrolment(EMPTY),
        {"Ready": (False, "ConsentExpired"), "ConsentValid": (False, "ConsentExpired")},
    ),
    "the validity is over": (
        OVER,
        Enrolment(EMPTY),
        {"Ready": (False, "Expired"), "Enrolled": (False, "Expired"), "ConsentValid": (True, "ConsentGranted")},
    ),
    "the validity has not begun": (
        LATER,
        Enrolment(BOTH),
        {"Ready": (False, "NotYetValid"), "Enrolled": (True, "Enrolled"), "ConsentValid": (True, "ConsentGranted")},
    ),
    "identity never answered": (
        {},
        Enrolment(None, error="nobody answers"),
        {"Ready": (None, "GalleryUnreachable"), "Enrolled": (None, "GalleryUnreachable")},
    ),
    "identity is away when there is a change": (
        {},
        Enrolment(BOTH, error="nobody answers"),
        {"Ready": (False, "GalleryUnreachable"), "Enrolled": (True, "Enrolled")},
    ),
    "identity refuses": (
        {},
        Enrolment(None, error="too large", refused=True),
        {"Ready": (False, "EnrolmentRefused"), "Enrolled": (False, "EnrolmentRefused")},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_case_has_these_conditions_and_reasons(case: str) -> None:
    spec, enrolment, wanted = CASES[case]
    found = {
        one.type: (one.true, one.reason)
        for one in subject_conditions.condition_updates(subject(**spec), enrolment, NOW)
    }
    assert set(found) == {"Ready", "Enrolled", "ConsentValid", "Replicated"}
    assert {kind: found[kind] for kind in wanted} == wanted


def test_a_message_names_the_refused_photo_and_the_reason() -> None:
    found = {one.type: one.message for one in subject_conditions.condition_updates(subject(), Enrolment(ONE), NOW)}
    assert found["Ready"] == "1 of 2 photos are in the gallery; two: message of two"
    found = {one.type: one.message for one in subject_conditions.condition_updates(subject(), Enrolment(NONE), NOW)}
    assert found["Ready"] == "no photo can be enrolled; one: message of one (1 more in status.photos)"


def test_an_absent_photo_has_the_operators_reason() -> None:
    """Identity only reports it as missing."""
    enrolment = Enrolment(report(photo("one"), photo("two", "Missing")), GONE)
    assert [(one.name, str(one.reason)) for one in subject_conditions.photo_results(subject(), enrolment)] == [
        ("one", "Accepted"),
        ("two", "NotFound"),
    ]


def test_a_photo_stays_accepted_without_its_source() -> None:
    """Its message says that the source is gone."""
    (_, two) = subject_conditions.photo_results(subject(), Enrolment(BOTH, GONE))
    assert two.accepted
    assert two.message == "enrolled; its source is no longer there: message of two"


@pytest.mark.parametrize(
    ("spec", "moments"),
    [
        ({}, []),
        ({"validity": {"notBefore": BEFORE, "notAfter": AFTER}}, [BEFORE, AFTER]),
        ({"consent": {"status": "Granted", "expiresAt": AFTER}, "validity": {"notBefore": BEFORE}}, [BEFORE, AFTER]),
    ],
)
def test_each_time_at_which_a_condition_changes_is_known(spec: dict[str, Any], moments: list[str]) -> None:
    assert [one.strftime("%Y-%m-%dT%H:%M:%SZ") for one in subject_conditions.moments(subject(**spec))] == moments


def test_consent_ends_at_its_moment_and_not_a_second_before() -> None:
    end = dt.datetime.fromisoformat(AFTER)
    granted = subject(consent={"status": "Granted", "expiresAt": AFTER})
    assert not subject_conditions.barred(granted, end - dt.timedelta(seconds=1))
    assert subject_conditions.barred(granted, end)


def test_an_erasure_that_waits_says_for_what() -> None:
    waiting = {one.type: one for one in subject_conditions.erasing("waiting for the identity service")}
    assert (waiting["Ready"].true, waiting["Ready"].reason) == (False, "ErasureWaiting")
    assert waiting["Ready"].message == "waiting for the identity service"
    assert {one.reason for one in subject_conditions.erasing("")} == {"Erasing"}
