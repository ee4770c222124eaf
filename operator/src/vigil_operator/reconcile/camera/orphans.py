"""Delete what the garbage collector leaves of a Camera that is gone, such as when the CRD itself was removed."""

import time
from typing import Final

from vigil_operator.kube.errors import AwayError
from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.reconcile.camera.children import Children
from vigil_operator.reconcile.camera.edited_pods import is_released
from vigil_operator.reconcile.context import ReconcileContext
from vigil_operator.routes import BY_CAMERA

COLLECTED_S: Final = 30.0
"""For the garbage collector to delete the children of a deleted Camera."""


class Orphans:
    """Deletes what gone Cameras left, once the garbage collector had its time."""

    def __init__(self, context: ReconcileContext, children: Children) -> None:
        self._context = context
        self._children = children
        self._since: dict[Key, float] = {}

    def forget(self, camera: Key) -> None:
        """Note that a Camera is there."""
        self._since.pop(camera, None)

    async def delete(self, camera: Key) -> float | None:
        """Delete what a Camera left, once the garbage collector had its time; return when to look again, in seconds."""
        left = self._children.of(camera) + self._released_pods(camera)
        if not left:
            self.forget(camera)
            return None
        waited_s = time.monotonic() - self._since.setdefault(camera, time.monotonic())
        if waited_s < COLLECTED_S:
            return COLLECTED_S - waited_s + 0.5
        if await self._is_gone(camera):
            for child in left:
                await self._context.api.delete(child)
        return COLLECTED_S

    async def _is_gone(self, camera: Key) -> bool:
        """Return whether a Camera was deleted; False while the API server does not serve the kind."""
        try:
            return await self._context.api.is_gone(camera)
        except AwayError:
            return False

    def _released_pods(self, camera: Key) -> list[Key]:
        """Return the pods that are not deleted with their Deployment."""
        pods = self._context.cache.find(Kind.POD, BY_CAMERA, camera.namespace, camera.name)
        left = [pod["metadata"] for pod in pods if is_released(camera, pod)]
        return [Key(Kind.POD, camera.namespace, one["name"]) for one in left if "deletionTimestamp" not in one]
