"""Who of a Site's Cameras has a place, remembered between the decision and the Deployment that shows it."""

from collections.abc import Callable, Iterator

from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources import CameraSpec
from vigil_operator import stored
from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile.budget import Demand, Place, Verdict, admit, camera_cost
from vigil_operator.resources.names import child_name
from vigil_operator.routes import BY_SITE


class Admission:
    """Decides for one Camera at a time, in view of all of its Site.

    Parameters
    ----------
    again
        Called with every other Camera that has room now.
    """

    def __init__(self, cache: Cache, heartbeats: Heartbeats, again: Callable[[Key], None]) -> None:
        self._cache = cache
        self._heartbeats = heartbeats
        self._again = again
        self._granted: dict[Key, str] = {}
        self._aside: set[Key] = set()

    def decide(self, key: Key, site: str, capacity: int | None) -> Verdict | None:
        """Say whether a Camera may run; None: nothing is limited.

        Parameters
        ----------
        capacity
            Reference detections per second; None: without limit.
        """
        self._aside.discard(key)
        if capacity is None:
            self._granted[key] = site
            return None
        demands = {self._key(one): one for one in self._demands(key.namespace, site)}
        verdicts = admit(demands.values(), capacity * 1000)
        own = demands.get(key)
        if own is None:
            return None
        verdict = verdicts[own.place]
        if verdict.admitted:
            self._granted[key] = site
        for other, demand in demands.items():
            if other != key and verdicts[demand.place].admitted and not demand.runs:
                self._again(other)
        return verdict

    def free(self, key: Key) -> None:
        """Take the place of a Camera that needs none back, and let those that wait try."""
        self._aside.discard(key)
        self._release(key)

    def stand_aside(self, key: Key) -> None:
        """Keep no place for a Camera that cannot start for another reason; one that runs keeps its own."""
        self._aside.add(key)
        if not self._runs(key):
            self._release(key)

    def _release(self, key: Key) -> None:
        site = self._granted.pop(key, None)
        if site is None:
            return
        for other in self._cache.find(Kind.CAMERA, BY_SITE, key.namespace, site):
            candidate = Key(Kind.CAMERA, key.namespace, other["metadata"]["name"])
            if candidate != key and candidate not in self._granted:
                self._again(candidate)

    def _demands(self, namespace: str, site: str) -> Iterator[Demand]:
        for obj in self._cache.find(Kind.CAMERA, BY_SITE, namespace, site):
            spec = stored.camera_spec(obj)
            if spec is None or spec.suspend or "deletionTimestamp" in obj["metadata"]:
                continue  # the first: it gets no other pod than it has, and what that costs nobody can tell
            demand = self._demand(obj, spec)
            if demand.runs or self._key(demand) not in self._aside:
                yield demand

    def _demand(self, obj: Object, spec: CameraSpec) -> Demand:
        metadata = obj["metadata"]
        key = Key(Kind.CAMERA, metadata["namespace"], metadata["name"])
        place = Place(
            -spec.scheduling.priority,
            str(metadata.get("creationTimestamp", "")),
            key.namespace,
            key.name,
        )
        return Demand(place, self._cost(key, spec), runs=key in self._granted or self._runs(key))

    def _cost(self, key: Key, spec: CameraSpec) -> int:
        heard = self._heartbeats.get(ResourceKey(key.namespace, key.name))
        width, height = (heard.beat.width, heard.beat.height) if heard else (None, None)
        return camera_cost(spec.sampling.fps, width, height)

    def _runs(self, key: Key) -> bool:
        deployment = self._cache.get(Key(Kind.DEPLOYMENT, key.namespace, child_name(key.name)))
        return deployment is not None and bool((deployment.get("spec") or {}).get("replicas"))

    def _key(self, demand: Demand) -> Key:
        return Key(Kind.CAMERA, demand.place.namespace, demand.place.name)
