"""Who of a Site's Cameras has a place, remembered between the decision and the Deployment that shows it.

What a Site's spec declares holds for the Cameras of its namespace. What Triton reports holds for all Cameras of that
Site's name, in whatever namespace and with a Site object there or without, because they ask one Triton: those of a
namespace that declares what it can do count in it when they run, and stand in no line but their own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from vigil_contracts.conditions import CameraCondition
from vigil_contracts.conditions import CameraReason as Reason
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources import CameraSpec
from vigil_operator import stored
from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile import conditions as statuses
from vigil_operator.reconcile.camera.budget import Demand, Place, Verdict, admit, camera_cost
from vigil_operator.reconcile.camera.memory import CameraMemories, CameraMemory
from vigil_operator.resources.names import child_name
from vigil_operator.routes import BY_SITE

MAKE_ROOM: Final = (
    "lower sampling.fps here or elsewhere, suspend a Camera, or add Triton servers and declare what they can do in the "
    "Site's spec.inference.detectionsPerSecond; of those that wait, the highest scheduling.priority enters first"
)
"""What to do when inference has no room."""

SHARED: Final = (
    "so many Triton reports for all namespaces together, unless a Site declares what it can do in "
    "spec.inference.detectionsPerSecond"
)

NOT_TOLD: Final = (
    "it waits for room, and nobody has told the operator since it started how much there is; identity does when it "
    "runs and a Triton has answered it: look at both, or declare what Triton can do in the Site's "
    "spec.inference.detectionsPerSecond"
)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a Camera may run.

    Attributes
    ----------
    verdict
        None: nobody knows yet how much room there is, and there was none when that was known last.
    shared
        The verdict counts the Cameras of all namespaces.
    """

    verdict: Verdict | None
    shared: bool

    @property
    def admitted(self) -> bool:
        """Whether it may run."""
        return self.verdict is not None and self.verdict.admitted

    def __str__(self) -> str:
        if self.verdict is None:
            return NOT_TOLD
        return "; ".join([str(self.verdict), *([SHARED] if self.shared else []), MAKE_ROOM])


class Admission:
    """Decides for one Camera at a time, in view of all of its Site.

    Parameters
    ----------
    again
        Called with every other Camera that has room now.
    """

    def __init__(
        self, cache: Cache, heartbeats: Heartbeats, memories: CameraMemories, again: Callable[[Key], None]
    ) -> None:
        self._cache = cache
        self._heartbeats = heartbeats
        self._memories = memories
        self._again = again

    def decide(self, key: Key, site: str, reported: int | None, *, known: bool = True) -> Decision | None:
        """Say whether a Camera may run; None: nothing is limited.

        Parameters
        ----------
        reported
            Reference detections per second that Triton reports for the Site; None: it reports nothing.
        known
            Somebody has said what Triton reports. Before that a Camera of which the status says that it waits for room
            goes on waiting: who is let in once keeps its place, and the limit would be broken for good.
        """
        memory = self._memories.of(key)
        memory.yields = False
        declared = self._declared_by(key.namespace, site)
        if declared is None and reported is None:
            if not known and self._waited(key):
                return Decision(None, shared=True)
            memory.granted_site = site
            return None
        own = None
        if reported is not None:
            own = self._admit(key, self._shared_line(site), reported).get(key)
        if declared is not None:
            own = self._admit(key, self._demands(key.namespace, site), declared).get(key)
        if own is None:
            return None
        if own.admitted:
            memory.granted_site = site
        return Decision(own, shared=declared is None)

    def free(self, key: Key) -> None:
        """Take the place of a Camera that needs none back, and let those that wait try."""
        if (memory := self._memories.find(key)) is not None:
            memory.yields = False
            self._release(key, memory)

    def stand_aside(self, key: Key) -> None:
        """Keep no place for a Camera that cannot start for another reason; one that runs keeps its own."""
        memory = self._memories.of(key)
        memory.yields = True
        if not self._runs(key):
            self._release(key, memory)

    def _admit(self, key: Key, line: Iterator[Demand], capacity: int) -> dict[Key, Verdict]:
        """Decide about a line, and call those of it that have room now and do not know."""
        demands = {self._key(one): one for one in line}
        verdicts = admit(demands.values(), capacity * 1000)
        found = {one: verdicts[demand.place] for one, demand in demands.items()}
        for other, verdict in found.items():
            if other != key and verdict.admitted and not demands[other].runs:
                self._again(other)
        return found

    def _release(self, key: Key, memory: CameraMemory) -> None:
        site, memory.granted_site = memory.granted_site, None
        if site is None:
            return
        for namespace in self._namespaces():
            for other in self._cache.find(Kind.CAMERA, BY_SITE, namespace, site):
                candidate = Key(Kind.CAMERA, namespace, other["metadata"]["name"])
                if candidate != key and not self._is_granted(candidate):
                    self._again(candidate)

    def _shared_line(self, site: str) -> Iterator[Demand]:
        for namespace in self._namespaces():
            declares = self._declared_by(namespace, site) is not None
            for demand in self._demands(namespace, site):
                if demand.runs or not declares:
                    yield demand

    def _namespaces(self) -> list[str]:
        return sorted({key.namespace for key in self._cache.keys(Kind.CAMERA)})

    def _declared_by(self, namespace: str, name: str) -> int | None:
        """Give the reference detections per second that a Site declares; None: it declares none, or is not there."""
        obj = self._cache.get(Key(Kind.SITE, namespace, name))
        spec = stored.site_spec(obj) if obj is not None else None
        return spec.inference.detections_per_second if spec is not None else None

    def _demands(self, namespace: str, site: str) -> Iterator[Demand]:
        for obj in self._cache.find(Kind.CAMERA, BY_SITE, namespace, site):
            spec = stored.camera_spec(obj)
            if spec is None or spec.suspend or "deletionTimestamp" in obj["metadata"]:
                continue  # the first: it gets no other pod than it has, and what that costs nobody can tell
            demand = self._demand(obj, spec)
            if demand.runs or not self._yields(self._key(demand)):
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
        return Demand(place, self._cost(key, spec), runs=self._is_granted(key) or self._runs(key))

    def _cost(self, key: Key, spec: CameraSpec) -> int:
        heard = self._heartbeats.get(ResourceKey(key.namespace, key.name))
        width, height = (heard.beat.width, heard.beat.height) if heard else (None, None)
        return camera_cost(spec.sampling.fps, width, height)

    def _runs(self, key: Key) -> bool:
        deployment = self._cache.get(Key(Kind.DEPLOYMENT, key.namespace, child_name(key.name)))
        return deployment is not None and bool((deployment.get("spec") or {}).get("replicas"))

    def _waited(self, key: Key) -> bool:
        """Say whether a Camera waits for room, as far as its status tells, which outlives the operator."""
        if self._is_granted(key) or self._runs(key):
            return False
        conditions = statuses.entries(statuses.status_of(self._cache.get(key) or {}), "conditions")
        ready = next((one for one in conditions if one.get("type") == CameraCondition.READY), {})
        return ready.get("reason") == Reason.INSUFFICIENT_INFERENCE_CAPACITY

    def _is_granted(self, key: Key) -> bool:
        memory = self._memories.find(key)
        return memory is not None and memory.granted_site is not None

    def _yields(self, key: Key) -> bool:
        memory = self._memories.find(key)
        return memory is not None and memory.yields

    def _key(self, demand: Demand) -> Key:
        return Key(Kind.CAMERA, demand.place.namespace, demand.place.name)
