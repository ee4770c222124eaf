"""Register Cameras with identity beside their reconciles: an identity that hangs keeps no stream waiting."""

import asyncio
from typing import Final

import structlog

from vigil_contracts.resources import Camera
from vigil_operator import stored
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.queue import WorkQueue
from vigil_operator.reconcile.camera.registrar import CameraRegistrar

log = structlog.get_logger(__name__)

AT_ONCE: Final = 4
"""Requests to identity."""
DEADLINE_S: Final = 60.0
"""No request takes that long."""


class Registrations:
    """The Cameras that identity is still to be told of, or told that they are gone."""

    def __init__(self, cache: Cache, registrar: CameraRegistrar) -> None:
        self._cache = cache
        self._registrar = registrar
        self._queue: WorkQueue[Key] = WorkQueue()

    def wish(self, key: Key) -> None:
        """Have identity told how a Camera is now."""
        self._queue.add(key)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or due."""
        return not len(self._queue) and not self._queue.active

    async def run(self) -> None:
        """Tell identity until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._queue.work(self._tell))

    async def _tell(self, key: Key) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                again_s = await self._settle(key)
        except Exception:
            # A fault of ours in one Camera must not keep identity from hearing of all others.
            log.exception("a Camera was not registered", key=str(key))
            again_s = self._queue.backoff.next_s(key)
        else:
            self._queue.backoff.forget(key)
        if again_s is not None:
            self._queue.add(key, after_s=again_s)

    async def _settle(self, key: Key) -> float | None:
        """Tell identity of one Camera; gives the seconds to try again after, when it failed."""
        obj = self._cache.get(key)
        if obj is None:
            return await self._registrar.delete(key)
        if "deletionTimestamp" in obj["metadata"] or not isinstance(stored.read(Kind.CAMERA, obj), Camera):
            return None
        return await self._registrar.put(key, obj)
