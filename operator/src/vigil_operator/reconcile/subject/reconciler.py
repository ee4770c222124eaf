"""Subjects: their photos into the gallery, and everything known of them out of it when they are deleted.

The finalizer is there before the first photo leaves for identity, and goes when identity has given its receipt; what
stands between the two is only identity itself.
"""

from dataclasses import replace
from typing import Final

from vigil_contracts.resources import Subject, check
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile.context import ReconcileContext, Result
from vigil_operator.reconcile.subject import conditions as subject_verdicts
from vigil_operator.reconcile.subject.enrolment import Enroller
from vigil_operator.reconcile.subject.erasure import Erasure, has_finalizer
from vigil_operator.reconcile.subject.status import SubjectReporter
from vigil_operator.registry.gallery import Gallery
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.client import registered

LATE_S: Final = 1.1
"""Behind the moment at which consent or validity begins or ends: the clock tells whole seconds, and both clocks, ours
and identity's, must have passed it."""

LOOK_AGAIN_S: Final = 5.0
"""At a Subject that the API server has although no watch has told of it."""

MOST_WAIT_S: Final = 7 * 86400.0
"""A moment further away is looked for again then."""


class SubjectReconciler:
    """Enrols and erases Subjects.

    Parameters
    ----------
    registry
        None: the operator was told of none, and each Subject says so.
    """

    def __init__(self, context: ReconcileContext, registry: Registry | None, gallery: Gallery) -> None:
        self._context = context
        self._reporter = SubjectReporter(context)
        self._enroller = Enroller(context, registry, gallery)
        self._erasure = Erasure(context, registry, self._reporter)

    async def reconcile(self, key: Key) -> Result:
        """Bring one Subject to what it asks for."""
        obj = self._context.cache.get(key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return await self._leave(key, obj)
        subject = check(registered("Subject", obj))
        if isinstance(subject, list):
            return await self._reporter.write(key, obj, subject_verdicts.invalid(subject), None, [])
        if not isinstance(subject, Subject):
            msg = f"{key} was read as a {type(subject).__name__}"
            raise TypeError(msg)
        return await self._enrol(key, obj, subject)

    def erase_later(self, key: Key, uid: str) -> None:
        """Have a Subject that identity has and that is gone erased by the next reconcile of its name."""
        self._enroller.remember_stored(key, uid)

    async def _enrol(self, key: Key, obj: Object, subject: Subject) -> Result:
        enrolment, again_s = await self._enroller.enrol(key, obj, subject)
        obj = self._context.cache.get(key) or obj
        now = self._context.now()
        verdicts = subject_verdicts.verdicts(subject, enrolment, now)
        photos = list(subject_verdicts.photo_results(subject, enrolment))
        result = await self._reporter.write(key, obj, verdicts, enrolment.report, photos)
        waits = [(moment - now).total_seconds() for moment in subject_verdicts.moments(subject)]
        waits = [min(wait + LATE_S, MOST_WAIT_S) for wait in waits if wait > 0]
        waits += [wait for wait in (again_s, result.again_s) if wait is not None]
        return replace(result, again_s=min(waits, default=None))

    async def _leave(self, key: Key, obj: Object | None) -> Result:
        known = self._enroller.forget(key)
        self._reporter.forget(key)
        if obj is not None and has_finalizer(obj):
            return await self._erasure.erase(key)
        if known is None or known.report is None:
            return Result("Gone")
        self._enroller.remember(key, known)
        # Nobody sees a Subject either while its CRD is not served, and what is erased does not come back.
        if not await self._context.api.is_gone(key):
            return Result("Waiting", again_s=LOOK_AGAIN_S)
        result = await self._erasure.erase_unseen(key, known.uid)
        if result.again_s is None:
            self._enroller.forget(key)
        return result

    async def close(self) -> None:
        """Close all connections."""
        await self._enroller.close()
