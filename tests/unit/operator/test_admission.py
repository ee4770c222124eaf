"""Who has a place: declared by namespace, reported by Triton for all namespaces together."""

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
    """Give a Camera that costs 5 reference detections per second."""
    made = camera_object(name, version, **spec)
    made["metadata"]["namespace"] = namespace
    return made


def site(namespace: str, **inference: Any) -> Object:
    metadata = {"name": SITE, "namespace": namespace, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"inference": inference}}


def waiting(name: str, version: int = 1) -> Object:
    """Give a Camera of which the last operator said that it waits for room."""
    ready = {"type": "Ready", "status": "False", "reason": "InsufficientInferenceCapacity"}
    return camera(name, version=version) | {"status": {"conditions": [ready]}}


def deployment(name: str, replicas: int) -> Object:
    metadata = {"name": f"camera-{name}", "namespace": "one", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"replicas": replicas}}


def key(name: str, namespace: str = "one") -> Key:
    return Key(Kind.CAMERA, namespace, name)


class Place:
    """An admission over a cache, with all whom it called."""

    def __init__(self, *objects: Object, sites: tuple[Object, ...] = ()) -> None:
        self.cache: Cache = cache(*objects)
        for one in sites:
            self.cache.put(Kind.SITE, one)
        self.called: list[Key] = []
        heartbeats = Heartbeats(lambda _: None, lambda _: None)
        self.admission = Admission(self.cache, heartbeats, CameraMemories(), self.called.append)

    def enters(self, name: str, namespace: str = "one", reported: int | None = 10, *, known: bool = True) -> bool:
        decision = self.admission.decide(key(name, namespace), SITE, reported, known=known)
        return decision is None or decision.admitted

    def called_now(self) -> set[Key]:
        """Give those that were called since this was asked last."""
        found = set(self.called)
        self.called.clear()
        return found


def test_what_triton_reports_is_shared_by_all_namespaces_with_a_site_there_or_without() -> None:
    place = Place(camera("a", "one"), camera("b", "two"), camera("c", "zoo"), sites=(site("one"),))
    assert [place.enters("a", "one"), place.enters("b", "two"), place.enters("c", "zoo")] == [True, True, False]
    told = str(place.admission.decide(key("c", "zoo"), SITE, 10))
    assert (
        "of the Site's 10 10 are taken by 2 Camera(s); Triton reports this capacity for all namespaces together" in told
    )


def test_what_a_site_declares_holds_in_its_namespace() -> None:
    place = Place(
        *(camera(name, namespace) for namespace in ("one", "two") for name in "abc"),
        sites=(site("one", detectionsPerSecond=10), site("two", detectionsPerSecond=5)),
    )
    assert [place.enters(name, "one", None) for name in "abc"] == [True, True, False]
    assert [place.enters(name, "two", None) for name in "abc"] == [True, False, False]
    assert "all namespaces" not in str(place.admission.decide(key("c", "one"), SITE, None))


def test_where_nothing_is_declared_or_reported_everybody_enters() -> None:
    place = Place(*(camera(name) for name in "abc"))
    assert [place.enters(name, reported=None) for name in "abc"] == [True] * 3


def test_who_waited_goes_on_waiting_until_somebody_says_how_much_room_there_is() -> None:
    place = Place(camera("new"), waiting("waits"))
    assert [place.enters(name, reported=None, known=False) for name in ("new", "waits")] == [True, False]
    told = str(place.admission.decide(key("waits"), SITE, None, known=False))
    assert "the operator has not received the inference capacity" in told
    assert "None" not in told
    assert place.enters("waits", reported=None), "to report nothing is an answer"
    assert place.enters("waits", reported=None, known=False), "it is in"


@pytest.mark.parametrize(("replicas", "enters"), [(1, True), (0, False)])
def test_who_runs_keeps_its_place_whatever_its_status_says(replicas: int, enters: bool) -> None:
    place = Place(waiting("runs"))
    place.cache.put(Kind.DEPLOYMENT, deployment("runs", replicas))
    assert place.enters("runs", reported=None, known=False) is enters


def test_what_a_site_declares_needs_no_other_word() -> None:
    place = Place(waiting("a"), waiting("b"), sites=(site("one", detectionsPerSecond=5),))
    assert [place.enters(name, reported=None, known=False) for name in "ab"] == [True, False]
    assert "of the Site's 5 5 are taken" in str(place.admission.decide(key("b"), SITE, None, known=False))


def test_room_in_one_namespace_calls_those_that_wait_in_the_others() -> None:
    place = Place(camera("a", "one"), camera("b", "two"), camera("c", "zoo"))
    assert [place.enters("a", "one"), place.enters("b", "two"), place.enters("c", "zoo")] == [True, True, False]
    place.called_now()
    place.cache.remove(Kind.CAMERA, camera("a", "one", version=2))
    place.admission.free(key("a", "one"))
    assert place.called_now() == {key("c", "zoo")}
    assert place.enters("c", "zoo")


def test_who_needs_less_than_before_makes_room_in_other_namespaces() -> None:
    place = Place(camera("a", "one", sampling={"fps": 10}), camera("b", "two"))
    assert [place.enters("a", "one"), place.enters("b", "two")] == [True, False]
    place.cache.put(Kind.CAMERA, camera("a", "one", version=2, sampling={"fps": 5}))
    assert place.enters("a", "one")
    assert place.called_now() == {key("b", "two")}


def test_who_runs_by_what_its_site_declares_counts_and_who_waits_for_it_holds_nobody_up() -> None:
    declares = site("one", detectionsPerSecond=5)
    first = camera("first", "one", scheduling={"priority": 9})
    waits = camera("waits", "one", scheduling={"priority": 8})
    place = Place(first, waits, camera("b", "two"), camera("c", "two"), sites=(declares,))
    assert [place.enters("first", "one"), place.enters("waits", "one")] == [True, False]
    assert [place.enters("b", "two"), place.enters("c", "two")] == [True, False], "5 of 10 are the other namespace's"


def test_a_site_that_begins_to_declare_lets_those_that_stood_behind_its_cameras_in() -> None:
    giant = camera("giant", "one", sampling={"fps": 10}, scheduling={"priority": 9})
    place = Place(camera("runs", "two"), giant, camera("b", "zoo"))
    assert [place.enters("runs", "two"), place.enters("giant", "one"), place.enters("b", "zoo")] == [
        False,  # the giant enters first
        True,
        False,
    ]
    place = Place(camera("runs", "two", scheduling={"priority": 10}), giant, camera("b", "zoo"))
    assert [place.enters("runs", "two"), place.enters("giant", "one"), place.enters("b", "zoo")] == [
        True,
        False,
        False,
    ]
    place.called_now()
    place.cache.put(Kind.SITE, site("one", detectionsPerSecond=5))
    assert not place.enters("giant", "one")
    assert key("b", "zoo") in place.called_now()
    assert place.enters("b", "zoo")


@pytest.mark.parametrize(("figures", "told"), [([10, 10, 20, None, None], [10, 20, None]), ([None], [None])])
def test_a_capacity_is_told_when_it_changes_or_is_known_at_last(
    figures: list[int | None], told: list[int | None]
) -> None:
    noted: list[tuple[str, int | None]] = []
    capacities = Capacities(lambda name: noted.append((name, capacities.get(name))))
    assert not capacities.is_known(SITE)
    for figure in figures:
        capacities.set(SITE, figure)
    assert capacities.is_known(SITE)
    assert noted == [(SITE, figure) for figure in told]
