"""What counts as enrolled, so that nothing is sent twice and no Subject is un-enrolled by accident."""

import uuid

import pytest

from vigil_contracts.registry import EnrolmentReport, PhotoReason, PhotoResult, enrolment_digest
from vigil_contracts.resources import API_VERSION, Subject, check
from vigil_operator.reconcile.subject.photos import PhotoSet
from vigil_runtime.registry.enrolment import keep_absent

A, B = "a" * 64, "b" * 64
SPEC, OTHER = '{"displayName":"Ann"}', '{"displayName":"Anne"}'


def report(spec: str, **photos: str | None) -> EnrolmentReport:
    """Return the report of an enrolment of this spec with these digests."""
    results = [
        PhotoResult(name=name, accepted=sha256 is not None, reason=PhotoReason.ACCEPTED, sha256=sha256)
        for name, sha256 in photos.items()
    ]
    digest = enrolment_digest(spec, photos)
    return EnrolmentReport(subject_id=uuid.uuid4(), enrolled=True, reason="Enrolled", photos=results, digest=digest)


def subject(**photos: str | None) -> Subject:
    """Return a Subject with these photos from a Secret, with the sha256 that it states."""
    refs = [
        {"name": name, "secretKeyRef": {"name": "photos", "key": name}, **({"sha256": sha256} if sha256 else {})}
        for name, sha256 in photos.items()
    ]
    spec = {"displayName": "Ann", "consent": {"status": "Granted"}, "photos": refs}
    made = check({"apiVersion": API_VERSION, "kind": "Subject", "metadata": {"name": "ann"}, "spec": spec})
    assert isinstance(made, Subject), made
    return made


def found(*absent: str, **digests: str) -> PhotoSet:
    made = PhotoSet(digests=dict(digests))
    for name in absent:
        made.mark_absent(name, PhotoReason.NOT_FOUND, "gone")
    return made


def too_large() -> PhotoSet:
    made = PhotoSet()
    made.mark_absent("one", PhotoReason.TOO_LARGE, "too large")
    return made


@pytest.mark.parametrize(
    ("there", "stored", "says", "kept"),
    [
        (found(one=A), None, None, {}),
        (found("one"), None, None, {}),
        (found("one"), report(SPEC, one=A), None, {"one": A}),
        (found("one", two=B), report(SPEC, one=A, two=B), None, {"one": A}),
        (found(one=B), report(SPEC, one=A), None, {}),
        (found("one"), report(SPEC, one=None), None, {}),
        (found("one"), report(OTHER, one=A), None, {"one": A}),
        (found("one"), report(SPEC, one=A), A, {"one": A}),
        (found("one"), report(SPEC, one=A), B, {}),
        (too_large(), report(SPEC, one=A), None, {}),
        (too_large(), report(SPEC, one=A), A, {"one": A}),
    ],
)
def test_a_photo_without_its_source_is_kept_while_wanted(
    there: PhotoSet, stored: EnrolmentReport | None, says: str | None, kept: dict[str, str]
) -> None:
    assert keep_absent(subject(one=says, two=None).spec.photos, stored, there.reasons) == kept


@pytest.mark.parametrize(
    ("spec", "photos", "same"),
    [
        (SPEC, {"one": "a", "two": None}, True),
        (SPEC, {"two": None, "one": "a"}, True),
        (OTHER, {"one": "a", "two": None}, False),
        (SPEC, {"one": "a", "two": "b"}, False),
        (SPEC, {"one": "a"}, False),
        (SPEC, {}, False),
    ],
)
def test_any_change_changes_the_digest(spec: str, photos: dict[str, str | None], same: bool) -> None:
    assert (enrolment_digest(spec, photos) == enrolment_digest(SPEC, {"one": "a", "two": None})) is same
