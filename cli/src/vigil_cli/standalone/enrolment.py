"""Enrol a Subject with the photos that its manifest names, as far as they can be had.

Identity keeps no photo, only what it judged of each, known by the photo's sha256. So a photo at an address is fetched
only where identity does not know it, and one that cannot be had is named by its sha256: nobody is forgotten because a
server, or the network of this machine, is away for a while.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from vigil_cli.manifests.photos import PhotoNotFetched, is_remote, photo_bytes
from vigil_cli.standalone.desired import DesiredSubject
from vigil_cli.standalone.registry import PhotoUpload, Registry
from vigil_contracts.registry import EnrolmentReport, PhotoReason, PhotoResult
from vigil_contracts.resources import Subject
from vigil_contracts.resources.subject import Photo


@dataclass(frozen=True, slots=True)
class Enrolled:
    """How an enrolment went.

    Attributes
    ----------
    report
        With the reason of each photo that could not be had.
    is_whole
        False: a photo is missing that may be had later, without anybody telling of it.
    """

    report: EnrolmentReport
    is_whole: bool

    @property
    def gist(self) -> object:
        """What it says, whatever the words: the same gist need not be told twice."""
        photos = [(photo.name, photo.accepted, photo.reason) for photo in self.report.photos]
        return self.report.enrolled, self.report.reason, photos


async def enrol(registry: Registry, subject: DesiredSubject) -> Enrolled:
    """Bring identity to what a Subject's manifest says; raises RegistryError."""
    known = _known(subject.declared.resource, await registry.stored_subject(subject.key))
    report, absent = await _put(registry, subject, known)
    if any(photo.name in known and photo.reason is PhotoReason.MISSING for photo in report.photos):
        report, absent = await _put(registry, subject, {})  # another model is served by now, which knows no photo
    missing = {photo.name for photo in report.photos if photo.reason is PhotoReason.MISSING}
    photos = [_with_reason(photo, absent.get(photo.name)) for photo in report.photos]
    is_whole = not any(name in missing and error.may_pass for name, error in absent.items())
    return Enrolled(report.model_copy(update={"photos": photos}), is_whole)


def _known(subject: Subject, stored: EnrolmentReport | None) -> dict[str, str]:
    """Give the sha256 of the photos at addresses that identity has judged; those are not fetched.

    A photo that is unlike the others is judged anew beside each new one.
    """
    judged = {
        photo.name: photo.sha256
        for photo in (stored.photos if stored is not None else [])
        if photo.reason is not PhotoReason.NOT_THE_SAME_PERSON
    }
    return {
        photo.name: photo.sha256
        for photo in subject.spec.photos
        if is_remote(photo) and photo.sha256 is not None and judged.get(photo.name) == photo.sha256
    }


async def _put(
    registry: Registry, subject: DesiredSubject, known: Mapping[str, str]
) -> tuple[EnrolmentReport, dict[str, PhotoNotFetched]]:
    """Send all photos but those that are known; gives with the report why others were not sent, by name."""
    resource = subject.declared.resource
    wanted = [photo for photo in resource.spec.photos if photo.name not in known]
    got = dict(await asyncio.gather(*(_get(photo, subject) for photo in wanted)))
    uploads = [PhotoUpload(name, data) for name, data in got.items() if isinstance(data, bytes)]
    absent = {name: error for name, error in got.items() if isinstance(error, PhotoNotFetched)}
    meant = {photo.name: photo.sha256 for photo in wanted if photo.name in absent and photo.sha256 is not None}
    return await registry.put_subject(resource, uploads, {**known, **meant}), absent


async def _get(photo: Photo, subject: DesiredSubject) -> tuple[str, bytes | PhotoNotFetched]:
    try:
        return photo.name, await photo_bytes(photo, subject.declared, subject.manifests)
    except PhotoNotFetched as error:
        return photo.name, error


def _with_reason(photo: PhotoResult, error: PhotoNotFetched | None) -> PhotoResult:
    """Say why a photo never reached the registry, which knows only that it did not."""
    if error is None or photo.reason is not PhotoReason.MISSING:
        return photo
    told = f"{error}; it is tried again" if error.may_pass else str(error)
    return photo.model_copy(update={"message": told, "reason": error.reason})
