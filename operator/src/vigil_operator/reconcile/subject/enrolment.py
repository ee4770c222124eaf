"""Make identity have what a Subject asks for, and send it nothing that it has.

What identity has is compared with what the Subject asks for by one digest over the spec and the photos' sha256, both of
which are known without reading a photo: the watch keeps the sha256 of every key of a Secret or ConfigMap, and a photo
with an address has it in the spec. So nothing is read or sent while nothing changed, and after a restart one question
per Subject, without photos, tells that nothing did.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport
from vigil_contracts.resources import Subject
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile.context import ReconcileContext
from vigil_operator.reconcile.subject import photos as subject_photos
from vigil_operator.reconcile.subject.conditions import Enrolment, barred
from vigil_operator.reconcile.subject.erasure import FINALIZER, has_finalizer
from vigil_operator.reconcile.subject.photos import Found
from vigil_operator.registry.gallery import NOT_CONFIGURED, Gallery
from vigil_runtime.backoff import KeyedBackoff
from vigil_runtime.photos import Downloader
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.enrolment import keep_absent, lost_reuse, plan_enrolment, wanted_digest
from vigil_runtime.registry.errors import RegistryError, RegistryRefusedError

log = structlog.get_logger(__name__)

FIRST_AGAIN_S: Final = 1.0
MOST_AGAIN_S: Final = 60.0
MOST_PHOTO_AGAIN_S: Final = 3600.0
"""Between two looks for a photo that its address does not give."""


@dataclass(slots=True)
class Known:
    """What is remembered of a Subject between two reconciles; all of it may be lost.

    Attributes
    ----------
    report
        What identity said last; None: it has nothing.
    tried
        For what the photos were read last; None: never.
    model
        That identity served then, as far as was known.
    found
        What came of that.
    again_at
        When to read them again for the same; seconds of the monotonic clock, infinite when only a change helps.
    trouble
        What identity said when it did not take what was sent then; empty when it did.
    refused
        It will never take it.
    """

    uid: str
    report: EnrolmentReport | None
    tried: str | None = None
    model: str | None = None
    found: Found | None = None
    again_at: float = float("inf")
    trouble: str = ""
    refused: bool = False

    def settle(self) -> None:
        """Note that identity has all that it is to have."""
        self.tried, self.again_at, self.trouble, self.refused = None, float("inf"), "", False


class Enroller:
    """Enrols Subjects, and remembers of each what identity has."""

    def __init__(self, context: ReconcileContext, registry: Registry | None, gallery: Gallery) -> None:
        settings = context.settings
        self._context = context
        self._registry = registry
        self._gallery = gallery
        self._downloader = Downloader(settings.allowed_photo_networks)
        self._places = asyncio.Semaphore(settings.photos_at_once)
        self._known: dict[Key, Known] = {}
        self._again: KeyedBackoff[Key] = KeyedBackoff(FIRST_AGAIN_S, MOST_AGAIN_S)
        self._photos_again: KeyedBackoff[Key] = KeyedBackoff(FIRST_AGAIN_S, MOST_PHOTO_AGAIN_S)

    async def enrol(self, key: Key, obj: Object, subject: Subject) -> tuple[Enrolment, float | None]:
        """Bring identity to what the Subject asks for.

        Returns
        -------
        How it stands, and the seconds after which to try again what nobody will tell of; None: there is nothing such.
        """
        if self._registry is None:
            return Enrolment(trouble=NOT_CONFIGURED), None
        known = self._known.get(key)
        try:
            known = await self._recall(self._registry, key, obj)
            enrolment = await self._compare(self._registry, key, obj, subject, known)
        except RegistryError as error:
            return Enrolment(known.report if known else None, trouble=str(error)), self._again.next_s(key)
        self._again.forget(key)
        if known.again_at < float("inf"):
            return enrolment, max(known.again_at - time.monotonic(), FIRST_AGAIN_S)
        self._photos_again.forget(key)
        return enrolment, None

    def forget(self, key: Key) -> Known | None:
        """Give what was remembered of a Subject that is gone, and forget it."""
        self._again.forget(key)
        self._photos_again.forget(key)
        return self._known.pop(key, None)

    def remember(self, key: Key, known: Known) -> None:
        """Take back what `forget` gave."""
        self._known[key] = known

    def remember_stored(self, key: Key, uid: str) -> None:
        """Note that identity has a Subject, whatever of it, unless that is known already."""
        if key not in self._known:
            self._known[key] = Known(uid, EnrolmentReport(subject_id=uuid.UUID(uid), enrolled=True, reason="Enrolled"))

    async def _recall(self, registry: Registry, key: Key, obj: Object) -> Known:
        """Give what identity has, and ask it after a restart."""
        uid = obj["metadata"].get("uid", "")
        known = self._known.get(key)
        if known is None or known.uid != uid:
            report = await registry.stored_subject(ResourceKey(key.namespace, key.name))
            if report is not None and str(report.subject_id) != uid:
                report = None  # of a Subject that was here before under this name; the next put erases it
            if report is not None and report.registrar != registry.registrar:
                await registry.claim_subject(ResourceKey(key.namespace, key.name), report.subject_id)
            known = self._known[key] = Known(uid, report)
        return known

    async def _compare(self, registry: Registry, key: Key, obj: Object, subject: Subject, known: Known) -> Enrolment:
        if known.report is not None:
            await self._add_finalizer(key, obj)  # whoever writes a whole Subject anew leaves it out
        is_barred = barred(subject, self._context.now())
        there = Found() if is_barred else subject_photos.look(subject.spec.photos, key.namespace, self._context.cache)
        kept = keep_absent(subject.spec.photos, known.report, there.reasons)
        wanted = wanted_digest(subject, there.digests | kept, barred=is_barred)
        if await self._has(known, wanted):
            known.settle()
            return Enrolment(known.report, there.absent)
        if known.report is None and (is_barred or not there.digests):
            return Enrolment(None, there.absent)  # nothing to send, and nothing to take back
        if self._is_due(known, wanted):
            await self._add_finalizer(key, obj)
            async with self._places:
                await self._put(registry, key, subject, known, wanted)
        absent = known.found.absent if known.found else there.absent
        return Enrolment(known.report, absent, known.trouble, refused=known.refused)

    def _is_due(self, known: Known, wanted: str) -> bool:
        is_another_model = known.model is not None and self._gallery.model_id not in {None, known.model}
        return known.tried != wanted or time.monotonic() >= known.again_at or is_another_model

    async def _has(self, known: Known, wanted: str) -> bool:
        """Whether identity has it, by the model that it serves."""
        report = known.report
        if report is None or report.digest != wanted:
            return False
        if report.model_id is not None:
            try:
                await self._gallery.status()
            except RegistryError:
                return True  # nothing is to be sent; whether another model is served, a later look tells
        return report.model_id is None or self._gallery.model_id in {None, report.model_id}

    async def _add_finalizer(self, key: Key, obj: Object) -> None:
        if has_finalizer(obj):
            return
        metadata = obj["metadata"]
        finalizers = [*(metadata.get("finalizers") or []), FINALIZER]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}}
        await self._context.api.merge(key, patch)

    async def _put(self, registry: Registry, key: Key, subject: Subject, known: Known, wanted: str) -> None:
        photos = [] if barred(subject, self._context.now()) else subject.spec.photos
        if any(photo.url for photo in photos):
            await self._gallery.status()  # nothing is fetched for an identity that is away
        reuse = plan_enrolment(photos, known.report, self._gallery.model_id).reuse
        found = await subject_photos.read(photos, key.namespace, self._context.api, self._downloader, reuse)
        obj = self._context.cache.get(key)
        if obj is None or obj["metadata"].get("uid") != known.uid or obj["metadata"].get("deletionTimestamp"):
            found.data.clear()
            return  # it went meanwhile; the queue has it again
        if known.tried != wanted:
            self._photos_again.forget(key)
        known.settle()
        known.tried, known.found = wanted, found
        known.model = self._gallery.model_id or (known.report.model_id if known.report else None)
        if found.again:
            known.again_at = time.monotonic() + self._photos_again.next_s(key)
        await self._send(registry, key, subject, known, reuse)

    async def _send(
        self, registry: Registry, key: Key, subject: Subject, known: Known, reuse: Mapping[str, str]
    ) -> None:
        """Send identity what was read, unless it has it."""
        found = known.found or Found()
        data, found.data = found.data, {}
        is_barred = barred(subject, self._context.now())
        kept = {**keep_absent(subject.spec.photos, known.report, found.reasons), **reuse}
        offered = wanted_digest(subject, found.digests | kept, barred=is_barred)
        obj = self._context.cache.get(key)
        if obj is None or await self._has(known, offered) or not (known.report or data):
            return
        try:
            known.report = await registry.put_subject(obj, data, kept)
        except RegistryRefusedError as error:
            known.trouble, known.refused, known.again_at = str(error), True, float("inf")
            return
        except RegistryError as error:
            if not any(photo.url and photo.name in data for photo in subject.spec.photos):
                known.tried = None
                raise
            known.trouble = str(error)  # to fetch it all again is no small matter, so that is put off for longer
            known.again_at = time.monotonic() + max(self._photos_again.next_s(key), error.retry_after_s or 0.0)
            return
        if lost_reuse(known.report, reuse):
            known.again_at = time.monotonic() + self._photos_again.next_s(key)
        log.info("subject enrolled", subject=str(key), reason=known.report.reason, photos=len(data))

    async def close(self) -> None:
        """Close all connections."""
        await self._downloader.close()
