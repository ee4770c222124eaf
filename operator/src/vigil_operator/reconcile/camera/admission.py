"""Decide which of a Site's Cameras get capacity; it is reserved from the decision to the Deployment that shows it.

The capacity that a Site's spec declares holds for the Cameras of its namespace. The capacity that Triton reports holds
for all Cameras of that Site's name, in any namespace and with or without a Site object, because they share one Triton:
running Cameras of a namespace that declares its own capacity count in it, but its waiting Cameras wait only for their
own.
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
from vigil_operator.reconcile.camera.budget import BudgetResult, Demand, QueuePosition, admit
from vigil_operator.reconcile.camera.cost import FrameSize, camera_cost
from vigil_operator.reconcile.camera.memory import CameraMemories, CameraMemory
from vigil_operator.resources.names import child_name
from vigil_operator.routes import BY_SITE

ADD_CAPACITY: Final = (
    "lower sampling.fps here or elsewhere, suspend a Camera, or add Triton servers and declare their capacity in the "
    "Site's spec.inference.detectionsPerSecond; the waiting Camera of the highest scheduling.priority enters first"
)
"""Advice for inference without free capacity."""

SHARED: Final = (
    "Triton reports this capacity for all namespaces together, unless a Site declares its own in "
    "spec.inference.detectionsPerSecond"
)

CAPACITY_UNKNOWN: Final = (
    "it waits, and the operator has not received the inference capacity since it started; identity reports it "
    "when it runs and a Triton has responded: check both, or declare the capacity in the Site's "
    "spec.inference.detectionsPerSecond"
)


@dataclass(frozen=True, slots=True)
class AdmissionDecision:
    """Whether a Camera may run.

    Attributes
    ----------
    result
        None: the capacity is not known yet, and none was free when it was known last.
    shared
        The result counts the Cameras of all namespaces.
    """

    result: BudgetResult | None
    shared: bool

    @property
    def admitted(self) -> bool:
        """Whether it may run."""
        return self.result is not None and self.result.admitted

    def __str__(self) -> str:
        if self.result is None:
            return CAPACITY_UNKNOWN
        return "; ".join([str(self.result), *([SHARED] if self.shared else []), ADD_CAPACITY])


class Admission:
    """Decides for one Camera at a time, with regard to all Cameras of its Site.

    Parameters
    ----------
    requeue
        Called with every other Camera that capacity is free for now.
    """

    def __init__(
        self, cache: Cache, heartbeats: Heartbeats, memories: CameraMemories, requeue: Callable[[Key], None]
    ) -> None:
        self._cache = cache
        self._heartbeats = heartbeats
        self._memories = memories
        self._requeue = requeue

    def decide(self, key: Key, site: str, reported: int | None, *, known: bool = True) -> AdmissionDecision | None:
        """Decide whether a Camera may run; None: nothing is limited.

        Parameters
        ----------
        reported
            Reference detections per second that Triton reports for the Site; None: it reports nothing.
        known
            Triton has reported. Before that, a Camera whose status reports that it waits for capacity goes on
            waiting: a Camera that is admitted keeps its capacity, and the limit would be exceeded for good.
        """
        memory = self._memories.of(key)
        memory.yields = False
        declared = self._declared_by(key.namespace, site)
        if declared is None and reported is None:
            if not known and self._waited(key):
                return AdmissionDecision(None, shared=True)
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
        return AdmissionDecision(own, shared=declared is None)

    def free(self, key: Key) -> None:
        """Release the capacity of a Camera that needs none, and requeue the Cameras that wait."""
        if (memory := self._memories.find(key)) is not None:
            memory.yields = False
            self._release(key, memory)

    def withhold(self, key: Key) -> None:
        """Reserve no capacity for a Camera that cannot start for another reason; a running one keeps its own."""
        memory = self._memories.of(key)
        memory.yields = True
        if not self._runs(key):
            self._release(key, memory)

    def _admit(self, key: Key, line: Iterator[Demand], capacity: int) -> dict[Key, BudgetResult]:
        """Decide for a line of Cameras, and requeue those of them that are admitted now."""
        demands = {self._key(one): one for one in line}
        results = admit(demands.values(), capacity * 1000)
        found = {one: results[demand.position] for one, demand in demands.items()}
        for other, result in found.items():
            if other != key and result.admitted and not demands[other].runs:
                self._requeue(other)
        return found

    def _release(self, key: Key, memory: CameraMemory) -> None:
        site, memory.granted_site = memory.granted_site, None
        if site is None:
            return
        for namespace in self._namespaces():
            for other in self._cache.find(Kind.CAMERA, BY_SITE, namespace, site):
                candidate = Key(Kind.CAMERA, namespace, other["metadata"]["name"])
                if candidate != key and not self._is_granted(candidate):
                    self._requeue(candidate)

    def _shared_line(self, site: str) -> Iterator[Demand]:
        for namespace in self._namespaces():
            declares = self._declared_by(namespace, site) is not None
            for demand in self._demands(namespace, site):
                if demand.runs or not declares:
                    yield demand

    def _namespaces(self) -> list[str]:
        return sorted({key.namespace for key in self._cache.keys(Kind.CAMERA)})

    def _declared_by(self, namespace: str, name: str) -> int | None:
        """Return the reference detections per second that a Site declares; None: it declares none, or is not there."""
        obj = self._cache.get(Key(Kind.SITE, namespace, name))
        spec = stored.site_spec(obj) if obj is not None else None
        return spec.inference.detections_per_second if spec is not None else None

    def _demands(self, namespace: str, site: str) -> Iterator[Demand]:
        for obj in self._cache.find(Kind.CAMERA, BY_SITE, namespace, site):
            spec = stored.camera_spec(obj)
            if spec is None or spec.suspend or "deletionTimestamp" in obj["metadata"]:
                continue  # an unreadable spec gets no other pod than it has, and the cost of that one is unknown
            demand = self._demand(obj, spec)
            if demand.runs or not self._yields(self._key(demand)):
                yield demand

    def _demand(self, obj: Object, spec: CameraSpec) -> Demand:
        metadata = obj["metadata"]
        key = Key(Kind.CAMERA, metadata["namespace"], metadata["name"])
        position = QueuePosition(
            -spec.scheduling.priority,
            str(metadata.get("creationTimestamp", "")),
            key.namespace,
            key.name,
        )
        return Demand(position, self._cost(key, spec), runs=self._is_granted(key) or self._runs(key))

    def _cost(self, key: Key, spec: CameraSpec) -> int:
        heartbeat = self._heartbeats.get(ResourceKey(key.namespace, key.name))
        size = FrameSize(heartbeat.beat.width or 0, heartbeat.beat.height or 0) if heartbeat is not None else None
        return camera_cost(spec.analyses, spec.sampling.fps, size if size is not None and all(size) else None)

    def _runs(self, key: Key) -> bool:
        deployment = self._cache.get(Key(Kind.DEPLOYMENT, key.namespace, child_name(key.name)))
        return deployment is not None and bool((deployment.get("spec") or {}).get("replicas"))

    def _waited(self, key: Key) -> bool:
        """Return whether a Camera waits for capacity according to its status, which outlives the operator."""
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
        return Key(Kind.CAMERA, demand.position.namespace, demand.position.name)
