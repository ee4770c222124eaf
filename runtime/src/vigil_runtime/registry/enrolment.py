"""Decide what an enrolment sends: which photos are fetched, which identity knows already, which it keeps.

Pure, and the same for the operator and for `vigil up`. Identity keeps no photo, only its assessment of each, under the
photo's sha256. A photo by address whose sha256 the Subject states is fetched only where identity does not know it. A
photo whose source is away is named by its sha256, so that nobody is un-enrolled because a server or a Secret is gone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from vigil_contracts.registry import EnrolmentReport, PhotoReason, enrolment_digest
from vigil_contracts.resources import Subject
from vigil_contracts.resources.subject import Photo

AWAY: Final = frozenset({PhotoReason.NOT_FOUND, PhotoReason.NOT_READABLE})
"""Reasons for which the source of a photo is away: a photo that identity has is kept."""


@dataclass(frozen=True, slots=True)
class EnrolmentPlan:
    """The photos to read for an enrolment.

    Attributes
    ----------
    reuse
        sha256 by name, of photos that identity knows: they are neither read nor sent.
    fetch
        Photos to download from their address.
    read
        Photos to read from a Secret, a ConfigMap or a file.
    """

    reuse: Mapping[str, str]
    fetch: tuple[Photo, ...]
    read: tuple[Photo, ...]


def is_remote(photo: Photo) -> bool:
    """Return whether a photo is downloaded from an address."""
    return photo.url is not None and photo.url.startswith("https://")


def plan_enrolment(
    photos: Iterable[Photo], report: EnrolmentReport | None, model_id: str | None = None
) -> EnrolmentPlan:
    """Plan which photos to read.

    Parameters
    ----------
    report
        The report of the last enrolment; None: identity knows nothing of the Subject.
    model_id
        The model that identity serves now; None: unknown. A report of another model is no reason to reuse a photo.
    """
    photos = tuple(photos)
    reuse = _reusable(photos, report, model_id)
    rest = [photo for photo in photos if photo.name not in reuse]
    return EnrolmentPlan(
        reuse,
        tuple(photo for photo in rest if is_remote(photo)),
        tuple(photo for photo in rest if not is_remote(photo)),
    )


def _reusable(photos: Iterable[Photo], report: EnrolmentReport | None, model_id: str | None) -> dict[str, str]:
    """Return the sha256 of photos by address that identity assessed, without those that were unlike the others."""
    if report is None or model_id not in {None, report.model_id}:
        return {}
    known = {
        photo.name: photo.sha256
        for photo in report.photos
        if photo.reason not in {PhotoReason.NOT_THE_SAME_PERSON, PhotoReason.MISSING}
    }
    return {
        photo.name: photo.sha256
        for photo in photos
        if photo.url is not None and photo.sha256 is not None and known.get(photo.name) == photo.sha256
    }


def keep_absent(
    photos: Iterable[Photo], report: EnrolmentReport | None, absent: Mapping[str, PhotoReason]
) -> dict[str, str]:
    """Return the sha256 of absent photos that identity is asked to keep.

    A photo that is there and cannot be used is not kept, unless the Subject itself states this sha256.

    Parameters
    ----------
    absent
        The reason for each photo that could not be had, by name.
    """
    known = {photo.name: photo.sha256 for photo in (report.photos if report is not None else [])}
    stated = {photo.name: photo.sha256 for photo in photos}
    return {
        name: sha256
        for name, reason in absent.items()
        if (sha256 := known.get(name)) is not None
        and (stated.get(name) == sha256 or (stated.get(name) is None and reason in AWAY))
    }


def wanted_digest(subject: Subject, digests: Mapping[str, str], *, barred: bool = False) -> str:
    """Return the digest of the enrolment that a Subject asks for.

    Parameters
    ----------
    digests
        sha256 by name, of the photos that are there or kept.
    barred
        The person must not be in the gallery now: no photo belongs to the enrolment.
    """
    photos = {} if barred else {photo.name: digests.get(photo.name) for photo in subject.spec.photos}
    return enrolment_digest(subject.spec.model_dump_json(by_alias=True), photos)


def lost_reuse(report: EnrolmentReport, reuse: Mapping[str, str]) -> bool:
    """Return whether identity no longer knows a photo that was to be reused: it serves another model by now."""
    return any(photo.name in reuse and photo.reason is PhotoReason.MISSING for photo in report.photos)


def may_appear(reason: PhotoReason) -> bool:
    """Return whether a photo may be had later without a change of the Subject: its source was away."""
    return reason is PhotoReason.NOT_FOUND
