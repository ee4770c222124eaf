"""Cameras on a real Kubernetes API: applied, changed, broken and put right, as people and mishaps do it."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.cluster.streams import Stream, running_container
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import IMAGE, Operator, World, camera, operating, secret, site
from tests.support.servers import NatsServer
from tests.support.waiting import wait_until

from vigil_contracts.conditions import SourceReason
from vigil_contracts.events import CameraState

pytestmark = pytest.mark.cluster

CHILDREN = ("deployment", "serviceaccount", "configmap", "networkpolicy")


@pytest.fixture(scope="module")
def world(api_cluster: ApiCluster) -> World:
    return World.fresh(api_cluster, "cameras")


@pytest.fixture(scope="module", autouse=True)
def operator(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("operator")
    with operating(world.cluster, world.namespace, folder, VIGIL_USB_RESOURCES='{"/dev/video0":"test/video"}') as one:
        yield one


def hash_of(world: World, name: str) -> str:
    deployment = world.find("deployment", f"camera-{name}") or {}
    found: str = deployment["spec"]["template"]["metadata"]["annotations"]["vigil.dev/config-hash"]
    return found


def test_an_applied_camera_gets_all_its_children(world: World) -> None:
    world.apply(camera("front", world.namespace))
    for kind in CHILDREN:
        child = world.wait_for(kind, "camera-front")
        assert child["metadata"]["labels"]["vigil.dev/camera"] == "front"
        owner = child["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["controller"], owner["blockOwnerDeletion"]) == ("Camera", True, True)
    pod = world.pod("front")
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["containers"][0]["image"] == IMAGE
    ready = world.wait_reason("front", "PodPending")
    assert ready["status"] == "False"
    assert world.condition("front", "Reconciling")["status"] == "True"
    found = world.find("camera", "front") or {}
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    assert found["status"]["site"] == "default"


def test_a_deleted_camera_takes_its_children_with_it(world: World) -> None:
    world.apply(camera("leaving", world.namespace))
    world.wait_for("deployment", "camera-leaving")
    world.cluster.kubectl("delete", "camera", "leaving", "-n", world.namespace)
    for kind in CHILDREN:
        world.wait_gone(kind, "camera-leaving")


def test_only_changes_that_the_stream_reads_restart_its_pod(world: World) -> None:
    world.apply(camera("changing", world.namespace), camera("steady", world.namespace))
    world.wait_for("deployment", "camera-changing")
    world.wait_for("deployment", "camera-steady")
    before, steady = hash_of(world, "changing"), hash_of(world, "steady")
    world.apply(camera("changing", world.namespace, scheduling={"priority": 5}, retention={"sightings": "30d"}))
    generation = (world.find("camera", "changing") or {})["metadata"]["generation"]
    wait_until(
        lambda: (world.find("camera", "changing") or {}).get("status", {}).get("observedGeneration") == generation,
        20,
        "the change was seen",
    )
    assert hash_of(world, "changing") == before
    world.apply(camera("changing", world.namespace, sampling={"fps": 9}))
    wait_until(lambda: hash_of(world, "changing") != before, 20, "another configuration")
    assert hash_of(world, "steady") == steady


def test_suspend_takes_the_pod_away_and_keeps_the_rest(world: World) -> None:
    world.apply(camera("resting", world.namespace, suspend=True))
    world.wait_reason("resting", "Suspended")
    assert world.wait_for("deployment", "camera-resting")["spec"]["replicas"] == 0
    assert world.condition("resting", "Stalled")["status"] == "False"
    world.apply(camera("resting", world.namespace, suspend=False))
    wait_until(lambda: (world.find("deployment", "camera-resting") or {})["spec"]["replicas"] == 1, 20, "one pod again")


def test_whatever_somebody_changes_or_deletes_is_put_right(world: World) -> None:
    world.apply(camera("touched", world.namespace))
    kubectl, here = world.cluster.kubectl, ("-n", world.namespace)

    def uid(kind: str) -> str:
        return str((world.find(kind, "camera-touched") or {}).get("metadata", {}).get("uid", ""))

    world.wait_for("deployment", "camera-touched")
    before = {kind: uid(kind) for kind in CHILDREN}
    kubectl("scale", "deployment", "camera-touched", "--replicas=3", *here)
    wait_until(lambda: (world.find("deployment", "camera-touched") or {})["spec"]["replicas"] == 1, 20, "one replica")
    kubectl("set", "image", "deployment/camera-touched", "stream=evil:1", *here)

    def image() -> str:
        found = world.find("deployment", "camera-touched") or {}
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    wait_until(lambda: image() == IMAGE, 20, "our image again")
    kubectl("patch", "configmap", "camera-touched", "--type=merge", "-p", '{"data":{"camera.json":"{}"}}', *here)
    wait_until(
        lambda: '"name": "touched"' in (world.find("configmap", "camera-touched") or {})["data"]["camera.json"],
        20,
        "our text again",
    )

    def another(kind: str) -> bool:
        return uid(kind) not in {"", before[kind]}

    for kind in CHILDREN:
        kubectl("delete", kind, "camera-touched", "--wait=false", *here)
    for kind in CHILDREN:
        wait_until(partial(another, kind), 30, f"another {kind}")


def test_a_secret_that_comes_later_starts_the_camera_by_itself(world: World) -> None:
    world.apply(camera("secured", world.namespace, source={"credentialsSecretRef": {"name": "login"}}))
    message = world.wait_reason("secured", "SecretNotFound")["message"]
    assert "login" in message
    assert world.namespace in message
    assert world.condition("secured", "Stalled")["status"] == "True"
    assert world.find("deployment", "camera-secured") is None
    world.cluster.apply(secret("login", world.namespace, user="admin", password="x"))
    message = world.wait_reason("secured", "SecretKeyMissing")["message"]
    assert "username" in message
    assert "password, user" in message
    world.cluster.apply(secret("login", world.namespace, username="admin", password=""))
    wait_until(
        lambda: "empty, password" in world.condition("secured").get("message", ""), 20, "an empty key is reported"
    )
    world.cluster.apply(secret("login", world.namespace, username="admin", password="x"))
    world.wait_for("deployment", "camera-secured")
    world.wait_reason("secured", "PodPending")
    before = hash_of(world, "secured")
    world.cluster.apply(secret("login", world.namespace, username="admin", password="y"))
    wait_until(lambda: hash_of(world, "secured") != before, 20, "a new password, a new pod")
    world.cluster.kubectl("delete", "secret", "login", "-n", world.namespace)
    world.wait_reason("secured", "SecretNotFound")
    assert world.find("deployment", "camera-secured") is not None, "what runs goes on running"


@pytest.mark.parametrize("kind", ["serviceaccount", "configmap", "networkpolicy"])
def test_foreign_objects_are_left_and_outlive_the_camera(world: World, kind: str) -> None:
    child = f"camera-taken-{kind}"
    group = "networking.k8s.io/v1" if kind == "networkpolicy" else "v1"
    names = {"serviceaccount": "ServiceAccount", "configmap": "ConfigMap", "networkpolicy": "NetworkPolicy"}
    theirs = {"apiVersion": group, "kind": names[kind], "metadata": {"name": child, "namespace": world.namespace}}
    world.apply(theirs | ({"spec": {"podSelector": {}}} if kind == "networkpolicy" else {}))
    before = world.wait_for(kind, child)
    world.apply(camera(f"taken-{kind}", world.namespace))
    message = world.wait_reason(f"taken-{kind}", "ApplyConflict")["message"]
    assert f"{names[kind]} {child}: one of that name is there already and is not Vigil's" in message
    world.cluster.kubectl("delete", "camera", f"taken-{kind}", "-n", world.namespace)
    world.wait_gone("camera", f"taken-{kind}")
    assert world.find(kind, child) == before


def test_what_another_controller_owns_is_not_removed(world: World) -> None:
    owner = world.wait_for("serviceaccount", "default")["metadata"]
    reference = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "default", "uid": owner["uid"]}
    metadata = {"name": "camera-rented", "namespace": world.namespace, "ownerReferences": [reference]}
    world.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    before = world.wait_for("configmap", "camera-rented")
    world.apply(camera("rented", world.namespace))
    world.wait_reason("rented", "ApplyConflict")
    assert world.find("configmap", "camera-rented") == before


def test_a_deleted_site_is_reported_and_the_pod_goes_on(world: World) -> None:
    world.apply(site("default", world.namespace), camera("placed", world.namespace, siteRef={"name": "default"}))
    world.wait_for("deployment", "camera-placed")
    world.cluster.kubectl("delete", "site", "default", "-n", world.namespace)
    message = world.wait_reason("placed", "SiteNotFound")["message"]
    assert "default" in message
    assert world.find("deployment", "camera-placed") is not None
    world.apply(site("default", world.namespace, retention={"sightings": "7d"}))
    world.wait_reason("placed", "PodPending")
    world.apply(camera("placed", world.namespace, siteRef={"name": "default"}, retention={"sightings": "8d"}))
    assert "8d is longer than the 7d" in world.wait_reason("placed", "RetentionLongerThanSite")["message"]
    world.cluster.kubectl("delete", "site", "default", "-n", world.namespace)


def test_a_camera_of_a_site_that_nobody_serves_says_so(world: World) -> None:
    world.apply(site("elsewhere", world.namespace), camera("away", world.namespace, siteRef={"name": "elsewhere"}))
    world.wait_reason("away", "SiteNotServed")


def test_of_two_cameras_on_one_usb_device_the_younger_says_so(world: World) -> None:
    usb = {"type": "USB", "url": "/dev/video0"}
    world.apply(camera("desk", world.namespace, source=usb))
    deployment = world.wait_for("deployment", "camera-desk")
    limits = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["test/video"] == "1"
    world.apply(camera("desk-copy", world.namespace, source=usb))
    assert "/desk" in world.wait_reason("desk-copy", "DeviceInUse")["message"]
    world.cluster.kubectl("delete", "camera", "desk", "-n", world.namespace)
    world.wait_for("deployment", "camera-desk-copy")
    world.wait_reason("desk-copy", "PodPending")


def warnings_of(world: World, name: str) -> list[str]:
    """Return the reasons of the Warning events of a Camera."""
    events = world.cluster.kubectl("get", "events.events.k8s.io", "-n", world.namespace, "-o", "json").stdout
    found = [one for one in json.loads(events)["items"] if one["regarding"].get("name") == name]
    return [one["reason"] for one in found if one["type"] == "Warning"]


def test_the_words_of_an_earlier_pod_are_none_about_the_next_one(
    api_cluster: ApiCluster, own_nats: NatsServer, tmp_path: Path
) -> None:
    world = World.fresh(api_cluster, "handover")
    bus = {"VIGIL_NATS_URL": own_nats.url, "VIGIL_NATS_TOKEN": own_nats.token}
    stream = Stream(own_nats, world, "handed")

    def starts() -> None:
        world.wait_reason("handed", "Starting")
        wait_until(lambda: world.is_observed("handed"), 20, "the spec as it is now was judged")
        found = [world.condition("handed", kind)["status"] for kind in ("Ready", "Reconciling", "Stalled")]
        assert found == ["False", "True", "False"]

    with operating(api_cluster, world.namespace, tmp_path, **bus):
        world.apply(camera("handed", world.namespace))
        first = world.pod("handed")["metadata"]["name"]
        world.set_pod_status(first, {"phase": "Running", "containerStatuses": [running_container()]})
        stream.says(CameraState.STREAMING, SourceReason.CONNECTED, session_id="first")
        world.wait_reason("handed", "Streaming")
        world.apply(camera("handed", world.namespace, scheduling={"priority": 5}))
        wait_until(lambda: world.is_observed("handed"), 20, "the change was seen")
        assert world.condition("handed")["status"] == "True", "nothing is started anew for that"
        # The old pod is still there, and its camera still streams.
        api_cluster.kubectl("rollout", "pause", "deployment/camera-handed", "-n", world.namespace)
        world.apply(camera("handed", world.namespace, sampling={"fps": 9}))
        starts()
        stream.says(CameraState.RECONNECTING, SourceReason.NOT_FOUND, session_id="first")
        stream.says(CameraState.STREAMING, SourceReason.CONNECTED, session_id="first")
        starts()
        api_cluster.kubectl("rollout", "resume", "deployment/camera-handed", "-n", world.namespace)
        wait_until(lambda: world.pod("handed")["metadata"]["name"] != first, 30, "another pod")
        second = world.pod("handed")["metadata"]["name"]
        world.wait_reason("handed", "PodPending")
        world.set_pod_status(second, {"phase": "Running", "containerStatuses": [running_container()]})
        starts()
        stream.says(CameraState.CONNECTING, SourceReason.CONNECTING, session_id="second")
        world.wait_reason("handed", "Connecting")
        assert world.condition("handed", "Reconciling")["status"] == "True"
        stream.says(CameraState.STREAMING, SourceReason.CONNECTED, session_id="second")
        world.wait_reason("handed", "Streaming")
        stream.says(CameraState.STOPPED, SourceReason.STOPPED, session_id="second")
        starts()
        stream.says(CameraState.STREAMING, SourceReason.CONNECTED, session_id="third")
        world.wait_reason("handed", "Streaming")
    assert warnings_of(world, "handed") == []


def test_a_usb_device_without_a_plugin_is_reported(world: World) -> None:
    world.apply(camera("webcam", world.namespace, source={"type": "USB", "url": "/dev/video7"}))
    assert "VIGIL_USB_RESOURCES" in world.wait_reason("webcam", "PodUnschedulable")["message"]


def test_a_quickly_recreated_camera_gets_its_own_children(world: World) -> None:
    world.apply(camera("twice", world.namespace))
    first = world.wait_for("deployment", "camera-twice")["metadata"]["uid"]
    world.cluster.kubectl("delete", "camera", "twice", "-n", world.namespace)
    world.apply(camera("twice", world.namespace, url="rtsp://10.0.0.6/other"))
    uid = (world.find("camera", "twice") or {})["metadata"]["uid"]

    def owned(kind: str) -> bool:
        found = world.find(kind, "camera-twice") or {"metadata": {}}
        return {one["uid"] for one in found["metadata"].get("ownerReferences", [])} == {uid}

    for kind in CHILDREN:
        wait_until(partial(owned, kind), 60, f"{kind} of the new Camera")
    assert (world.find("deployment", "camera-twice") or {})["metadata"]["uid"] != first
    world.wait_reason("twice", "PodPending")


def test_a_renamed_camera_leaves_nothing_under_its_old_name(world: World) -> None:
    world.apply(camera("old-name", world.namespace))
    world.wait_for("deployment", "camera-old-name")
    world.cluster.kubectl("delete", "camera", "old-name", "-n", world.namespace, "--wait=false")
    world.apply(camera("new-name", world.namespace))
    world.wait_for("deployment", "camera-new-name")
    for kind in CHILDREN:
        world.wait_gone(kind, "camera-old-name")


def test_a_camera_deleted_while_it_starts_leaves_nothing(world: World) -> None:
    for number in range(5):
        world.apply(camera(f"fleeting-{number}", world.namespace))
        world.cluster.kubectl("delete", "camera", f"fleeting-{number}", "-n", world.namespace, "--wait=false")
    for number in range(5):
        for kind in CHILDREN:
            world.wait_gone(kind, f"camera-fleeting-{number}")


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
TOLD = {
    "PodUnschedulable": "0/3 nodes are available",
    "ImagePullFailed": "Back-off pulling image",
    "ContainerConfigError": 'secret "x" not found',
    "OutOfMemory": "more memory than its limit and was killed (restarts: 3); raise scheduling.resources.limits.memory",
    "CrashLooping": "exit status 2 (restarts: 4): vigil-stream: VIGIL_STATE_DIR: missing",
}


@pytest.mark.parametrize("reason", PODS)
def test_what_is_wrong_with_a_pod_is_the_reason_of_its_camera(world: World, reason: str) -> None:
    name = f"pod-{reason.lower()}"
    world.apply(camera(name, world.namespace))
    pod = world.pod(name)["metadata"]["name"]
    status = json.loads(json.dumps(PODS[reason]))
    for container in status.get("containerStatuses", []):
        container |= {"name": "stream", "image": IMAGE, "imageID": "", "ready": False}
        container.setdefault("restartCount", 0)
    world.set_pod_status(pod, status)
    ready = world.wait_reason(name, reason)
    assert ready["status"] == "False"
    assert TOLD[reason] in ready["message"]
    events = world.cluster.kubectl("get", "events.events.k8s.io", "-n", world.namespace, "-o", "json").stdout
    found = [one for one in json.loads(events)["items"] if one["regarding"].get("name") == name]
    assert [one["type"] for one in found if one["reason"] == reason] == ["Warning"]


def test_more_memory_restarts_that_cameras_pod_only(world: World) -> None:
    world.apply(camera("large", world.namespace), camera("small", world.namespace))
    first, small = world.pod("large")["metadata"]["name"], world.pod("small")["metadata"]["name"]
    status = json.loads(json.dumps(PODS["OutOfMemory"]))
    status["containerStatuses"][0] |= {"name": "stream", "image": IMAGE, "imageID": "", "ready": False}
    world.set_pod_status(first, status)
    world.wait_reason("large", "OutOfMemory")
    asked = {"limits": {"memory": "1024Mi"}, "requests": {"cpu": "0.5"}}
    world.apply(camera("large", world.namespace, scheduling={"resources": asked}))
    wait_until(lambda: world.pod("large")["metadata"]["name"] != first, 30, "another pod")
    given = world.pod("large")["spec"]["containers"][0]["resources"]
    assert given["limits"] == {"memory": "1Gi"}
    assert given["requests"] == {"cpu": "500m", "memory": "128Mi"}, "what was not asked for is as for all"
    world.wait_reason("large", "PodPending")
    assert world.pod("small")["metadata"]["name"] == small


def test_a_limit_below_the_request_has_the_servers_message(world: World) -> None:
    world.apply(camera("cramped", world.namespace, scheduling={"resources": {"limits": {"memory": "64Mi"}}}))
    message = world.wait_reason("cramped", "ApplyForbidden")["message"]
    assert "Deployment camera-cramped" in message
    assert "must be less than or equal to memory limit of 64Mi" in message
    world.apply(camera("cramped", world.namespace, scheduling={"resources": {"requests": {"memory": "64Mi"}}}))
    world.wait_reason("cramped", "PodPending")


def test_a_change_that_a_hand_made_in_the_status_is_put_right(world: World) -> None:
    world.apply(camera("flattered", world.namespace))
    before = world.wait_reason("flattered", "PodPending")
    lie = [{**before, "status": "True", "reason": "Streaming", "message": "all is well"}]
    patch = json.dumps({"status": {"conditions": lie, "site": "nowhere"}})
    kubectl = world.cluster.kubectl
    kubectl("patch", "camera", "flattered", "-n", world.namespace, "--subresource=status", "--type=merge", "-p", patch)
    world.wait_reason("flattered", "PodPending")
    wait_until(lambda: (world.find("camera", "flattered") or {})["status"]["site"] == "default", 10, "the true Site")
    assert len((world.find("camera", "flattered") or {})["status"]["conditions"]) == 6


def test_a_status_that_a_hand_wiped_is_written_again(world: World) -> None:
    world.apply(camera("wiped", world.namespace, suspend=True))
    world.wait_reason("wiped", "Suspended")
    wipe = json.dumps([{"op": "remove", "path": "/status"}])
    for _ in range(2):
        world.cluster.kubectl(
            "patch", "camera", "wiped", "-n", world.namespace, "--subresource=status", "--type=json", "-p", wipe
        )
        world.wait_reason("wiped", "Suspended")


def test_admission_is_by_priority_and_names_the_numbers(api_cluster: ApiCluster, tmp_path: Path) -> None:
    world = World.fresh(api_cluster, "budget")
    world.apply(site("default", world.namespace, inference={"detectionsPerSecond": 10}))
    world.apply(camera("first", world.namespace), camera("second", world.namespace))
    with operating(api_cluster, world.namespace, tmp_path):
        world.wait_for("deployment", "camera-first")
        world.wait_for("deployment", "camera-second")
        world.apply(camera("low", world.namespace))
        message = world.wait_reason("low", "InsufficientInferenceCapacity")["message"]
        assert "it needs 5 reference detections per second, and of the Site's 10 10 are taken by 2" in message
        assert "lower sampling.fps" in message, "what to do"
        assert world.find("deployment", "camera-low") is None
        world.apply(camera("high", world.namespace, scheduling={"priority": 100}))
        world.wait_reason("high", "InsufficientInferenceCapacity")
        api_cluster.kubectl("delete", "camera", "first", "-n", world.namespace)
        world.wait_for("deployment", "camera-high")
        world.wait_reason("low", "InsufficientInferenceCapacity")
        world.apply(site("default", world.namespace, inference={"detectionsPerSecond": 20}))
        world.wait_for("deployment", "camera-low")
