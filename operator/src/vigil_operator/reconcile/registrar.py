"""Tell identity of Cameras: their sightings are taken only then, and kept as long as they say."""

from vigil_contracts.ids import ResourceKey
from vigil_operator.kube.compare import fingerprint
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.queue import Backoff
from vigil_operator.registry.client import Registry, registered
from vigil_operator.registry.errors import RegistryError, RegistryRefusedError


class CameraRegistrar:
    """Keeps identity's register of Cameras; what it was told is remembered, and told again after a restart."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._told: dict[Key, str] = {}
        self._backoff: Backoff[Key] = Backoff(first_s=1.0)

    async def put(self, key: Key, obj: Object) -> float | None:
        """Register a Camera when it is another than was told; gives the seconds to try again after, when it failed."""
        manifest = registered("Camera", obj)
        manifest["metadata"].pop("generation", None)
        mark = fingerprint(manifest)
        if self._told.get(key) == mark:
            return None
        try:
            await self._registry.put_camera(obj)
        except RegistryRefusedError:
            self._told[key] = mark  # the same would be refused again
            return None
        except RegistryError as error:
            return max(self._backoff.next_s(key), error.retry_after_s or 0.0)
        self._told[key] = mark
        self._backoff.forget(key)
        return None

    async def delete(self, key: Key) -> float | None:
        """Take a Camera out that is gone; what it saw stays."""
        if key not in self._told:
            return None
        try:
            await self._registry.delete_camera(ResourceKey(key.namespace, key.name))
        except RegistryRefusedError:
            pass
        except RegistryError as error:
            return max(self._backoff.next_s(key), error.retry_after_s or 0.0)
        self._told.pop(key, None)
        self._backoff.forget(key)
        return None
