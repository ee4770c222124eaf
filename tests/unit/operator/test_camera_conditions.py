"""From the facts of a Camera to its conditions: a table."""

from typing import Any

import pytest
from tests.unit.operator.builders import NOW, beat

from vigil_contracts.conditions import CameraReason, ClockReason, FitnessReason, SourceReason
from vigil_contracts.events import CameraState
from vigil_operator.bus.heartbeats import LastHeartbeat
from vigil_operator.kube.kinds import Object
from vigil_operator.reconcile import conditions as status
from vigil_operator.reconcile.camera import pods
from vigil_operator.reconcile.camera.conditions import CameraFacts, Problem, condition_updates
from vigil_operator.reconcile.camera.pods import PodFacts
from vigil_operator.resources.names import CONFIG_HASH
from vigil_runtime.clock import ClockState

RUNS = PodFacts(None)


def known(**more: Any) -> CameraFacts:
    values: dict[str, Any] = {"problem": None, "suspended": False, "pod": RUNS, "heartbeat": None, "pod_age_s": 100.0}
    return CameraFacts(**(values | more))


def heartbeat(state: CameraState, reason: SourceReason, age_s: float = 1.0, **more: Any) -> LastHeartbeat:
    return LastHeartbeat(beat(state, reason, **more), age_s)


STREAMS = heartbeat(CameraState.STREAMING, SourceReason.CONNECTED)
AWAY = "no inference: triton:8001: Domain name not found"
T, F, U = "True", "False", "Unknown"

TABLE: dict[str, tuple[CameraFacts, str, tuple[str, str, str, str, str, str]]] = {
    # name: what is known, Ready's reason, (Ready, Streaming, SourceReachable, Reconciling, Stalled, FitForRecognition)
    "streams": (known(heartbeat=STREAMS), "Streaming", (T, T, T, F, F, U)),
    "fit": (known(heartbeat=LastHeartbeat(beat(fitness=FitnessReason.MEASURED), 1)), "Streaming", (T, T, T, F, F, T)),
    "blurred": (
        known(heartbeat=LastHeartbeat(beat(fitness=FitnessReason.FACES_BLURRED), 1)),
        "Streaming",
        (T, T, T, F, F, F),
    ),
    "being made": (known(pod=None), "PodPending", (F, F, U, T, F, U)),
    "young and silent": (known(pod_age_s=3.0), "Starting", (F, F, U, T, F, U)),
    "old and silent": (known(), "NoHeartbeat", (F, F, U, F, F, U)),
    "fell silent": (known(heartbeat=LastHeartbeat(beat(), 16)), "NoHeartbeat", (F, F, U, F, F, U)),
    "bus away": (
        known(heartbeat=LastHeartbeat(beat(), 16), bus_problem="nats: gone"),
        "BusUnreachable",
        (U, U, U, F, F, U),
    ),
    "nothing answers that could analyse": (
        known(heartbeat=heartbeat(CameraState.STREAMING, SourceReason.CONNECTED, message=AWAY, inference_trouble=AWAY)),
        "InferenceUnreachable",
        (F, T, T, F, F, U),
    ),
    "connecting": (
        known(heartbeat=heartbeat(CameraState.CONNECTING, SourceReason.CONNECTING)),
        "Connecting",
        (F, F, U, T, F, U),
    ),
    "ending": (
        known(heartbeat=heartbeat(CameraState.STOPPED, SourceReason.STOPPED, message="the process received SIGTERM")),
        "Starting",
        (F, F, U, T, F, U),
    ),
    "ended, and nothing follows": (
        known(heartbeat=heartbeat(CameraState.STOPPED, SourceReason.STOPPED, 16)),
        "NoHeartbeat",
        (F, F, U, F, F, U),
    ),
    "ended by suspend": (
        known(heartbeat=heartbeat(CameraState.STOPPED, SourceReason.STOPPED), suspended=True),
        "Suspended",
        (F, F, U, F, F, U),
    ),
    "of another configuration": (
        known(pod=PodFacts(CameraReason.STARTING, "x"), heartbeat=STREAMS),
        "Starting",
        (F, F, U, T, F, U),
    ),
    "unreachable": (
        known(heartbeat=heartbeat(CameraState.RECONNECTING, SourceReason.UNREACHABLE)),
        "Unreachable",
        (F, F, F, F, F, U),
    ),
    "wrong password": (
        known(heartbeat=heartbeat(CameraState.RECONNECTING, SourceReason.UNAUTHORIZED)),
        "Unauthorized",
        (F, F, F, F, T, U),
    ),
    "frozen, or a dark scene": (
        known(heartbeat=heartbeat(CameraState.STREAMING, SourceReason.FROZEN)),
        "Frozen",
        (T, T, T, F, F, U),
    ),
    "joined between keyframes": (
        known(heartbeat=heartbeat(CameraState.CONNECTING, SourceReason.WAITING_FOR_KEYFRAME)),
        "WaitingForKeyframe",
        (F, F, T, F, F, U),
    ),
    "suspended": (known(suspended=True), "Suspended", (F, F, U, F, F, U)),
    "suspended, last words": (known(suspended=True, heartbeat=STREAMS), "Suspended", (F, F, U, F, F, U)),
    "secret missing": (
        known(problem=Problem(CameraReason.SECRET_NOT_FOUND, "x"), pod=None),
        "SecretNotFound",
        (F, F, U, F, T, U),
    ),
    "secret gone, pod goes on": (
        known(problem=Problem(CameraReason.SECRET_NOT_FOUND, "x"), heartbeat=STREAMS),
        "SecretNotFound",
        (F, T, T, F, T, U),
    ),
    "no capacity": (
        known(problem=Problem(CameraReason.INSUFFICIENT_INFERENCE_CAPACITY, "x", permanent=False), pod=None),
        "InsufficientInferenceCapacity",
        (F, F, U, T, F, U),
    ),
    "unschedulable": (
        known(pod=PodFacts(CameraReason.POD_UNSCHEDULABLE, "x")),
        "PodUnschedulable",
        (F, F, U, T, F, U),
    ),
    "no image": (
        known(pod=PodFacts(CameraReason.IMAGE_PULL_FAILED, "x", permanent=True)),
        "ImagePullFailed",
        (F, F, U, F, T, U),
    ),
    "crashes, last words of it": (
        known(pod=PodFacts(CameraReason.CRASH_LOOPING, "x", permanent=True), heartbeat=STREAMS),
        "CrashLooping",
        (F, F, U, F, T, U),
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_facts_lead_to_these_conditions(name: str) -> None:
    facts, reason, statuses = TABLE[name]
    updates = condition_updates(facts)
    assert [one.type for one in updates] == [
        "Ready",
        "Streaming",
        "SourceReachable",
        "Reconciling",
        "Stalled",
        "FitForRecognition",
        "ClockSynchronized",
    ]
    assert updates[0].reason == reason
    assert tuple(one.status.value for one in updates[:-1]) == statuses
    assert all(one.reason for one in updates)


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (known(), (U, "NotMeasured")),
        (known(heartbeat=LastHeartbeat(beat(), 1)), (U, "NotMeasured")),
        (known(heartbeat=LastHeartbeat(beat(), 1, ClockState(ClockReason.SYNCHRONIZED))), (T, "Synchronized")),
        (known(heartbeat=LastHeartbeat(beat(), 1, ClockState(ClockReason.CLOCK_AHEAD, 9e4))), (F, "ClockAhead")),
        (known(heartbeat=LastHeartbeat(beat(), 1, ClockState(ClockReason.CLOCK_JUMPED, -9e4))), (F, "ClockJumped")),
        (known(heartbeat=LastHeartbeat(beat(), 16, ClockState(ClockReason.CLOCK_AHEAD, 9e4))), (U, "NotMeasured")),
    ],
)
def test_the_clock_of_a_running_camera_is_reported(facts: CameraFacts, wanted: tuple[str, str]) -> None:
    clock = condition_updates(facts)[-1]
    assert (clock.status.value, clock.reason) == wanted
    assert bool(clock.message) == (clock.status.value == F)


