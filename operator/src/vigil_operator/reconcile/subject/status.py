"""Write a Subject's status, and an event for each transition; nothing when nothing changed."""

from collections import defaultdict
from collections.abc import Sequence

from vigil_contracts.registry import EnrolmentReport, PhotoResult
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile import conditions as statuses
from vigil_operator.reconcile.conditions import ConditionUpdate
from vigil_operator.reconcile.context import ReconcileContext, Result
from vigil_operator.reconcile.status_memory import StatusMemory
from vigil_operator.reconcile.status_writer import StatusWriter
from vigil_operator.reconcile.subject import conditions as subject_conditions


class SubjectReporter:
    """Writes the statuses of Subjects."""

    def __init__(self, context: ReconcileContext) -> None:
        self._context = context
        self._statuses = StatusWriter(context, "Enrol", calm=subject_conditions.CALM)
        self._memories: defaultdict[Key, StatusMemory] = defaultdict(StatusMemory)

    async def write(
        self,
        key: Key,
        obj: Object,
        updates: Sequence[ConditionUpdate],
        report: EnrolmentReport | None,
        photos: Sequence[PhotoResult],
    ) -> Result:
        """Write the status of a Subject unless it is there already; raise KubeError when it cannot be written."""
        status = self._status(obj, updates)
        status["photos"] = subject_conditions.photo_status(photos)
        if report is not None:
            status["subjectId"] = str(report.subject_id)
            if report.model_id is not None:
                status["modelId"] = report.model_id
        return await self._statuses.write(key, obj, status, self._memories[key])

    async def write_erasing(self, key: Key, obj: Object, updates: Sequence[ConditionUpdate]) -> None:
        """Write the progress of an erasure, without photos."""
        await self._statuses.write(key, obj, self._status(obj, updates), self._memories[key])

    def _status(self, obj: Object, updates: Sequence[ConditionUpdate]) -> Object:
        generation = int(obj["metadata"].get("generation") or 0)
        made = statuses.conditions(statuses.status_of(obj), updates, generation, self._context.now())
        return {"observedGeneration": generation, "conditions": made}

    def forget(self, key: Key) -> None:
        """Forget a Subject that is gone."""
        self._memories.pop(key, None)
