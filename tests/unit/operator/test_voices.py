"""Heartbeats count for the pod whose process sends them, and for no other."""

from typing import Any

import pytest
from tests.unit.operator.builders import beat

from vigil_operator.bus.heartbeats import Heard
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile.camera.heartbeat_attribution import Voices

FRONT = Key(Kind.CAMERA, "default", "front")


def pod(uid: str, created: str = "2026-05-01T11:00:00Z", phase: str = "Running", **metadata: Any) -> Object:
    given = {"uid": uid, "name": uid, "creationTimestamp": created, **metadata}
    return {"metadata": given, "status": {"phase": phase}}


OLD = pod("old")
ENDING = pod("old", deletionTimestamp="2026-05-01T12:00:00Z")
NEW = pod("new", "2026-05-01T12:00:00Z")


def heard(session: str) -> Heard:
    return Heard(beat(session_id=session), 1.0)


def test_what_a_starting_operator_hears_is_of_the_pod_that_runs() -> None:
    assert Voices().of_newest(FRONT, [OLD], heard("one")) == (heard("one"), None)


def test_a_session_heard_before_the_newest_pod_was_seen_does_not_count_for_it() -> None:
    voices = Voices()
    voices.of_newest(FRONT, [OLD], heard("one"))
    assert voices.of_newest(FRONT, [ENDING, NEW], heard("one")) == (None, None)
    assert voices.of_newest(FRONT, [NEW], heard("one"))[0] is None
    assert voices.of_newest(FRONT, [NEW], heard("two")) == (heard("two"), None)


def test_a_session_heard_before_a_pause_without_a_pod_does_not_count_for_the_next_one() -> None:
    voices = Voices()
    voices.of_newest(FRONT, [OLD], heard("one"))
    voices.of_newest(FRONT, [], heard("one"))
    assert voices.of_newest(FRONT, [NEW], heard("one"))[0] is None


def test_a_container_that_is_started_again_in_its_pod_is_heard() -> None:
    voices = Voices()
    voices.of_newest(FRONT, [OLD], heard("one"))
    assert voices.of_newest(FRONT, [OLD], heard("two")) == (heard("two"), None)


def test_a_pod_that_is_seen_later_than_it_is_heard_counts_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    voices = Voices()
    voices.of_newest(FRONT, [OLD], heard("one"))
    assert voices.of_newest(FRONT, [ENDING, NEW], heard("two")) == (None, None)
    found, again_s = voices.of_newest(FRONT, [NEW, pod("evicted", phase="Failed")], heard("two"))
    assert found is None
    assert again_s is not None
    assert again_s > 0
    monkeypatch.setattr("vigil_operator.reconcile.camera.heartbeat_attribution.STALE_S", 0.0)
    assert voices.of_newest(FRONT, [NEW], heard("two")) == (heard("two"), None)
    monkeypatch.undo()
    assert voices.of_newest(FRONT, [NEW], heard("two")) == (heard("two"), None)


def test_a_camera_that_is_gone_is_forgotten() -> None:
    voices = Voices()
    voices.of_newest(FRONT, [OLD], heard("one"))
    voices.forget(FRONT)
    assert voices.of_newest(FRONT, [NEW], heard("one")) == (heard("one"), None)