def test_only_ready_reports_an_error_of_inference() -> None:
    ready, streaming, reachable, *_ = condition_updates(TABLE["nothing answers that could analyse"][0])
    assert AWAY in ready.message
    assert "Triton pods" in ready.message
    assert not any("inference" in one.message for one in (streaming, reachable))


def test_stalled_excludes_ready_and_reconciling() -> None:
    for facts, _, _ in TABLE.values():
        statuses = {one.type: one.status.value for one in condition_updates(facts)}
        assert not (statuses["Ready"] == "True" and statuses["Stalled"] == "True")
        assert not (statuses["Reconciling"] == "True" and statuses["Stalled"] == "True")


def test_conditions_can_be_written_as_they_are() -> None:
    for facts, _, _ in TABLE.values():
        for one in status.conditions({}, condition_updates(facts), 1, NOW):
            assert one["reason"].isalpha()
            assert one["lastTransitionTime"] == "2026-05-01T12:00:00Z"


def pod(name: str = "p", **status: Any) -> Object:
    return {"metadata": {"name": name, "creationTimestamp": "2026-05-01T11:00:00Z"}, "spec": {}, "status": status}


def container(**more: Any) -> Object:
    return {"name": "stream", "image": "vigil/stream:1", "restartCount": 0, **more}


RUNNING: Object = {"running": {"startedAt": "2026-05-01T12:00:00Z"}}
OOM: Object = {"reason": "OOMKilled", "exitCode": 137}


def again(last: Object, **more: Any) -> Object:
    """Return a container that was restarted and has not answered its startup probe yet."""
    return container(
        **{"restartCount": 1, "started": False, "state": RUNNING, "lastState": {"terminated": last}} | more
    )


