"""What counts as already enrolled, so that nothing is sent twice and nobody is forgotten by accident."""

import uuid

import pytest

from vigil_contracts.registry import EnrolmentReport, PhotoReason, PhotoResult, enrolment_digest
from vigil_operator.reconcile.subject_enrolment import _kept
from vigil_operator.reconcile.subject_photos import Found

SPEC, OTHER = '{"displayName":"Ann"}', '{"displayName":"Anne"}'


def report(spec: str, **photos: str | None) -> EnrolmentReport:
    """Give the report of an enrolment of this spec with these digests."""
    results = [
        PhotoResult(name=name, accepted=sha256 is not None, reason=PhotoReason.ACCEPTED, sha256=sha256)
        for name, sha256 in photos.items()
    ]
    digest = enrolment_digest(spec, photos)
    return EnrolmentReport(subject_id=uuid.uuid4(), enrolled=True, reason="Enrolled", photos=results, digest=digest)


def found(*absent: str, **digests: str) -> Found:
    made = Found(digests=dict(digests))
    for name in absent:
        made.lack(name, PhotoReason.NOT_FOUND, "gone")
    return made


@pytest.mark.parametrize(
    ("there", "stored", "counts"),
    [
        (found(one="a"), None, {"one": "a"}),
        (found("one"), None, {}),
        (found("one"), report(SPEC, one="a"), {"one": "a"}),
        (found("one", two="b"), report(SPEC, one="a", two="b"), {"one": "a", "two": "b"}),
        (found(one="new"), report(SPEC, one="a"), {"one": "new"}),
        (found("one"), report(SPEC, one=None), {}),
        (found("one"), report(OTHER, one="a"), {}),
    ],
)
def test_a_photo_whose_source_went_counts_as_long_as_the_spec_is_the_same(
    there: Found, stored: EnrolmentReport | None, counts: dict[str, str]
) -> None:
    assert _kept(there, SPEC, stored) == counts


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
def test_the_digest_is_another_when_anything_is(spec: str, photos: dict[str, str | None], same: bool) -> None:
    assert (enrolment_digest(spec, photos) == enrolment_digest(SPEC, {"one": "a", "two": None})) is same
