"""Admission of Cameras: capacity is declared by namespace, or reported by Triton for all namespaces."""

from typing import Any

import pytest
from tests.unit.operator.builders import cache, camera_object

from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile.camera.admission import Admission
from vigil_operator.reconcile.camera.capacity import Capacities
from vigil_operator.reconcile.camera.memory import CameraMemories

SITE = "default"


def camera(name: str, namespace: str = "one", version: int = 1, **spec: Any) -> Object:
    """Return a Camera that costs 5 reference detections per second."""
    made = camera_object(name, version, **spec)
    made["metadata"]["namespace"] = namespace
    return made


def site(namespace: str, **inference: Any) -> Object:
    metadata = {"name": SITE, "namespace": namespace, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"inference": inference}}


def waiting(name: str, version: int = 1) -> Object:
    """Return a Camera whose status says that it waits for capacity."""
    ready = {"type": "Ready", "status": "False", "reason": "InsufficientInferenceCapacity"}
    return camera(name, version=version) | {"status": {"conditions": [ready]}}


def deployment(name: str, replicas: int) -> Object:
    metadata = {"name": f"camera-{name}", "namespace": "one", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"replicas": replicas}}


def key(name: str, namespace: str = "one") -> Key:
    return Key(Kind.CAMERA, namespace, name)


class AdmissionSetup:
    """An admission over a cache, with the Cameras that it requeued."""

    def __init__(self, *objects: Object, sites: tuple[Object, ...] = ()) -> None:
        self.cache: Cache = cache(*objects)
        for one in sites:
            self.cache.put(Kind.SITE, one)
        self.requeued: list[Key] = []
        heartbeats = Heartbeats(lambda _: None, lambda _: None)
        self.admission = Admission(self.cache, heartbeats, CameraMemories(), self.requeued.append)

    def enters(self, name: str, namespace: str = "one", reported: int | None = 10, *, known: bool = True) -> bool:
        decision = self.admission.decide(key(name, namespace), SITE, reported, known=known)
        return decision is None or decision.admitted

    def requeued_now(self) -> set[Key]:
        """Return the Cameras that were requeued since the last call."""
        found = set(self.requeued)
        self.requeued.clear()
        return found


def test_reported_capacity_is_shared_by_all_namespaces() -> None:
    """A namespace without a Site object shares the capacity that Triton reports, too."""
    setup = AdmissionSetup(camera("a", "one"), camera("b", "two"), camera("c", "zoo"), sites=(site("one"),))
    assert [setup.enters("a", "one"), setup.enters("b", "two"), setup.enters("c", "zoo")] == [True, True, False]
    message = str(setup.admission.decide(key("c", "zoo"), SITE, 10))
    assert (
        "of the Site's 10 10 are taken by 2 Camera(s); Triton reports this capacity for all namespaces together"
        in message
    )


def test_what_a_site_declares_holds_in_its_namespace() -> None:
    setup = AdmissionSetup(
        *(camera(name, namespace) for namespace in ("one", "two") for name in "abc"),
        sites=(site("one", detectionsPerSecond=10), site("two", detectionsPerSecond=5)),
    )
    assert [setup.enters(name, "one", None) for name in "abc"] == [True, True, False]
    assert [setup.enters(name, "two", None) for name in "abc"] == [True, False, False]
    assert "all namespaces" not in str(setup.admission.decide(key("c", "one"), SITE, None))


def test_without_a_known_capacity_every_camera_enters() -> None:
    setup = AdmissionSetup(*(camera(name) for name in "abc"))
    assert [setup.enters(name, reported=None) for name in "abc"] == [True] * 3


def test_a_waiting_camera_waits_until_the_capacity_is_known() -> None:
    """Only its status says that it waits: the operator has just started."""
    setup = AdmissionSetup(camera("new"), waiting("waits"))
    assert [setup.enters(name, reported=None, known=False) for name in ("new", "waits")] == [True, False]
    message = str(setup.admission.decide(key("waits"), SITE, None, known=False))
    assert "the operator has not received the inference capacity" in message
    assert "None" not in message
    assert setup.enters("waits", reported=None), "to report nothing is an answer"
    assert setup.enters("waits", reported=None, known=False), "it is in"


