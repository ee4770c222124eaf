"""Heartbeats count for the pod whose process sends them, and for no other."""

from typing import Any

import pytest
from tests.unit.operator.builders import beat

from vigil_operator.bus.heartbeats import LastHeartbeat
from vigil_operator.kube.kinds import Object
from vigil_operator.reconcile.camera.heartbeat_attribution import HeartbeatAttribution


def pod(uid: str, created: str = "2026-05-01T11:00:00Z", phase: str = "Running", **metadata: Any) -> Object:
    given = {"uid": uid, "name": uid, "creationTimestamp": created, **metadata}
    return {"metadata": given, "status": {"phase": phase}}


OLD = pod("old")
ENDING = pod("old", deletionTimestamp="2026-05-01T12:00:00Z")
NEW = pod("new", "2026-05-01T12:00:00Z")


def heartbeat(session: str) -> LastHeartbeat:
    return LastHeartbeat(beat(session_id=session), 1.0)


def test_the_first_heartbeat_is_the_running_pods() -> None:
    """An operator that starts finds Cameras that stream."""
    assert HeartbeatAttribution().attribute([OLD], heartbeat("one")) == (heartbeat("one"), None)


def test_an_earlier_session_is_not_the_newest_pods() -> None:
    attribution = HeartbeatAttribution()
    attribution.attribute([OLD], heartbeat("one"))
    assert attribution.attribute([ENDING, NEW], heartbeat("one")) == (None, None)
    assert attribution.attribute([NEW], heartbeat("one"))[0] is None
    assert attribution.attribute([NEW], heartbeat("two")) == (heartbeat("two"), None)


def test_a_session_before_a_pause_is_not_the_next_pods() -> None:
    """There was no pod in the pause."""
    attribution = HeartbeatAttribution()
    attribution.attribute([OLD], heartbeat("one"))
    attribution.attribute([], heartbeat("one"))
    assert attribution.attribute([NEW], heartbeat("one"))[0] is None


def test_a_container_that_is_started_again_in_its_pod_is_heard() -> None:
    attribution = HeartbeatAttribution()
    attribution.attribute([OLD], heartbeat("one"))
    assert attribution.attribute([OLD], heartbeat("two")) == (heartbeat("two"), None)


def test_a_session_heard_before_its_pod_is_attributed_later(monkeypatch: pytest.MonkeyPatch) -> None:
    attribution = HeartbeatAttribution()
    attribution.attribute([OLD], heartbeat("one"))
    assert attribution.attribute([ENDING, NEW], heartbeat("two")) == (None, None)
    found, again_s = attribution.attribute([NEW, pod("evicted", phase="Failed")], heartbeat("two"))
    assert found is None
    assert again_s is not None
    assert again_s > 0
    monkeypatch.setattr("vigil_operator.reconcile.camera.heartbeat_attribution.STALE_S", 0.0)
    assert attribution.attribute([NEW], heartbeat("two")) == (heartbeat("two"), None)
    monkeypatch.undo()
    assert attribution.attribute([NEW], heartbeat("two")) == (heartbeat("two"), None)
