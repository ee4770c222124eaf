"""Enrol a Subject with the photos that its manifest names, as far as they can be had.

Identity keeps no photo, only what it judged of each, known by the photo's sha256. So a photo at an address is fetched
only where identity does not know it, and one that cannot be had is named by its sha256: nobody is forgotten because a
server, or the network of this machine, is away for a while.

A server that accepts and stays silent costs its own photos the whole deadline, so nobody waits for it with a place at
identity, and those whose photos are elsewhere do not wait for it at all.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

import httpx

from vigil_cli.manifests.photos import PhotoNotFetchedError, is_remote, photo_bytes
from vigil_cli.standalone.desired import DesiredSubject
from vigil_cli.standalone.registry import PhotoUpload, Registry
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport, PhotoReason, PhotoResult
from vigil_contracts.resources import Subject
from vigil_contracts.resources.subject import Photo

AT_ONCE = 2
"""Enrolments share the CPU with the cameras. Of Subjects whose photos are at the same servers, as many have theirs in
memory, so that what was fetched cannot pile up either."""

Servers = frozenset[str]
Got = bytes | PhotoNotFetchedError


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


class SupersededError(Exception):
    """An enrolment was given up before identity was told anything: something else is wanted of the Subject by now."""


class Enroller:
    """Enrols Subjects, a bounded number at once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._identity = asyncio.Semaphore(AT_ONCE)
        self._servers: WeakValueDictionary[Servers, asyncio.Semaphore] = WeakValueDictionary()
        self._waiting: dict[ResourceKey, asyncio.Timeout] = {}

    async def enrol(self, subject: DesiredSubject) -> Enrolled:
        """Bring identity to what a Subject's manifest says.

        Raises
        ------
        RegistryError
            Identity did not do it.
        SupersededError
            `give_up` came first.
        """
        known = await self._ask_known(subject)
        report, absent = await self._put(subject, known)
        if any(photo.name in known and photo.reason is PhotoReason.MISSING for photo in report.photos):
            report, absent = await self._put(subject, {})  # another model is served by now, which knows no photo
        missing = {photo.name for photo in report.photos if photo.reason is PhotoReason.MISSING}
        photos = [_with_reason(photo, absent.get(photo.name)) for photo in report.photos]
        is_whole = not any(name in missing and error.may_pass for name, error in absent.items())
        return Enrolled(report.model_copy(update={"photos": photos}), is_whole)

    def give_up(self, key: ResourceKey) -> None:
        """End an enrolment that waits for photos or for a place; one that identity works on is brought to its end."""
        if waiting := self._waiting.pop(key, None):
            waiting.reschedule(0)

    async def _ask_known(self, subject: DesiredSubject) -> dict[str, str]:
        resource = subject.declared.resource
        if not any(is_remote(photo) for photo in resource.spec.photos):
            return {}
        async with self._until_given_up(subject.key), self._identity:
            return _known(resource, await self._registry.stored_subject(subject.key))

    async def _put(
        self, subject: DesiredSubject, known: Mapping[str, str]
    ) -> tuple[EnrolmentReport, dict[str, PhotoNotFetchedError]]:
        """Send all photos but those that are known; gives with the report why others were not sent, by name."""
        resource = subject.declared.resource
        wanted = [photo for photo in resource.spec.photos if photo.name not in known]
        async with AsyncExitStack() as held:
            async with self._until_given_up(subject.key):
                got = await self._fetch([photo for photo in wanted if is_remote(photo)], subject, held)
                await held.enter_async_context(self._identity)
            got |= await _get([photo for photo in wanted if not is_remote(photo)], subject)
            uploads = [PhotoUpload(name, data) for name, data in got.items() if isinstance(data, bytes)]
            absent = {name: error for name, error in got.items() if isinstance(error, PhotoNotFetchedError)}
            meant = {photo.name: photo.sha256 for photo in wanted if photo.name in absent and photo.sha256 is not None}
            return await self._registry.put_subject(resource, uploads, {**known, **meant}), absent

    async def _fetch(self, photos: list[Photo], subject: DesiredSubject, held: AsyncExitStack) -> dict[str, Got]:
        """Get photos at addresses; the place at their servers is held until those photos are no longer needed."""
        if not photos:
            return {}
        servers = frozenset(_server(photo) for photo in photos)
        await held.enter_async_context(self._servers.setdefault(servers, asyncio.Semaphore(AT_ONCE)))
        return await _get(photos, subject)

    @asynccontextmanager
    async def _until_given_up(self, key: ResourceKey) -> AsyncIterator[None]:
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


async def _get(photos: list[Photo], subject: DesiredSubject) -> dict[str, Got]:
    async def get(photo: Photo) -> Got:
        try:
            return await photo_bytes(photo, subject.declared, subject.manifests)
        except PhotoNotFetchedError as error:
            return error

    found = await asyncio.gather(*(get(photo) for photo in photos))
    return {photo.name: data for photo, data in zip(photos, found, strict=True)}


def _server(photo: Photo) -> str:
    with contextlib.suppress(httpx.InvalidURL):
        return httpx.URL(photo.url or "").netloc.decode()
    return ""  # it is refused when it is fetched


def _with_reason(photo: PhotoResult, error: PhotoNotFetchedError | None) -> PhotoResult:
    """Say why a photo never reached the registry, which knows only that it did not."""
    if error is None or photo.reason is not PhotoReason.MISSING:
        return photo
    told = f"{error}; it is tried again" if error.may_pass else str(error)
    return photo.model_copy(update={"message": told, "reason": error.reason})
