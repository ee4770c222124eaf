"""Tell identity of Cameras: their sightings are taken only then, and kept as long as they say."""

import time
from typing import Final

import structlog

from vigil_contracts.ids import ResourceKey
from vigil_operator.kube.compare import fingerprint
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.queue import Backoff
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.client import registered
from vigil_runtime.registry.errors import RegistryError, RegistryRefusedError

log = structlog.get_logger(__name__)

FIRST_REFUSED_S: Final = 10.0
MOST_REFUSED_S: Final = 600.0
"""What was refused is refused again until somebody changes it or brings both programs to one version."""

MOST_OUT: Final = 4096
"""Cameras that were taken out are remembered, so that what is left of them for a while asks for it no second time."""


class CameraRegistrar:
    """Keeps identity's register of Cameras; what it was told is remembered, and told again after a restart.

    Whatever is not known to be out of the register is taken out when it is gone: identity may have written down a
    Camera although its answer was lost, and one that was registered before a restart may have become wrong since.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._told: dict[Key, str] = {}
        self._out: dict[Key, None] = {}
        self._refused: dict[Key, tuple[str, float]] = {}
        self._backoff: Backoff[Key] = Backoff(first_s=1.0)
        self._later: Backoff[Key] = Backoff(FIRST_REFUSED_S, MOST_REFUSED_S)

    async def put(self, key: Key, obj: Object) -> float | None:
        """Register a Camera when it is another than was told; gives the seconds to try again after, when it failed."""
        manifest = registered("Camera", obj)
        manifest["metadata"].pop("generation", None)
        mark = fingerprint(manifest)
        if self._told.get(key) == mark:
            return None
        refused, again_at = self._refused.get(key, ("", 0.0))
        if refused == mark and time.monotonic() < again_at:
            return again_at - time.monotonic()
        self._out.pop(key, None)
        try:
            await self._registry.put_camera(obj)
        except RegistryRefusedError as error:
            return self._note_refusal(key, mark, error)
        except RegistryError as error:
            return max(self._backoff.next_s(key), error.retry_after_s or 0.0)
        self._forget(key)
        self._told[key] = mark
        return None

    async def delete(self, key: Key) -> float | None:
        """Take a Camera out that is gone; what it saw stays."""
        if key in self._out:
            return None
        try:
            await self._registry.delete_camera(ResourceKey(key.namespace, key.name))
        except RegistryRefusedError as error:
            log.warning("identity does not take a Camera out", camera=str(key), reason=str(error))
        except RegistryError as error:
            return max(self._backoff.next_s(key), error.retry_after_s or 0.0)
        self._forget(key)
        self._out[key] = None
        if len(self._out) > MOST_OUT:
            del self._out[next(iter(self._out))]
        return None

    def _note_refusal(self, key: Key, mark: str, error: RegistryRefusedError) -> float:
        before, _ = self._refused.get(key, ("", 0.0))
        if before != mark:  # one line for each content
            self._later.forget(key)
            log.warning(
                "identity does not register a Camera, so nothing that it sees is recorded; correct its spec as the "
                "reason says, or bring operator and identity to one version",
                camera=str(key),
                reason=str(error),
            )
        pause_s = self._later.next_s(key)
        self._refused[key] = (mark, time.monotonic() + pause_s)
        return pause_s

    def _forget(self, key: Key) -> None:
        self._told.pop(key, None)
        self._refused.pop(key, None)
        self._backoff.forget(key)
        self._later.forget(key)
