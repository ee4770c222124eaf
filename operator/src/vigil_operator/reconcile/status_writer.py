"""Write the status of one of Vigil's own kinds, and tell of transitions; nothing when nothing changed."""

from collections.abc import Set as AbstractSet

from vigil_operator.kube.compare import fingerprint
from vigil_operator.kube.errors import NotFoundError
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile import status as statuses
from vigil_operator.reconcile.base import Result, World

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
        try:
            answer = await self._world.api.apply_status(key, str(obj["metadata"].get("uid", "")), status)
        except NotFoundError:
            self.forget(key)
            return Result("Gone")  # the watch will say so
        stored = statuses.status_of(answer)
        self._unkept.pop(key, None)
        if statuses.differs(stored, status):
            self._unkept[key] = _mark(obj, stored, status)
        await self._tell(key, obj, statuses.transition(seen, status["conditions"], READY))
        return Result("Changed")

    async def _tell(self, key: Key, obj: Object, ready: Object | None) -> None:
        if ready is None or ready["reason"] in self._quiet:
            return
        well = ready["status"] == "True" or ready["reason"] in self._calm
        note = ready["message"] or ready["reason"]
        await self._world.events.tell(obj, key, "Normal" if well else "Warning", ready["reason"], note, self._action)

    def forget(self, key: Key) -> None:
        """Forget an object that is gone."""
        self._unkept.pop(key, None)


def _mark(obj: Object, seen: Object, status: Object) -> str:
    """Tell one attempt to write a status from another; when it was does not matter."""
    conditions = [one | {"lastTransitionTime": None} for one in status["conditions"]]
    return fingerprint([obj["metadata"].get("uid"), seen, status | {"conditions": conditions}])
