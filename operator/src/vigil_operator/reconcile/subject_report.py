"""Write a Subject's status and tell of transitions; nothing when nothing changed."""

from collections.abc import Sequence

from vigil_contracts.conditions import SubjectCondition
from vigil_contracts.registry import EnrolmentReport, PhotoResult
from vigil_operator.kube.compare import fingerprint
from vigil_operator.kube.errors import NotFoundError
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile import subject_status, subject_verdicts
from vigil_operator.reconcile.base import Result, World
from vigil_operator.reconcile.subject_status import Verdict


class SubjectReporter:
    """Writes statuses, each once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._written: dict[Key, tuple[str, str]] = {}

    async def write(
        self,
        key: Key,
        obj: Object,
        verdicts: Sequence[Verdict],
        report: EnrolmentReport | None,
        photos: Sequence[PhotoResult],
    ) -> Result:
        """Write what is to be said of a Subject, unless it is said already; raises KubeError."""
        seen = subject_status.status_of(obj)
        status = self._status(obj, verdicts)
        status["photos"] = subject_verdicts.photo_status(photos)
        if report is not None:
            status["subjectId"] = str(report.subject_id)
            if report.model_id is not None:
                status["modelId"] = report.model_id
        return await self._apply(key, obj, seen, status)

    async def write_erasing(self, key: Key, obj: Object, verdicts: Sequence[Verdict]) -> None:
        """Write how an erasure goes; of the photos nothing is said any more."""
        await self._apply(key, obj, subject_status.status_of(obj), self._status(obj, verdicts))

    def _status(self, obj: Object, verdicts: Sequence[Verdict]) -> Object:
        generation = int(obj["metadata"].get("generation") or 0)
        seen = subject_status.status_of(obj)
        made = subject_status.conditions(seen, verdicts, generation, self._world.now())
        return {"observedGeneration": generation, "conditions": made}

    async def _apply(self, key: Key, obj: Object, seen: Object, status: Object) -> Result:
        uid = obj["metadata"].get("uid", "")
        mark = (uid, fingerprint([seen, status]))
        if not subject_status.differs(seen, status) or self._written.get(key) == mark:
            return Result()
        try:
            await self._world.api.apply_status(key, uid, status)
        except NotFoundError:
            self._written.pop(key, None)
            return Result("Gone")
        self._written[key] = mark
        await self._tell(key, obj, seen, status)
        return Result("Changed")

    async def _tell(self, key: Key, obj: Object, seen: Object, status: Object) -> None:
        ready = subject_status.transition(seen, status["conditions"], SubjectCondition.READY)
        if ready is not None:
            well = ready["status"] == "True" or ready["reason"] in subject_verdicts.CALM
            note = ready["message"] or ready["reason"]
            await self._world.events.tell(obj, key, "Normal" if well else "Warning", ready["reason"], note, "Enrol")

    def forget(self, key: Key) -> None:
        """Forget a Subject that is gone."""
        self._written.pop(key, None)
