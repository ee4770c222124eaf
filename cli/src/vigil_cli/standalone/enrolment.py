"""Enrol a Subject with those photos of its manifest that are available.

`vigil_runtime.registry.enrolment` decides which photos are fetched, reused and kept. A server that accepts a connection
and stays silent delays its own photos by the whole deadline of a download. Such a download therefore occupies no place
at identity, and Subjects with photos on other servers do not wait for it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from vigil_cli.manifests.photos import PhotoUnavailableError, read_photo
from vigil_cli.standalone.desired import DesiredSubject
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport, PhotoReason, PhotoResult
from vigil_contracts.resources import ConsentStatus
from vigil_contracts.resources.subject import Photo
from vigil_runtime.photos import Downloader
from vigil_runtime.registry.client import RegistryClient
from vigil_runtime.registry.enrolment import is_remote, keep_absent, lost_reuse, may_appear, plan_enrolment

AT_ONCE = 2
"""Enrolments at the same time, since they share the CPU with the cameras. Of Subjects with photos on the same servers,
as many hold their photos in memory."""

Servers = frozenset[str]
Photos = dict[str, bytes]
Unavailable = dict[str, PhotoUnavailableError]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The result of an enrolment.

    Attributes
    ----------
    report
        With the reason of each photo that was not available.
    is_whole
        False: a photo is missing that may appear later without a change of the manifest.
    """

    report: EnrolmentReport
    is_whole: bool

    @property
    def gist(self) -> object:
        """The result without its wording: an equal gist is not reported twice."""
        photos = [(photo.name, photo.accepted, photo.reason) for photo in self.report.photos]
        alike = [(one.namespace, one.name) for one in self.report.lookalikes]
        return self.report.enrolled, self.report.reason, photos, alike


class SupersededError(Exception):
    """An enrolment was cancelled before identity received anything, because the manifest of the Subject changed."""


class Enroller:
    """Enrols Subjects, a bounded number at the same time."""

    def __init__(self, registry: RegistryClient, downloader: Downloader) -> None:
        self._registry = registry
        self._downloader = downloader
        self._identity = asyncio.Semaphore(AT_ONCE)
        self._servers: WeakValueDictionary[Servers, asyncio.Semaphore] = WeakValueDictionary()
        self._waiting: dict[ResourceKey, asyncio.Timeout] = {}

    async def enroll(self, subject: DesiredSubject) -> Enrolled:
        """Bring identity to the state that a Subject's manifest describes.

        Raises
        ------
        RegistryError
            Identity did not do it.
        SupersededError
            `cancel` was called first.
        """
        if subject.declared.resource.spec.consent.status is not ConsentStatus.GRANTED:
            # At once: nothing is read, and no place is waited for.
            report = await self._registry.put_subject(subject.declared.resource, {})
            return Enrolled(report, is_whole=True)
        known = await self._read_report(subject)
        reuse = plan_enrolment(subject.declared.resource.spec.photos, known).reuse
        report, unavailable = await self._put(subject, known, reuse)
        if lost_reuse(report, reuse):
            report, unavailable = await self._put(subject, known, {})
        missing = {photo.name for photo in report.photos if photo.reason is PhotoReason.MISSING}
        photos = [_with_reason(photo, unavailable.get(photo.name)) for photo in report.photos]
        is_whole = not any(name in missing and may_appear(error.reason) for name, error in unavailable.items())
        return Enrolled(report.model_copy(update={"photos": photos}), is_whole)

    def cancel(self, key: ResourceKey) -> None:
        """End an enrolment that waits for photos or for a place; one that has reached identity is completed."""
        if waiting := self._waiting.pop(key, None):
            waiting.reschedule(0)

    async def _read_report(self, subject: DesiredSubject) -> EnrolmentReport | None:
        if not any(is_remote(photo) for photo in subject.declared.resource.spec.photos):
            return None
        async with self._until_cancelled(subject.key), self._identity:
            return await self._registry.stored_subject(subject.key)

    async def _put(
        self, subject: DesiredSubject, known: EnrolmentReport | None, reuse: Mapping[str, str]
    ) -> tuple[EnrolmentReport, Unavailable]:
        """Send all photos but the reused ones; return the report and the errors of unavailable photos by name."""
        resource = subject.declared.resource
        photos = [photo for photo in resource.spec.photos if photo.name not in reuse]
        async with AsyncExitStack() as held:
            async with self._until_cancelled(subject.key):
                fetched, unavailable = await self._fetch([one for one in photos if is_remote(one)], subject, held)
                await held.enter_async_context(self._identity)
            read, unreadable = await self._read([one for one in photos if not is_remote(one)], subject)
            unavailable |= unreadable
            kept = {**reuse, **_kept(photos, known, unavailable)}
            return await self._registry.put_subject(resource, fetched | read, kept), unavailable

    async def _fetch(
        self, photos: list[Photo], subject: DesiredSubject, held: AsyncExitStack
    ) -> tuple[Photos, Unavailable]:
        """Download photos; the place at their servers is held until their bytes are no longer needed."""
        if not photos:
            return {}, {}
        servers = frozenset(map(_server, photos))
        await held.enter_async_context(self._servers.setdefault(servers, asyncio.Semaphore(AT_ONCE)))
        return await self._read(photos, subject)

    async def _read(self, photos: list[Photo], subject: DesiredSubject) -> tuple[Photos, Unavailable]:
        found, unavailable = Photos(), Unavailable()

        async def read(photo: Photo) -> None:
            try:
                data = await read_photo(photo, subject.declared, subject.manifests, self._downloader)
            except PhotoUnavailableError as error:
                unavailable[photo.name] = error
            else:
                found[photo.name] = data

        await asyncio.gather(*map(read, photos))
        return found, unavailable

    @asynccontextmanager
    async def _until_cancelled(self, key: ResourceKey) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(None) as waiting:
                self._waiting[key] = waiting
                yield
        except TimeoutError:
            if waiting.expired():
                raise SupersededError from None
            raise
        finally:
            self._waiting.pop(key, None)


def _server(photo: Photo) -> str:
    with contextlib.suppress(ValueError):
        return urlsplit(photo.url or "").netloc
    return ""  # the download refuses it


def _kept(photos: Iterable[Photo], known: EnrolmentReport | None, unavailable: Unavailable) -> dict[str, str]:
    """Return the sha256 of unavailable photos: identity may know one under another name, or from another address."""
    stated = {photo.name: photo.sha256 for photo in photos if photo.name in unavailable and photo.sha256 is not None}
    return {**keep_absent(photos, known, {name: error.reason for name, error in unavailable.items()}), **stated}


def _with_reason(photo: PhotoResult, error: PhotoUnavailableError | None) -> PhotoResult:
    """Return the result of a photo with the reason why it was not sent; identity knows only that it is missing."""
    if error is None or photo.reason is not PhotoReason.MISSING:
        return photo
    message = f"{error}; it is tried again" if may_appear(error.reason) else str(error)
    return photo.model_copy(update={"message": message, "reason": error.reason})