PODS: dict[str, tuple[Object | None, str | None, str]] = {
    "none": (None, "PodPending", "being made"),
    "new": (pod(phase="Pending"), "PodPending", "Pending"),
    "runs": (pod(phase="Running", containerStatuses=[container(state={"running": {}})]), None, ""),
    "creating": (
        pod(containerStatuses=[container(state={"waiting": {"reason": "ContainerCreating"}})]),
        "PodPending",
        "ContainerCreating",
    ),
    "evicted": (pod(phase="Failed", reason="Evicted", message="low on memory"), "PodPending", "low on memory"),
    "never pulls": (
        pod(containerStatuses=[container(state={"waiting": {"reason": "ErrImageNeverPull"}})]),
        "ImagePullFailed",
        "vigil/stream:1",
    ),
    "one crash": (
        pod(containerStatuses=[container(state={"terminated": {"exitCode": 70}})]),
        "PodPending",
        "exit status 70",
    ),
    "third crash": (
        pod(containerStatuses=[container(state={"terminated": {"exitCode": 70, "message": "hung"}}, restartCount=2)]),
        "CrashLooping",
        "kubectl logs --previous p",
    ),
    "out of memory once": (
        pod(containerStatuses=[container(state={"terminated": {"reason": "OOMKilled", "exitCode": 137}})]),
        "OutOfMemory",
        "raise scheduling.resources.limits.memory of this Camera",
    ),
    "started again after it took too much memory": (pod(containerStatuses=[again(OOM)]), "OutOfMemory", "more memory"),
    "started again after two crashes": (
        pod(containerStatuses=[again({"exitCode": 2, "message": "no such level"}, restartCount=2)]),
        "CrashLooping",
        "exit status 2 (restarts: 2): no such level",
    ),
    "started again after one crash": (pod(containerStatuses=[again({"exitCode": 70})]), "PodPending", "started again"),
    "started again, and it answers": (pod(containerStatuses=[again(OOM, started=True)]), None, "more memory"),
    "started for the first time": (pod(containerStatuses=[container(state=RUNNING, started=False)]), None, ""),
    "crashes beside a proxy that runs": (
        pod(
            phase="Running",
            containerStatuses=[
                {"name": "istio-proxy", "image": "proxy:1", "restartCount": 0, "state": {"running": {}}},
                container(state={"waiting": {"reason": "CrashLoopBackOff"}}, restartCount=4),
            ],
        ),
        "CrashLooping",
        "restarts: 4",
    ),
    "runs beside a proxy that crashes": (
        pod(
            phase="Running",
            containerStatuses=[
                {"name": "istio-proxy", "restartCount": 9, "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
                container(state={"running": {}}),
            ],
        ),
        None,
        "",
    ),
    "only a proxy has a status": (
        pod(phase="Pending", containerStatuses=[{"name": "istio-proxy", "state": {"running": {}}}]),
        "PodPending",
        "Pending",
    ),
    "nonsense": (pod(conditions="none", containerStatuses=[3]), "PodPending", "Pending"),
}


@pytest.mark.parametrize("name", PODS)
def test_pod_facts_have_the_reason_and_the_message(name: str) -> None:
    given, reason, words = PODS[name]
    facts = pods.facts(given, None)
    assert facts.reason == reason
    assert words in facts.message


def configured(made: str | None, **status: Any) -> Object:
    given = pod(**status)
    given["metadata"]["annotations"] = {} if made is None else {CONFIG_HASH: made}
    return given


def test_an_outdated_pod_is_being_replaced() -> None:
    """Its own errors are not reported: they belong to the earlier configuration."""
    deployment = {"spec": {"template": {"metadata": {"annotations": {CONFIG_HASH: "wanted"}}}}}
    stuck = {"containerStatuses": [container(state={"waiting": {"reason": "ErrImageNeverPull"}})]}
    facts = pods.facts(configured("before", **stuck), deployment)
    assert (facts.reason, facts.permanent) == (CameraReason.STARTING, False)
    assert pods.facts(configured("wanted", **stuck), deployment).reason is CameraReason.IMAGE_PULL_FAILED
    runs = {"containerStatuses": [container(state={"running": {}})]}
    assert pods.facts(configured("wanted", **runs), deployment).reason is None
    assert pods.facts(configured(None, **runs), deployment).reason is None, "somebody took the annotation away"


def test_a_quota_that_refuses_the_pod_is_reported() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
    facts = pods.facts(None, {"status": {"conditions": [failure]}})
    assert (facts.reason, facts.permanent) == (CameraReason.APPLY_FORBIDDEN, True)
    assert "exceeded quota" in facts.message


def test_of_several_pods_the_one_that_stays_counts() -> None:
    leaving = pod("leaving")
    leaving["metadata"] |= {"deletionTimestamp": "2026-05-01T12:00:00Z", "creationTimestamp": "2026-05-01T11:30:00Z"}
    found = pods.newest([pod("stays"), leaving])
    assert found is not None
    assert found["metadata"]["name"] == "stays"
