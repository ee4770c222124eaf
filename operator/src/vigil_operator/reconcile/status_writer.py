"""Write the status of one of Vigil's own kinds, and tell of transitions; nothing when nothing changed.

A status that somebody else writes over is written again, but not for ever: two installations over one namespace would
else write the statuses of its Sites and Subjects as fast as the API server lets them.
"""

from collections.abc import Set as AbstractSet

import structlog

from vigil_operator.kube.compare import fingerprint
from vigil_operator.kube.errors import NotFoundError
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile import conditions as statuses
from vigil_operator.reconcile.conflicts import Quarrels
from vigil_operator.reconcile.context import Result, World

log = structlog.get_logger(__name__)

READY = "Ready"


class StatusWriter:
    """Writes statuses of one kind.

    Parameters
    ----------
    action
        Of its events: Reconcile, Enrol, Look.
    calm
        Reasons for which Ready is not true and that are no cause for a warning.
    quiet
        Reasons of Ready that no event tells of.
    """

    def __init__(
        self,
        world: World,
        action: str,
        calm: AbstractSet[str] = frozenset(),
        quiet: AbstractSet[str] = frozenset(),
    ) -> None:
        self._world = world
        self._action = action
        self._calm = calm
        self._quiet = quiet
        self._unkept: dict[Key, str] = {}
        self._stored: dict[Key, str] = {}
        self._quarrels: Quarrels[Key] = Quarrels()

    def is_due(self, key: Key, obj: Object, status: Object) -> bool:
        """Say whether a status has to be written; what the API server does not keep of it is not written again."""
        seen = statuses.status_of(obj)
        return statuses.differs(seen, status) and self._unkept.get(key) != _mark(obj, seen, status)

    async def write(self, key: Key, obj: Object, status: Object) -> Result:
        """Write a status, unless it is there already; raises KubeError.

        Parameters
        ----------
        obj
            The object as last seen.
        status
            All of it: what is not in it is taken away.
        """
        if not self.is_due(key, obj, status):
            return Result()
        seen = statuses.status_of(obj)
        quarrel_s = self._quarrel_s(key, seen)
        if quarrel_s > 0:
            return Result("Waiting", quarrel_s)
        try:
            answer = await self._world.api.apply_status(key, str(obj["metadata"].get("uid", "")), status)
        except NotFoundError:
            self.forget(key)
            return Result("Gone")  # the watch will say so
        stored = statuses.status_of(answer)
        self._stored[key] = fingerprint(stored)
        self._unkept.pop(key, None)
        if statuses.differs(stored, status):
            self._unkept[key] = _mark(obj, stored, status)
        await self._tell(key, obj, statuses.transition(seen, status["conditions"], READY))
        return Result("Changed")

    def _quarrel_s(self, key: Key, seen: Object) -> float:
        """Give the seconds for which a status is left to whoever writes over it again and again; 0: it is written."""
        stored = self._stored.get(key)
        if stored is None or stored == fingerprint(seen):
            return 0.0
        left_s = self._quarrels.left_s(key)
        if left_s == 0 and self._quarrels.note(key):
            why = "somebody else writes it, too; look for another installation of Vigil over this namespace"
            log.warning("a status is written once more and then left as it is for a while", key=str(key), reason=why)
        return left_s

    async def _tell(self, key: Key, obj: Object, ready: Object | None) -> None:
        if ready is None or ready["reason"] in self._quiet:
            return
        well = ready["status"] == "True" or ready["reason"] in self._calm
        note = ready["message"] or ready["reason"]
        await self._world.events.tell(obj, key, "Normal" if well else "Warning", ready["reason"], note, self._action)

    def forget(self, key: Key) -> None:
        """Forget an object that is gone."""
        self._unkept.pop(key, None)
        self._stored.pop(key, None)
        self._quarrels.forget(key)


def _mark(obj: Object, seen: Object, status: Object) -> str:
    """Tell one attempt to write a status from another; when it was does not matter."""
    conditions = [one | {"lastTransitionTime": None} for one in status["conditions"]]
    return fingerprint([obj["metadata"].get("uid"), seen, status | {"conditions": conditions}])
