"""Reconcile Subjects: enrol their photos, and erase all data of a person when the Subject is deleted.

The finalizer is set before the first photo is sent to identity, and removed when identity has returned the receipt.
Nothing but identity can delay an erasure.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from vigil_contracts.resources import Problem, Subject, check, withdrawal
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile.context import ReconcileContext, Result
from vigil_operator.reconcile.subject import conditions as subject_conditions
from vigil_operator.reconcile.subject.enrolment import Enroller
from vigil_operator.reconcile.subject.erasure import SubjectEraser, has_finalizer
from vigil_operator.reconcile.subject.lookalikes import LookalikePairs
from vigil_operator.reconcile.subject.status import SubjectReporter
from vigil_operator.registry.identity_status import IdentityStatus
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.client import registered

LATE_S: Final = 1.1
"""After the time at which consent or validity begins or ends: conditions carry whole seconds, and both clocks, ours and
identity's, must have passed it."""

UNSEEN_S: Final = 5.0
"""Until the next look at a Subject that the API server has although no watch has reported it."""

MAX_WAIT_S: Final = 7 * 86400.0
"""For a time further away the Subject is reconciled in between."""


class SubjectReconciler:
    """Enrols and erases Subjects.

    Parameters
    ----------
    registry
        None: the operator has none, and the conditions of each Subject report that.
    """

    def __init__(self, context: ReconcileContext, registry: Registry | None, identity: IdentityStatus) -> None:
        self._context = context
        self._reporter = SubjectReporter(context)
        self._enroller = Enroller(context, registry, identity)
        self._lookalikes = LookalikePairs()
        self._eraser = SubjectEraser(context, registry, self._reporter)

    async def reconcile(self, key: Key) -> Result:
        """Bring one Subject to what its spec asks for."""
        obj = self._context.cache.get(key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return await self._leave(key, obj)
        subject = check(registered("Subject", obj))
        if isinstance(subject, list):
            return await self._refuse(key, obj, subject)
        if not isinstance(subject, Subject):
            msg = f"{key} was read as a {type(subject).__name__}"
            raise TypeError(msg)
        return await self._enroll(key, obj, subject)

    def erase_later(self, key: Key, uid: str) -> None:
        """Queue a Subject that is gone, and that identity has, for erasure by the next reconcile of its name."""
        self._enroller.remember_stored(key, uid)

    async def _refuse(self, key: Key, obj: Object, problems: list[Problem]) -> Result:
        """Report an invalid spec; a withdrawal in it is applied all the same."""
        again_s, withdrawn = None, withdrawal({**obj, "kind": "Subject"})
        if withdrawn is not None:
            _, again_s = await self._enroller.enroll(key, obj, withdrawn)
            obj = self._context.cache.get(key) or obj
        result = await self._reporter.write(key, obj, subject_conditions.invalid(problems), None, [])
        waits = [wait for wait in (again_s, result.again_s) if wait is not None]
        return replace(result, again_s=min(waits, default=None))

    async def _enroll(self, key: Key, obj: Object, subject: Subject) -> Result:
        enrolment, again_s = await self._enroller.enroll(key, obj, subject)
        self._reconcile_later(self._lookalikes.follow(key, enrolment.report))
        enrolment = replace(enrolment, lookalikes=self._lookalikes.of(key))
        obj = self._context.cache.get(key) or obj
        now = self._context.now()
        updates = subject_conditions.condition_updates(subject, enrolment, now)
        photos = list(subject_conditions.photo_results(subject, enrolment))
        result = await self._reporter.write(key, obj, updates, enrolment.report, photos)
        waits = [(moment - now).total_seconds() for moment in subject_conditions.moments(subject)]
        waits = [min(wait + LATE_S, MAX_WAIT_S) for wait in waits if wait > 0]
        waits += [wait for wait in (again_s, result.again_s) if wait is not None]
        return replace(result, again_s=min(waits, default=None))

    def _reconcile_later(self, others: Iterable[Key]) -> None:
        for other in others:
            self._context.queue.add(other)

    async def _leave(self, key: Key, obj: Object | None) -> Result:
        self._reconcile_later(self._lookalikes.forget(key))
        memory = self._enroller.forget(key)
        self._reporter.forget(key)
        if obj is not None and has_finalizer(obj):
            return await self._eraser.erase(key)
        if memory is None or memory.report is None:
            return Result("Gone")
        self._enroller.remember(key, memory)
        # A Subject is not seen either while its CRD is not served, and erased data does not come back.
        if not await self._context.api.is_gone(key):
            return Result("Waiting", again_s=UNSEEN_S)
        result = await self._eraser.erase_unseen(key, memory.uid)
        if result.again_s is None:
            self._enroller.forget(key)
        return result

    async def close(self) -> None:
        """Close all connections."""
        await self._enroller.close()
