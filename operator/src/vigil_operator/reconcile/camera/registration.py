"""Register Cameras with identity, which records the sightings of registered Cameras only, for as long as they declare.

This happens beside the reconciles, so that an identity that hangs delays no stream. An accepted manifest is remembered
and sent again after a restart. A Camera that is gone is removed unless its removal is known: identity may have
registered it although the response was lost.
"""

import asyncio
import time
from typing import Final

import structlog

from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources import Camera
from vigil_operator import stored
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.compare import fingerprint
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.queue import WorkQueue
from vigil_operator.reconcile.camera.memory import CameraMemories
from vigil_operator.reconcile.registration_memory import RegistrationMemory
from vigil_runtime.backoff import FIRST_S, KeyedBackoff
from vigil_runtime.registry.client import RegistryClient, registered
from vigil_runtime.registry.errors import RegistryError, RegistryRefusedError

log = structlog.get_logger(__name__)

MAX_REMOVED: Final = 4096
"""Removed Cameras of which the removal is remembered: reconciles of their last children request it no second time."""

CONCURRENT: Final = 4
"""Requests to identity at a time."""
DEADLINE_S: Final = 60.0
"""No request takes that long."""


class CameraRegistrar:
    """Registers and removes single Cameras."""

    def __init__(self, registry: RegistryClient) -> None:
        self._registry = registry
        self._removed: dict[Key, None] = {}
        self._removals: KeyedBackoff[Key] = KeyedBackoff(FIRST_S)

    async def put(self, key: Key, obj: Object, memory: RegistrationMemory) -> float | None:
        """Register a Camera unless identity has it so; return the seconds until the next attempt after a failure."""
        manifest = registered("Camera", obj)
        manifest["metadata"].pop("generation", None)
        mark = fingerprint(manifest)
        if memory.registered == mark:
            return None
        now = time.monotonic()
        if memory.refused == mark and now < memory.retry_at:
            return memory.retry_at - now
        self._removed.pop(key, None)
        try:
            await self._registry.put_camera(obj)
        except RegistryRefusedError as error:
            return _note_refusal(key, mark, error, memory)
        except RegistryError as error:
            return max(memory.backoff.next_s(), error.retry_after_s or 0.0)
        memory.accept(mark)
        return None

    async def delete(self, key: Key) -> float | None:
        """Remove a Camera, but not its sightings; return the seconds until the next attempt after a failure."""
        if key in self._removed:
            return None
        try:
            await self._registry.delete_camera(ResourceKey(key.namespace, key.name))
        except RegistryRefusedError as error:
            log.warning("identity does not remove a Camera", camera=str(key), reason=str(error))
        except RegistryError as error:
            return max(self._removals.next_s(key), error.retry_after_s or 0.0)
        self._removals.forget(key)
        self._removed[key] = None
        if len(self._removed) > MAX_REMOVED:
            del self._removed[next(iter(self._removed))]
        return None


class RegistrationQueue:
    """The Cameras of which the registration has to be compared with the cluster."""

    def __init__(self, cache: Cache, registrar: CameraRegistrar, memories: CameraMemories) -> None:
        self._cache = cache
        self._registrar = registrar
        self._memories = memories
        self._queue: WorkQueue[Key] = WorkQueue()

    def request(self, camera: Key) -> None:
        """Queue a Camera to be registered as it is now, or removed when it is gone."""
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


def _note_refusal(key: Key, mark: str, error: RegistryRefusedError, memory: RegistrationMemory) -> float:
    if memory.refused != mark:  # one line for each content
        log.warning(
            "identity does not register a Camera, so none of its sightings is recorded; correct its spec as the "
            "reason says, or bring operator and identity to one version",
            camera=str(key),
            reason=str(error),
        )
    return memory.refuse(mark, str(error), time.monotonic())
