"""The pods of Cameras on a real Kubernetes API: restarted when they must, and their faults reported."""

import json
from pathlib import Path

import pytest
from tests.cluster.streams import Stream, running_container
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import IMAGE, NamespaceClient, camera, operating
from tests.support.servers import NatsServer
from tests.support.waiting import wait_until

from vigil_contracts.conditions import SourceReason
from vigil_contracts.events import CameraState

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("camera_operator")]


def test_only_changes_that_the_stream_reads_restart_its_pod(ns: NamespaceClient) -> None:
    ns.apply(camera("changing", ns.namespace), camera("steady", ns.namespace))
    ns.wait_for("deployment", "camera-changing")
    ns.wait_for("deployment", "camera-steady")
    before, steady = ns.config_hash("changing"), ns.config_hash("steady")
    ns.apply(camera("changing", ns.namespace, scheduling={"priority": 5}, retention={"sightings": "30d"}))
    generation = (ns.find("camera", "changing") or {})["metadata"]["generation"]
    wait_until(
        lambda: (ns.find("camera", "changing") or {}).get("status", {}).get("observedGeneration") == generation,
        20,
        "the change was seen",
    )
    assert ns.config_hash("changing") == before
    ns.apply(camera("changing", ns.namespace, sampling={"fps": 9}))
    wait_until(lambda: ns.config_hash("changing") != before, 20, "another configuration")
    assert ns.config_hash("steady") == steady


def warnings_of(ns: NamespaceClient, name: str) -> list[str]:
    """Return the reasons of the Warning events of a Camera."""
    events = ns.cluster.kubectl("get", "events.events.k8s.io", "-n", ns.namespace, "-o", "json").stdout
    found = [one for one in json.loads(events)["items"] if one["regarding"].get("name") == name]
    return [one["reason"] for one in found if one["type"] == "Warning"]


def test_the_words_of_an_earlier_pod_are_none_about_the_next_one(
    api_cluster: ApiCluster, own_nats: NatsServer, tmp_path: Path
) -> None:
    ns = NamespaceClient.fresh(api_cluster, "handover")
    bus = {"VIGIL_NATS_URL": own_nats.url, "VIGIL_NATS_TOKEN": own_nats.token}
    stream = Stream(own_nats, ns, "handed")

    def starts() -> None:
        ns.wait_reason("handed", "Starting")
        wait_until(lambda: ns.is_observed("handed"), 20, "the current spec is observed")
        found = [ns.condition("handed", kind)["status"] for kind in ("Ready", "Reconciling", "Stalled")]
        assert found == ["False", "True", "False"]

    with operating(api_cluster, ns.namespace, tmp_path, **bus):
        ns.apply(camera("handed", ns.namespace))
        first = ns.pod("handed")["metadata"]["name"]
        ns.set_pod_status(first, {"phase": "Running", "containerStatuses": [running_container()]})
        stream.says(CameraState.STREAMING, SourceReason.CONNECTED, session_id="first")
        ns.wait_reason("handed", "Streaming")
        ns.apply(camera("handed", ns.namespace, scheduling={"priority": 5}))
        wait_until(lambda: ns.is_observed("handed"), 20, "the change was seen")
        assert ns.condition("handed")["status"] == "True", "nothing is started anew for that"
        # The old pod is still there, and its camera still streams.
        api_cluster.kubectl("rollout", "pause", "deployment/camera-handed", "-n", ns.namespace)
        ns.apply(camera("handed", ns.namespace, sampling={"fps": 9}))
        starts()
        stream.says(CameraState.RECONNECTING, SourceReason.NOT_FOUND, session_id="first")
        stream.says(CameraState.STREAMING, SourceReason.CONNECTED, session_id="first")
        starts()
        api_cluster.kubectl("rollout", "resume", "deployment/camera-handed", "-n", ns.namespace)
        wait_until(lambda: ns.pod("handed")["metadata"]["name"] != first, 30, "another pod")
        second = ns.pod("handed")["metadata"]["name"]
        ns.wait_reason("handed", "PodPending")
        ns.set_pod_status(second, {"phase": "Running", "containerStatuses": [running_container()]})
        starts()
        stream.says(CameraState.CONNECTING, SourceReason.CONNECTING, session_id="second")
        ns.wait_reason("handed", "Connecting")
        assert ns.condition("handed", "Reconciling")["status"] == "True"
        stream.says(CameraState.STREAMING, SourceReason.CONNECTED, session_id="second")
        ns.wait_reason("handed", "Streaming")
        stream.says(CameraState.STOPPED, SourceReason.STOPPED, session_id="second")
        starts()
        stream.says(CameraState.STREAMING, SourceReason.CONNECTED, session_id="third")
        ns.wait_reason("handed", "Streaming")
    assert warnings_of(ns, "handed") == []