@pytest.mark.parametrize(("replicas", "enters"), [(1, True), (0, False)])
def test_a_running_camera_keeps_its_place(replicas: int, enters: bool) -> None:
    """Its status may say that it waits for capacity."""
    setup = AdmissionSetup(waiting("runs"))
    setup.cache.put(Kind.DEPLOYMENT, deployment("runs", replicas))
    assert setup.enters("runs", reported=None, known=False) is enters


def test_a_declared_capacity_needs_no_report() -> None:
    setup = AdmissionSetup(waiting("a"), waiting("b"), sites=(site("one", detectionsPerSecond=5),))
    assert [setup.enters(name, reported=None, known=False) for name in "ab"] == [True, False]
    assert "of the Site's 5 5 are taken" in str(setup.admission.decide(key("b"), SITE, None, known=False))


def test_freed_room_requeues_cameras_of_other_namespaces() -> None:
    setup = AdmissionSetup(camera("a", "one"), camera("b", "two"), camera("c", "zoo"))
    assert [setup.enters("a", "one"), setup.enters("b", "two"), setup.enters("c", "zoo")] == [True, True, False]
    setup.requeued_now()
    setup.cache.remove(Kind.CAMERA, camera("a", "one", version=2))
    setup.admission.free(key("a", "one"))
    assert setup.requeued_now() == {key("c", "zoo")}
    assert setup.enters("c", "zoo")


def test_a_lower_demand_makes_room_in_other_namespaces() -> None:
    setup = AdmissionSetup(camera("a", "one", sampling={"fps": 10}), camera("b", "two"))
    assert [setup.enters("a", "one"), setup.enters("b", "two")] == [True, False]
    setup.cache.put(Kind.CAMERA, camera("a", "one", version=2, sampling={"fps": 5}))
    assert setup.enters("a", "one")
    assert setup.requeued_now() == {key("b", "two")}


def test_waiting_for_a_declared_capacity_delays_no_other_site() -> None:
    """Running Cameras of a Site that declares its capacity count in the reported one; its waiting Cameras do not."""
    declares = site("one", detectionsPerSecond=5)
    first = camera("first", "one", scheduling={"priority": 9})
    waits = camera("waits", "one", scheduling={"priority": 8})
    setup = AdmissionSetup(first, waits, camera("b", "two"), camera("c", "two"), sites=(declares,))
    assert [setup.enters("first", "one"), setup.enters("waits", "one")] == [True, False]
    assert [setup.enters("b", "two"), setup.enters("c", "two")] == [True, False], "5 of 10 are the other namespace's"


def test_a_site_that_declares_its_capacity_frees_the_line() -> None:
    """Cameras that waited behind those of the Site enter."""
    giant = camera("giant", "one", sampling={"fps": 10}, scheduling={"priority": 9})
    setup = AdmissionSetup(camera("runs", "two"), giant, camera("b", "zoo"))
    assert [setup.enters("runs", "two"), setup.enters("giant", "one"), setup.enters("b", "zoo")] == [
        False,  # the giant enters first
        True,
        False,
    ]
    setup = AdmissionSetup(camera("runs", "two", scheduling={"priority": 10}), giant, camera("b", "zoo"))
    assert [setup.enters("runs", "two"), setup.enters("giant", "one"), setup.enters("b", "zoo")] == [
        True,
        False,
        False,
    ]
    setup.requeued_now()
    setup.cache.put(Kind.SITE, site("one", detectionsPerSecond=5))
    assert not setup.enters("giant", "one")
    assert key("b", "zoo") in setup.requeued_now()
    assert setup.enters("b", "zoo")


@pytest.mark.parametrize(("figures", "reported"), [([10, 10, 20, None, None], [10, 20, None]), ([None], [None])])
def test_a_capacity_is_reported_when_it_changes(figures: list[int | None], reported: list[int | None]) -> None:
    """The first report counts as a change, even that there is none."""
    noted: list[tuple[str, int | None]] = []
    capacities = Capacities(lambda name: noted.append((name, capacities.get(name))))
    assert not capacities.is_known(SITE)
    for figure in figures:
        capacities.set(SITE, figure)
    assert capacities.is_known(SITE)
    assert noted == [(SITE, figure) for figure in reported]
