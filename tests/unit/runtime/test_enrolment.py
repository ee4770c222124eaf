"""The enrolment planner: nothing known is fetched again, nobody is un-enrolled because a source is away."""

import uuid

import pytest

from vigil_contracts.registry import EnrolmentReport, PhotoReason, PhotoResult
from vigil_contracts.resources.subject import Photo
from vigil_runtime.registry.enrolment import keep_absent, lost_reuse, may_appear, plan_enrolment

A, B = "a" * 64, "b" * 64
MODEL = "sface@1"


def remote(name: str, sha256: str = A) -> Photo:
    return Photo(name=name, url=f"https://photos.example/{name}", sha256=sha256)


def stored(name: str) -> Photo:
    return Photo.model_validate({"name": name, "secretKeyRef": {"name": "photos", "key": name}})


def report(*photos: tuple[str, PhotoReason, str | None], model_id: str = MODEL) -> EnrolmentReport:
    results = [
        PhotoResult(name=name, accepted=reason is PhotoReason.ACCEPTED, reason=reason, sha256=sha256)
        for name, reason, sha256 in photos
    ]
    return EnrolmentReport(subject_id=uuid.uuid4(), enrolled=True, reason="Enrolled", photos=results, model_id=model_id)


@pytest.mark.parametrize(
    ("known", "model_id", "reused"),
    [
        (None, MODEL, False),
        (report(("one", PhotoReason.ACCEPTED, A)), MODEL, True),
        (report(("one", PhotoReason.FACE_BLURRED, A)), MODEL, True),
        (report(("one", PhotoReason.ACCEPTED, A)), None, True),
        (report(("one", PhotoReason.ACCEPTED, B)), MODEL, False),
        (report(("one", PhotoReason.ACCEPTED, A)), "another@2", False),
        (report(("one", PhotoReason.NOT_THE_SAME_PERSON, A)), MODEL, False),
        (report(("one", PhotoReason.MISSING, None)), MODEL, False),
    ],
)
def test_a_photo_identity_assessed_is_not_fetched(
    known: EnrolmentReport | None, model_id: str | None, reused: bool
) -> None:
    plan = plan_enrolment([remote("one"), stored("two")], known, model_id)
    assert dict(plan.reuse) == ({"one": A} if reused else {})
    assert [photo.name for photo in plan.fetch] == ([] if reused else ["one"])
    assert [photo.name for photo in plan.read] == ["two"]


@pytest.mark.parametrize(
    ("photo", "known_sha256", "reason", "kept"),
    [
        (remote("one"), A, PhotoReason.NOT_FOUND, {"one": A}),
        (remote("one"), A, PhotoReason.CHECKSUM_MISMATCH, {"one": A}),
        (remote("one"), B, PhotoReason.NOT_FOUND, {}),
        (stored("one"), B, PhotoReason.NOT_FOUND, {"one": B}),
        (stored("one"), B, PhotoReason.NOT_READABLE, {"one": B}),
        (stored("one"), B, PhotoReason.TOO_LARGE, {}),
        (stored("one"), None, PhotoReason.NOT_FOUND, {}),
    ],
)
def test_an_absent_photo_is_kept_by_its_checksum(
    photo: Photo, known_sha256: str | None, reason: PhotoReason, kept: dict[str, str]
) -> None:
    known = report(("one", PhotoReason.ACCEPTED, known_sha256))
    assert keep_absent([photo], known, {"one": reason}) == kept
    assert keep_absent([photo], None, {"one": reason}) == {}


def test_a_reused_photo_reported_missing_shows_another_model() -> None:
    missing = report(("one", PhotoReason.MISSING, None))
    assert lost_reuse(missing, {"one": A})
    assert not lost_reuse(missing, {})


def test_only_a_source_that_was_away_may_appear_again() -> None:
    assert [reason for reason in PhotoReason if may_appear(reason)] == [PhotoReason.NOT_FOUND]
