"""Enrol Subjects with identity, and send it nothing that it has.

The enrolment at identity is compared with the wanted one by a digest over the spec and the photos' sha256, both of
which are known without reading a photo: the watch keeps the sha256 of every key of a Secret or ConfigMap, and a photo
with an address has it in the spec. So nothing is read or sent while nothing changed, and after a restart one request
per Subject, without photos, shows that nothing did.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport
from vigil_contracts.resources import Subject
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile.context import ReconcileContext
from vigil_operator.reconcile.subject import photos as subject_photos
from vigil_operator.reconcile.subject.conditions import Enrolment, barred
from vigil_operator.reconcile.subject.erasure import FINALIZER, has_finalizer
from vigil_operator.reconcile.subject.photos import PhotoSet
from vigil_operator.registry.identity_status import NOT_CONFIGURED, IdentityStatus
from vigil_runtime.backoff import FIRST_S, PHOTO_ADDRESS, KeyedBackoff
from vigil_runtime.photos import Downloader
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.enrolment import keep_absent, lost_reuse, plan_enrolment, wanted_digest
from vigil_runtime.registry.errors import RegistryError, RegistryRefusedError

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SubjectMemory:
    """Memory of a Subject between two reconciles; all of it may be lost.

    Attributes
    ----------
    report
        The last report of identity; None: it has nothing.
    tried
        Digest of the enrolment for which the photos were read last; None: never.
    model
        The model that identity served then, as far as it was known.
    found
        The photos that were read then.
    again_at
        When to read them again for the same enrolment; seconds of the monotonic clock, infinite when only a change
        helps.
    error
        Why identity did not accept them; empty when it did.
    refused
        It will never accept them.
    """

    uid: str
    report: EnrolmentReport | None
    tried: str | None = None
    model: str | None = None
    found: PhotoSet | None = None
    again_at: float = float("inf")
    error: str = ""
    refused: bool = False

    def settle(self) -> None:
        """Note that identity has the wanted enrolment."""
        self.tried, self.again_at, self.error, self.refused = None, float("inf"), "", False


class Enroller:
    """Enrols Subjects, and remembers the enrolment of each at identity."""

    def __init__(self, context: ReconcileContext, registry: Registry | None, identity: IdentityStatus) -> None:
        settings = context.settings
        self._context = context
        self._registry = registry
        self._identity = identity
        self._downloader = Downloader(settings.allowed_photo_networks)
        self._slots = asyncio.Semaphore(settings.photos_at_once)
        self._memories: dict[Key, SubjectMemory] = {}
        self._again: KeyedBackoff[Key] = KeyedBackoff(FIRST_S)
        self._photos_again: KeyedBackoff[Key] = KeyedBackoff(*PHOTO_ADDRESS)

    async def enroll(self, key: Key, obj: Object, subject: Subject) -> tuple[Enrolment, float | None]:
        """Bring the enrolment at identity to what the Subject asks for.

        Returns
        -------
        The state of the enrolment, and the seconds until the next attempt; None: only a change leads to one.
        """
        if self._registry is None:
            return Enrolment(error=NOT_CONFIGURED), None
        memory = self._memories.get(key)
        try:
            memory = await self._recall(self._registry, key, obj)
            enrolment = await self._compare(self._registry, key, obj, subject, memory)
        except RegistryError as error:
            return Enrolment(memory.report if memory else None, error=str(error)), self._again.next_s(key)
        self._again.forget(key)
        if memory.again_at < float("inf"):
            return enrolment, max(memory.again_at - time.monotonic(), FIRST_S)
        self._photos_again.forget(key)
        return enrolment, None

    def forget(self, key: Key) -> SubjectMemory | None:
        """Forget a Subject that is gone, and return what was remembered."""
        self._again.forget(key)
        self._photos_again.forget(key)
        return self._memories.pop(key, None)

    def remember(self, key: Key, memory: SubjectMemory) -> None:
        """Remember what `forget` returned."""
        self._memories[key] = memory

    def remember_stored(self, key: Key, uid: str) -> None:
        """Note that identity has data of a Subject, unless that is known already."""
        if key not in self._memories:
            self._memories[key] = SubjectMemory(
                uid, EnrolmentReport(subject_id=uuid.UUID(uid), enrolled=True, reason="Enrolled")
            )

    async def _recall(self, registry: Registry, key: Key, obj: Object) -> SubjectMemory:
        """Return what identity has; after a restart it is asked."""
        uid = obj["metadata"].get("uid", "")
        memory = self._memories.get(key)
        if memory is None or memory.uid != uid:
            report = await registry.stored_subject(ResourceKey(key.namespace, key.name))
            if report is not None and str(report.subject_id) != uid:
                report = None  # of an earlier Subject of this name; the next put erases it
            if report is not None and report.registrar != registry.registrar:
                await registry.claim_subject(ResourceKey(key.namespace, key.name), report.subject_id)
            memory = self._memories[key] = SubjectMemory(uid, report)
        return memory

    async def _compare(
        self, registry: Registry, key: Key, obj: Object, subject: Subject, memory: SubjectMemory
    ) -> Enrolment:
        if memory.report is not None:
            await self._add_finalizer(key, obj)  # a client that replaces the whole Subject leaves it out
        is_barred = barred(subject, self._context.now())
        there = (
            PhotoSet() if is_barred else subject_photos.inspect(subject.spec.photos, key.namespace, self._context.cache)
        )
        kept = keep_absent(subject.spec.photos, memory.report, there.reasons)
        wanted = wanted_digest(subject, there.digests | kept, barred=is_barred)
        if await self._has(memory, wanted):
            memory.settle()
            return Enrolment(memory.report, there.absent)
        if memory.report is None and (is_barred or not there.digests):
            return Enrolment(None, there.absent)  # nothing to send, and nothing to remove
        if self._is_due(memory, wanted):
            await self._add_finalizer(key, obj)
            async with contextlib.nullcontext() if is_barred else self._slots:  # a withdrawal waits for no photo
                await self._put(registry, key, subject, memory, wanted)
        absent = memory.found.absent if memory.found else there.absent
        return Enrolment(memory.report, absent, memory.error, refused=memory.refused)

    def _is_due(self, memory: SubjectMemory, wanted: str) -> bool:
        is_another_model = memory.model is not None and self._identity.model_id not in {None, memory.model}
        return memory.tried != wanted or time.monotonic() >= memory.again_at or is_another_model

    async def _has(self, memory: SubjectMemory, wanted: str) -> bool:
        """Return whether identity has an enrolment, by the model that it serves."""
        report = memory.report
        if report is None or report.digest != wanted:
            return False
        if report.model_id is not None:
            try:
                await self._identity.status()
            except RegistryError:
                return True  # nothing is to be sent; a later reconcile sees whether another model is served
        return report.model_id is None or self._identity.model_id in {None, report.model_id}

    async def _add_finalizer(self, key: Key, obj: Object) -> None:
        if has_finalizer(obj):
            return
        metadata = obj["metadata"]
        finalizers = [*(metadata.get("finalizers") or []), FINALIZER]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}}
        await self._context.api.merge(key, patch)

    async def _put(self, registry: Registry, key: Key, subject: Subject, memory: SubjectMemory, wanted: str) -> None:
        photos = [] if barred(subject, self._context.now()) else subject.spec.photos
        if any(photo.url for photo in photos):
            await self._identity.status()  # nothing is downloaded while identity is away
        reuse = plan_enrolment(photos, memory.report, self._identity.model_id).reuse
        found = await subject_photos.read(
            photos, key.namespace, self._context.api, self._context.cache, self._downloader, reuse
        )
        obj = self._context.cache.get(key)
        if obj is None or obj["metadata"].get("uid") != memory.uid or obj["metadata"].get("deletionTimestamp"):
            found.data.clear()
            return  # it was deleted meanwhile; the queue has it again
        if memory.tried != wanted:
            self._photos_again.forget(key)
        memory.settle()
        memory.tried, memory.found = wanted, found
        memory.model = self._identity.model_id or (memory.report.model_id if memory.report else None)
        if found.again:
            memory.again_at = time.monotonic() + self._photos_again.next_s(key)
        await self._send(registry, key, subject, memory, reuse)

    async def _send(
        self, registry: Registry, key: Key, subject: Subject, memory: SubjectMemory, reuse: Mapping[str, str]
    ) -> None:
        """Send identity what was read, unless it has it."""
        found = memory.found or PhotoSet()
        data, found.data = found.data, {}
        is_barred = barred(subject, self._context.now())
        kept = {**keep_absent(subject.spec.photos, memory.report, found.reasons), **reuse}
        offered = wanted_digest(subject, found.digests | kept, barred=is_barred)
        obj = self._context.cache.get(key)
        if obj is None or await self._has(memory, offered) or not (memory.report or data):
            return
        try:
            memory.report = await registry.put_subject(subject, data, kept)
        except RegistryRefusedError as error:
            memory.error, memory.refused, memory.again_at = str(error), True, float("inf")
            return
        except RegistryError as error:
            if not any(photo.url and photo.name in data for photo in subject.spec.photos):
                memory.tried = None
                raise
            memory.error = str(error)  # downloading everything again is expensive, so the next attempt is later
            memory.again_at = time.monotonic() + max(self._photos_again.next_s(key), error.retry_after_s or 0.0)
            return
        if lost_reuse(memory.report, reuse):
            memory.again_at = time.monotonic() + self._photos_again.next_s(key)
        log.info("subject enrolled", subject=str(key), reason=memory.report.reason, photos=len(data))

    async def close(self) -> None:
        """Close all connections."""
        await self._downloader.close()
