"""Write a Subject's status and tell of transitions; nothing when nothing changed."""

from collections import defaultdict
from collections.abc import Sequence

from vigil_contracts.registry import EnrolmentReport, PhotoResult
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile import conditions as statuses
from vigil_operator.reconcile.conditions import Verdict
from vigil_operator.reconcile.context import ReconcileContext, Result
from vigil_operator.reconcile.status_memory import StatusMemory
from vigil_operator.reconcile.status_writer import StatusWriter
from vigil_operator.reconcile.subject import conditions as subject_verdicts


class SubjectReporter:
    """Writes statuses, each once."""

    def __init__(self, context: ReconcileContext) -> None:
        self._context = context
        self._statuses = StatusWriter(context, "Enrol", calm=subject_verdicts.CALM)
        self._memories: defaultdict[Key, StatusMemory] = defaultdict(StatusMemory)

    async def write(
        self,
        key: Key,
        obj: Object,
        verdicts: Sequence[Verdict],
        report: EnrolmentReport | None,
        photos: Sequence[PhotoResult],
    ) -> Result:
        """Write what is to be said of a Subject, unless it is said already; raises KubeError."""
        status = self._status(obj, verdicts)
        status["photos"] = subject_verdicts.photo_status(photos)
        if report is not None:
            status["subjectId"] = str(report.subject_id)
            if report.model_id is not None:
                status["modelId"] = report.model_id
        return await self._statuses.write(key, obj, status, self._memories[key])

    async def write_erasing(self, key: Key, obj: Object, verdicts: Sequence[Verdict]) -> None:
        """Write how an erasure goes; of the photos nothing is said any more."""
        await self._statuses.write(key, obj, self._status(obj, verdicts), self._memories[key])

    def _status(self, obj: Object, verdicts: Sequence[Verdict]) -> Object:
        generation = int(obj["metadata"].get("generation") or 0)
        made = statuses.conditions(statuses.status_of(obj), verdicts, generation, self._context.now())
        return {"observedGeneration": generation, "conditions": made}

    def forget(self, key: Key) -> None:
        """Forget a Subject that is gone."""
        self._memories.pop(key, None)
