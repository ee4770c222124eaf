"""Register Cameras with identity, which records the sightings of registered Cameras only, for as long as they declare.

An accepted manifest is remembered and sent again after a restart. A Camera that is gone is removed unless its removal
is known: identity may have registered it although the response was lost.
"""

import time
from typing import Final

import structlog

from vigil_contracts.ids import ResourceKey
from vigil_operator.kube.compare import fingerprint
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile.registration import FIRST_RETRY_S, LONGEST_RETRY_S, RegistrationMemory
from vigil_runtime.backoff import KeyedBackoff
from vigil_runtime.registry.client import RegistryClient, registered
from vigil_runtime.registry.errors import RegistryError, RegistryRefusedError

log = structlog.get_logger(__name__)

MAX_REMOVED: Final = 4096
"""Removed Cameras of which the removal is remembered: reconciles of their last children request it no second time."""


class CameraRegistrar:
    """Keeps identity's register of Cameras."""

    def __init__(self, registry: RegistryClient) -> None:
        self._registry = registry
        self._removed: dict[Key, None] = {}
        self._removals: KeyedBackoff[Key] = KeyedBackoff(FIRST_RETRY_S, LONGEST_RETRY_S)

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


def _note_refusal(key: Key, mark: str, error: RegistryRefusedError, memory: RegistrationMemory) -> float:
    if memory.refused != mark:  # one line for each content
        log.warning(
            "identity does not register a Camera, so none of its sightings is recorded; correct its spec as the "
            "reason says, or bring operator and identity to one version",
            camera=str(key),
            reason=str(error),
        )
    return memory.refuse(mark, str(error), time.monotonic())
