"""Register Cameras with identity beside their reconciles: an identity that hangs delays no stream."""

import asyncio
from typing import Final

import structlog

from vigil_contracts.resources import Camera
from vigil_operator import stored
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.queue import WorkQueue
from vigil_operator.reconcile.camera.memory import CameraMemories
from vigil_operator.reconcile.camera.registrar import CameraRegistrar
from vigil_operator.reconcile.registration import RegistrationMemory

log = structlog.get_logger(__name__)

CONCURRENT: Final = 4
"""Requests to identity at a time."""
DEADLINE_S: Final = 60.0
"""No request takes that long."""


class Registrations:
    """The Cameras of which the registration has to be compared with the cluster."""

    def __init__(self, cache: Cache, registrar: CameraRegistrar, memories: CameraMemories) -> None:
        self._cache = cache
        self._registrar = registrar
        self._memories = memories
        self._queue: WorkQueue[Key] = WorkQueue()

    def request(self, camera: Key) -> None:
        """Have a Camera registered as it is now, or removed when it is gone."""
        self._queue.add(camera)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or due."""
        return not len(self._queue) and not self._queue.active

    async def run(self) -> None:
        """Register and remove Cameras until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENT):
                group.create_task(self._queue.work(self._handle))

    async def _handle(self, camera: Key) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                again_s = await self._register(camera)
        except Exception:
            # A fault of ours in one Camera must not keep all others from being registered.
            log.exception("a Camera was not registered", key=str(camera))
            again_s = self._queue.backoff.next_s(camera)
        else:
            self._queue.backoff.forget(camera)
        if again_s is not None:
            self._queue.add(camera, after_s=again_s)

    async def _register(self, camera: Key) -> float | None:
        """Register or remove one Camera, and return the seconds until the next attempt after a failure."""
        obj = self._cache.get(camera)
        if obj is None:
            if (memory := self._memories.find(camera)) is not None:
                memory.registration = RegistrationMemory()
            return await self._registrar.delete(camera)
        if "deletionTimestamp" in obj["metadata"] or not isinstance(stored.read(Kind.CAMERA, obj), Camera):
            return None
        return await self._registrar.put(camera, obj, self._memories.of(camera).registration)