PODS = {
    "PodUnschedulable": {
        "phase": "Pending",
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
        ],
    },
    "ImagePullFailed": {
        "phase": "Pending",
        "containerStatuses": [
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}, "ready": False}
        ],
    },
    "ContainerConfigError": {
        "phase": "Pending",
        "containerStatuses": [
            {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}}}
        ],
    },
    "OutOfMemory": {
        "phase": "Running",
        "containerStatuses": [
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                "restartCount": 3,
            }
        ],
    },
    "CrashLooping": {
        "phase": "Running",
        "containerStatuses": [
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                "lastState": {
                    "terminated": {
                        "reason": "Error",
                        "exitCode": 2,
                        "message": "vigil-stream: VIGIL_STATE_DIR: missing",
                    }
                },
                "restartCount": 4,
            }
        ],
    },
}
MESSAGES = {
    "PodUnschedulable": "0/3 nodes are available",
    "ImagePullFailed": "Back-off pulling image",
    "ContainerConfigError": 'secret "x" not found',
    "OutOfMemory": "more memory than its limit and was killed (restarts: 3); raise scheduling.resources.limits.memory",
    "CrashLooping": "exit status 2 (restarts: 4): vigil-stream: VIGIL_STATE_DIR: missing",
}


@pytest.mark.parametrize("reason", PODS)
def test_what_is_wrong_with_a_pod_is_the_reason_of_its_camera(ns: NamespaceClient, reason: str) -> None:
    name = f"pod-{reason.lower()}"
    ns.apply(camera(name, ns.namespace))
    pod = ns.pod(name)["metadata"]["name"]
    status = json.loads(json.dumps(PODS[reason]))
    for container in status.get("containerStatuses", []):
        container |= {"name": "stream", "image": IMAGE, "imageID": "", "ready": False}
        container.setdefault("restartCount", 0)
    ns.set_pod_status(pod, status)
    ready = ns.wait_reason(name, reason)
    assert ready["status"] == "False"
    assert MESSAGES[reason] in ready["message"]
    events = ns.cluster.kubectl("get", "events.events.k8s.io", "-n", ns.namespace, "-o", "json").stdout
    found = [one for one in json.loads(events)["items"] if one["regarding"].get("name") == name]
    assert [one["type"] for one in found if one["reason"] == reason] == ["Warning"]


def test_more_memory_restarts_that_cameras_pod_only(ns: NamespaceClient) -> None:
    ns.apply(camera("large", ns.namespace), camera("small", ns.namespace))
    first, small = ns.pod("large")["metadata"]["name"], ns.pod("small")["metadata"]["name"]
    status = json.loads(json.dumps(PODS["OutOfMemory"]))
    status["containerStatuses"][0] |= {"name": "stream", "image": IMAGE, "imageID": "", "ready": False}
    ns.set_pod_status(first, status)
    ns.wait_reason("large", "OutOfMemory")
    asked = {"limits": {"memory": "1024Mi"}, "requests": {"cpu": "0.5"}}
    ns.apply(camera("large", ns.namespace, scheduling={"resources": asked}))
    wait_until(lambda: ns.pod("large")["metadata"]["name"] != first, 30, "another pod")
    given = ns.pod("large")["spec"]["containers"][0]["resources"]
    assert given["limits"] == {"memory": "1Gi"}
    assert given["requests"] == {"cpu": "500m", "memory": "128Mi"}, "what was not asked for is as for all"
    ns.wait_reason("large", "PodPending")
    assert ns.pod("small")["metadata"]["name"] == small


def test_a_limit_below_the_request_has_the_servers_message(ns: NamespaceClient) -> None:
    ns.apply(camera("cramped", ns.namespace, scheduling={"resources": {"limits": {"memory": "64Mi"}}}))
    message = ns.wait_reason("cramped", "ApplyForbidden")["message"]
    assert "Deployment camera-cramped" in message
    assert "must be less than or equal to memory limit of 64Mi" in message
    ns.apply(camera("cramped", ns.namespace, scheduling={"resources": {"requests": {"memory": "64Mi"}}}))
    ns.wait_reason("cramped", "PodPending")
