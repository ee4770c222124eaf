"""Erase deleted Subjects: all data of the person first, then the finalizer.

Other errors of the Subject (its spec, its photos, its status) play no part here; only identity can delay the erasure,
and then the condition reports it.
"""

import asyncio
import json
import uuid
from contextlib import suppress
from typing import Final

import structlog

from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import ErasureReceipt
from vigil_operator.kube.errors import InvalidError, KubeError, NotFoundError
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile.context import ReconcileContext, Result
from vigil_operator.reconcile.subject import conditions as subject_conditions
from vigil_operator.reconcile.subject.status import SubjectReporter
from vigil_operator.registry.identity_status import NOT_CONFIGURED
from vigil_runtime.backoff import FIRST_S, KeyedBackoff
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.errors import RegistryError

log = structlog.get_logger(__name__)

FINALIZER: Final = "vigil.dev/erasure"
STATUS_S: Final = 5.0
"""Writing the progress must not delay the erasure for longer."""

ERASED: Final = "Erased"
"""Reason of the event with the receipt."""


def has_finalizer(obj: Object) -> bool:
    """Return whether a Subject's deletion waits for the erasure."""
    return FINALIZER in (obj["metadata"].get("finalizers") or [])


class SubjectEraser:
    """Erases deleted Subjects."""

    def __init__(self, context: ReconcileContext, registry: Registry | None, reporter: SubjectReporter) -> None:
        self._context = context
        self._registry = registry
        self._reporter = reporter
        self._again: KeyedBackoff[Key] = KeyedBackoff(FIRST_S)
        self._announced: set[str] = set()

    async def erase(self, key: Key) -> Result:
        """Erase a deleted Subject, and remove its finalizer when nothing is left.

        Raises
        ------
        KubeError
            The finalizer could not be removed; everything may be repeated.
        """
        try:
            live = await self._context.api.get(key)
        except NotFoundError:
            return Result("Gone")
        metadata = live["metadata"]
        if not metadata.get("deletionTimestamp") or not has_finalizer(live):
            # The object seen last is out of date: under this name there is another Subject by now, and it stays.
            return Result("Waiting", again_s=FIRST_S)
        uid = metadata.get("uid", "")
        try:
            receipt = await self._erase_and_report(key, live, uid)
        except RegistryError as error:
            return await self._wait(key, live, error)
        await self._announce(key, live, uid, receipt)
        left = [name for name in metadata["finalizers"] if name != FINALIZER]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": left}}
        await self._remove_finalizer(key, live, uid, patch)
        return Result("Changed")

    async def erase_unseen(self, key: Key, uid: str) -> Result:
        """Erase a Subject that is gone before its erasure: its finalizer was removed by hand."""
        try:
            receipt = await self._erase(key, uid)
        except RegistryError as error:
            log.warning("a Subject whose finalizer was removed is not erased yet", subject=str(key), reason=str(error))
            return Result("Waiting", again_s=self._again.next_s(key))
        self._again.forget(key)
        log.warning("erased a Subject whose finalizer was removed", subject=str(key), **_log_fields(receipt))
        return Result("Changed")

    async def _erase_and_report(self, key: Key, live: Object, uid: str) -> ErasureReceipt:
        if uid not in self._announced and self._again.failures(key) == 0:
            await self._report(key, live, "")
            current = self._context.cache.get(key)
            if current is not None and current["metadata"].get("uid") == uid:
                live["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"]
        return await self._erase(key, uid)

    async def _erase(self, key: Key, uid: str) -> ErasureReceipt:
        if self._registry is None:
            raise RegistryError(NOT_CONFIGURED)
        return await self._registry.erase_subject(ResourceKey(key.namespace, key.name), _uuid(uid))

    async def _wait(self, key: Key, live: Object, error: RegistryError) -> Result:
        if self._again.failures(key) == 0:
            log.warning("erasure cannot be completed yet; trying again", subject=str(key), reason=str(error))
        await self._report(key, self._context.cache.get(key) or live, f"waiting for the identity service: {error}")
        return Result("Waiting", again_s=max(self._again.next_s(key), error.retry_after_s or 0.0))

    async def _report(self, key: Key, obj: Object, waiting_for: str) -> None:
        """Write the progress; a failure to write it does not stop the erasure."""
        with suppress(KubeError, TimeoutError):
            async with asyncio.timeout(STATUS_S):
                await self._reporter.write_erasing(key, obj, subject_conditions.erasing(waiting_for))

    async def _announce(self, key: Key, live: Object, uid: str, receipt: ErasureReceipt) -> None:
        if uid in self._announced:
            return
        self._announced.add(uid)
        log.info("subject erased", subject=str(key), **_log_fields(receipt))
        counts = ", ".join(f"{count} {place}" for place, count in sorted(receipt.counts.items())) or "nothing was kept"
        note = f"erasure {receipt.subject_id or uid} of {receipt.erased_at.isoformat()}: {counts}"
        await self._context.events.write(live, key, "Normal", ERASED, note, "Erase")

    async def _remove_finalizer(self, key: Key, live: Object, uid: str, patch: Object) -> None:
        with suppress(NotFoundError):
            try:
                await self._context.api.merge(key, patch)
            except InvalidError as error:
                # The API server accepts no change of an object with a spec that its schema cannot read, not even of a
                # finalizer. The person is erased, so the same request replaces the spec with a valid one.
                log.info("replacing an invalid spec so that the Subject can go", subject=str(key), reason=str(error))
                await self._context.api.merge(key, {**patch, "spec": valid_spec(live.get("spec"))})
        self._again.forget(key)
        self._announced.discard(uid)


def valid_spec(spec: object) -> Object:
    """Return the merge patch that turns any spec into a valid one without personal data."""
    photo = {"name": "erased", "secretKeyRef": {"name": "erased", "key": "erased"}}
    consent = {**_without(spec, "consent"), "status": "Withdrawn"}
    return {**_without(spec), "displayName": "erased", "photos": [photo], "consent": consent}


def _without(spec: object, *path: str) -> Object:
    """Return the merge patch that empties an object at a path; an empty patch where there is none."""
    for name in path:
        spec = spec.get(name) if isinstance(spec, dict) else None
    return dict.fromkeys(spec) if isinstance(spec, dict) else {}


def _log_fields(receipt: ErasureReceipt) -> dict[str, str]:
    return {
        "erasure": str(receipt.subject_id or ""),
        "erased_at": receipt.erased_at.isoformat(),
        "counts": json.dumps(receipt.counts, sort_keys=True),
    }


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
