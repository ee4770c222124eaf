"""Write the status of one of Vigil's own kinds and an event for each transition; nothing when nothing changed.

A status that another writer overwrites is restored, but not for ever: two installations over one namespace would write
the statuses of its Sites and Subjects as fast as the API server lets them.
"""

from collections.abc import Set as AbstractSet

import structlog

from vigil_operator.kube.compare import fingerprint
from vigil_operator.kube.errors import NotFoundError
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile import conditions as statuses
from vigil_operator.reconcile.context import ReconcileContext, Result
from vigil_operator.reconcile.status_memory import StatusMemory

log = structlog.get_logger(__name__)

READY = "Ready"


class StatusWriter:
    """Writes statuses of one kind.

    Parameters
    ----------
    action
        Of its events: Reconcile, Enrol or Check.
    calm
        Reasons for which Ready is not true and that are no cause for a warning.
    quiet
        Reasons of Ready without an event.
    """

    def __init__(
        self,
        context: ReconcileContext,
        action: str,
        calm: AbstractSet[str] = frozenset(),
        quiet: AbstractSet[str] = frozenset(),
    ) -> None:
        self._context = context
        self._action = action
        self._calm = calm
        self._quiet = quiet

    async def write(self, key: Key, obj: Object, status: Object, memory: StatusMemory) -> Result:
        """Write a status unless it is there already; raise KubeError when it cannot be written.

        Parameters
        ----------
        obj
            The object as last seen.
        status
            The whole status: what is not in it is removed.
        """
        if not is_due(obj, status, memory):
            return Result()
        seen = statuses.status_of(obj)
        left_s = _left_s(key, seen, memory)
        if left_s > 0:
            return Result("Waiting", left_s)
        try:
            applied = await self._context.api.apply_status(key, str(obj["metadata"].get("uid", "")), status)
        except NotFoundError:
            memory.clear()
            return Result("Gone")  # the watch will report it
        stored = statuses.status_of(applied)
        memory.stored = fingerprint(stored)
        memory.ineffective = _mark(obj, stored, status) if statuses.differs(stored, status) else None
        await self._write_event(key, obj, statuses.transition(seen, status["conditions"], READY))
        return Result("Changed")

    async def _write_event(self, key: Key, obj: Object, ready: Object | None) -> None:
        if ready is None or ready["reason"] in self._quiet:
            return
        well = ready["status"] == "True" or ready["reason"] in self._calm
        note = ready["message"] or ready["reason"]
        await self._context.events.write(obj, key, "Normal" if well else "Warning", ready["reason"], note, self._action)


def is_due(obj: Object, status: Object, memory: StatusMemory) -> bool:
    """Return whether a status has to be written; what the API server does not keep of it is not written again."""
    seen = statuses.status_of(obj)
    return statuses.differs(seen, status) and memory.ineffective != _mark(obj, seen, status)


def _left_s(key: Key, seen: Object, memory: StatusMemory) -> float:
    """Return the seconds for which a status is left to another writer; 0: it is written."""
    if memory.stored is None or memory.stored == fingerprint(seen):
        return 0.0
    left_s = memory.conflicts.left_s()
    if left_s == 0 and memory.conflicts.note():
        why = "another program writes it, too; look for another installation of Vigil over this namespace"
        log.warning("a status is written once more and then left as it is for a while", key=str(key), reason=why)
    return left_s


def _mark(obj: Object, seen: Object, status: Object) -> str:
    """Return a fingerprint of an attempt to write a status; its time does not matter."""
    conditions = [one | {"lastTransitionTime": None} for one in status["conditions"]]
    return fingerprint([obj["metadata"].get("uid"), seen, status | {"conditions": conditions}])
