"""Cameras: not yet."""

from vigil_operator.kube.kinds import Key
from vigil_operator.reconcile.base import Result, World


class CameraReconciler:
    """Keeps one stream pod per Camera."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, key: Key) -> Result:
        """Do it."""
        return Result("Gone" if self._world.cache.get(key) is None else "Unchanged")

    async def close(self) -> None:
        """Nothing is held."""
