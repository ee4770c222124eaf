"""An object that is stored under a looser schema affects no other object."""

from typing import Any

import pytest
from tests.unit.operator.builders import cache, camera, camera_object, secret, settings

from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.queues import KindQueues
from vigil_operator.reconcile.camera.admission import Admission
from vigil_operator.reconcile.camera.memory import CameraMemories
from vigil_operator.reconcile.camera.wiring import resolve
from vigil_operator.routes import Router

USB = {"type": "USB", "url": "/dev/video0"}
SPECS: dict[str, Any] = {
    "text": "text",
    "a list": ["text"],
    "a number": 7,
    "a source that is text": {"source": "text"},
    "a source without type": {"source": {"url": "/dev/video0"}},
    "sampling that is text": {"source": USB, "sampling": "text"},
    "frames by the word": {"source": USB, "sampling": {"fps": "many"}},
    "scheduling that is a list": {"source": USB, "scheduling": ["high"]},
    "a priority by the word": {"source": USB, "scheduling": {"priority": "high"}},
    "nodes that are text": {"source": USB, "scheduling": {"nodeSelector": "here"}},
    "references that are text": {"source": {**USB, "credentialsSecretRef": "login"}, "siteRef": "hall"},
    "photos that are a number": {"photos": 7, "bus": 7},
    "photos that are text": {"photos": ["text", {"secretKeyRef": "faces"}], "bus": {"credentialsSecretRef": ["a"]}},
}


def broken(name: str, spec: object, version: int = 1) -> Object:
    found = camera_object(name, version)
    found["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return found | {"spec": spec}


@pytest.mark.parametrize("kind", [Kind.CAMERA, Kind.SUBJECT, Kind.SITE])
@pytest.mark.parametrize("name", SPECS)
def test_it_is_seen_and_looked_at_like_any_other(kind: Kind, name: str) -> None:
    seen, queues = cache(camera_object("desk", source=USB)), KindQueues([kind])
    Router(seen, queues, settings())
    seen.put(kind, broken("odd", SPECS[name]))
    assert len(queues) == 1
    seen.put(kind, broken("odd", {"source": "another"}, version=2))
    seen.remove(kind, broken("odd", {}, version=3))
    assert seen.get(Key(kind, "default", "odd")) is None


@pytest.mark.parametrize("name", SPECS)
def test_an_unreadable_camera_costs_nothing(name: str) -> None:
    """The other Cameras of its Site have their places."""
    seen = cache(camera_object("front"), broken("odd", SPECS[name]))
    queues = KindQueues([Kind.CAMERA])
    heartbeats = Heartbeats(lambda _: None, lambda _: None)
    decision = Admission(seen, heartbeats, CameraMemories(), queues.add).decide(
        Key(Kind.CAMERA, "default", "front"), "default", 5
    )
    assert decision is not None
    assert decision.result is not None
    assert (decision.result.admitted, decision.result.used, decision.result.running) == (True, 5000, 1)


@pytest.mark.parametrize("name", SPECS)
def test_it_takes_no_device(name: str) -> None:
    given = settings(usb_resources={"/dev/video0": "test/video"})
    desk = camera_object("desk", source=USB)
    seen = cache(desk, broken("odd", SPECS[name]), given=given, secrets=(secret("vigil-bus", token="a"),))
    assert resolve(camera("desk", source=USB), desk, seen, given).problem is None


def test_an_older_camera_that_is_sound_has_the_device() -> None:
    given = settings(usb_resources={"/dev/video0": "test/video"})
    desk = camera_object("desk", source=USB)
    seen = cache(desk, broken("older", {"source": USB}), given=given, secrets=(secret("vigil-bus", token="a"),))
    problem = resolve(camera("desk", source=USB), desk, seen, given).problem
    assert problem is not None
    assert "default/older" in problem.message
