"""Cameras on a real Kubernetes API: applied, changed, broken and put right, as people and mishaps do it."""

import asyncio
import base64
import json
from contextlib import aclosing
from functools import partial
from pathlib import Path

import pytest
from tests.cluster.operator_in_process import context_of
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import IMAGE, NamespaceClient, camera, operating, secret, site
from tests.support.waiting import wait_until

from vigil_operator.kube.kinds import Kind

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("camera_operator")]

CHILDREN = ("deployment", "serviceaccount", "configmap", "networkpolicy")


def test_an_applied_camera_gets_all_its_children(ns: NamespaceClient) -> None:
    ns.apply(camera("front", ns.namespace))
    for kind in CHILDREN:
        child = ns.wait_for(kind, "camera-front")
        assert child["metadata"]["labels"]["vigil.dev/camera"] == "front"
        owner = child["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["controller"], owner["blockOwnerDeletion"]) == ("Camera", True, True)
    pod = ns.pod("front")
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["containers"][0]["image"] == IMAGE
    ready = ns.wait_reason("front", "PodPending")
    assert ready["status"] == "False"
    assert ns.condition("front", "Reconciling")["status"] == "True"
    found = ns.find("camera", "front") or {}
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    assert found["status"]["site"] == "default"


def test_a_deleted_camera_takes_its_children_with_it(ns: NamespaceClient) -> None:
    ns.apply(camera("leaving", ns.namespace))
    ns.wait_for("deployment", "camera-leaving")
    ns.cluster.kubectl("delete", "camera", "leaving", "-n", ns.namespace)
    for kind in CHILDREN:
        ns.wait_gone(kind, "camera-leaving")


def test_suspend_takes_the_pod_away_and_keeps_the_rest(ns: NamespaceClient) -> None:
    ns.apply(camera("resting", ns.namespace, suspend=True))
    ns.wait_reason("resting", "Suspended")
    assert ns.wait_for("deployment", "camera-resting")["spec"]["replicas"] == 0
    assert ns.condition("resting", "Stalled")["status"] == "False"
    ns.apply(camera("resting", ns.namespace, suspend=False))
    wait_until(lambda: (ns.find("deployment", "camera-resting") or {})["spec"]["replicas"] == 1, 20, "one pod again")


def test_whatever_somebody_changes_or_deletes_is_put_right(ns: NamespaceClient) -> None:
    ns.apply(camera("touched", ns.namespace))
    kubectl, here = ns.cluster.kubectl, ("-n", ns.namespace)

    def uid(kind: str) -> str:
        return str((ns.find(kind, "camera-touched") or {}).get("metadata", {}).get("uid", ""))

    ns.wait_for("deployment", "camera-touched")
    before = {kind: uid(kind) for kind in CHILDREN}
    kubectl("scale", "deployment", "camera-touched", "--replicas=3", *here)
    wait_until(lambda: (ns.find("deployment", "camera-touched") or {})["spec"]["replicas"] == 1, 20, "one replica")
    kubectl("set", "image", "deployment/camera-touched", "stream=evil:1", *here)

    def image() -> str:
        found = ns.find("deployment", "camera-touched") or {}
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    wait_until(lambda: image() == IMAGE, 20, "our image again")
    kubectl("patch", "configmap", "camera-touched", "--type=merge", "-p", '{"data":{"camera.json":"{}"}}', *here)
    wait_until(
        lambda: '"name": "touched"' in (ns.find("configmap", "camera-touched") or {})["data"]["camera.json"],
        20,
        "our text again",
    )

    def another(kind: str) -> bool:
        return uid(kind) not in {"", before[kind]}

    for kind in CHILDREN:
        kubectl("delete", kind, "camera-touched", "--wait=false", *here)
    for kind in CHILDREN:
        wait_until(partial(another, kind), 30, f"another {kind}")


def test_a_secret_that_comes_later_starts_the_camera_by_itself(ns: NamespaceClient) -> None:
    ns.apply(camera("secured", ns.namespace, source={"credentialsSecretRef": {"name": "login"}}))
    message = ns.wait_reason("secured", "SecretNotFound")["message"]
    assert "login" in message
    assert ns.namespace in message
    assert ns.condition("secured", "Stalled")["status"] == "True"
    assert ns.find("deployment", "camera-secured") is None
    ns.cluster.apply(secret("login", ns.namespace, user="admin", password="x"))
    message = ns.wait_reason("secured", "SecretKeyMissing")["message"]
    assert "username" in message
    assert "password, user" in message
    ns.cluster.apply(secret("login", ns.namespace, username="admin", password=""))
    wait_until(lambda: "empty, password" in ns.condition("secured").get("message", ""), 20, "an empty key is reported")
    ns.cluster.apply(secret("login", ns.namespace, username="admin", password="x"))
    ns.wait_for("deployment", "camera-secured")
    ns.wait_reason("secured", "PodPending")
    before = ns.config_hash("secured")
    ns.cluster.apply(secret("login", ns.namespace, username="admin", password="y"))
    wait_until(lambda: ns.config_hash("secured") != before, 20, "a new password, a new pod")
    ns.cluster.kubectl("delete", "secret", "login", "-n", ns.namespace)
    ns.wait_reason("secured", "SecretNotFound")
    assert ns.find("deployment", "camera-secured") is not None, "what runs goes on running"


def test_a_secret_that_no_camera_may_name_is_never_sent(ns: NamespaceClient) -> None:
    """The right to create Cameras is not the right to read every Secret; a label that is removed ends the pod."""
    ns.cluster.apply(secret("payroll", ns.namespace, None, username="admin", password="planted"))
    ns.apply(camera("curious", ns.namespace, source={"credentialsSecretRef": {"name": "payroll"}}))
    message = ns.wait_reason("curious", "SecretNotReadable")["message"]
    assert "username" not in message, "not even its keys are shown"
    assert ns.find("deployment", "camera-curious") is None
    command = message.partition("permit it: kubectl ")[2].split()
    ns.cluster.kubectl(*command)
    assert ns.wait_for("deployment", "camera-curious")["spec"]["replicas"] == 1
    ns.wait_reason("curious", "PodPending")
    ns.cluster.kubectl("label", "secret", "payroll", "-n", ns.namespace, "vigil.dev/readable-by-")
    ns.wait_reason("curious", "SecretNotReadable")
    wait_until(lambda: ns.wait_for("deployment", "camera-curious")["spec"]["replicas"] == 0, 20, "no pod keeps it")


def test_no_value_is_sent_of_a_secret_that_may_not_be_read(ns: NamespaceClient) -> None:
    """What is watched of an unlabelled Secret is its metadata; `kubectl apply` alone would put values into that."""
    ns.cluster.kubectl("create", "-f", "-", input=secret("unread", ns.namespace, None, password="never-sent"))

    async def received() -> str:
        context = await context_of(ns.cluster)
        try:
            objects, version = await context.api.list(Kind.SECRET, ns.namespace, metadata_only=True)
            ns.cluster.kubectl("label", "secret", "unread", "-n", ns.namespace, "seen=now")
            stream = context.api.watch(Kind.SECRET, ns.namespace, version, metadata_only=True)
            async with asyncio.timeout(20), aclosing(stream):
                return json.dumps([objects, await anext(stream)])
        finally:
            await context.api.close()

    text = asyncio.run(received())
    assert text.count('"unread"') == 2
    assert base64.b64encode(b"never-sent").decode() not in text


def test_a_key_in_the_url_comes_from_the_secret_alone(ns: NamespaceClient) -> None:
    """Case secret-in-query: no child of the Camera holds the value, and a new value starts a new pod."""
    ns.cluster.apply(secret("keyed", ns.namespace, username="admin", password="x"))
    url = "rtsp://10.0.0.5:554/1?token={token}"
    ns.apply(camera("keyed", ns.namespace, source={"url": url, "credentialsSecretRef": {"name": "keyed"}}))
    message = ns.wait_reason("keyed", "SecretKeyMissing")["message"]
    assert message.endswith("lacks, or leaves empty, token; it has the keys: password, username")
    ns.cluster.apply(secret("keyed", ns.namespace, token="planted"))
    children = [ns.wait_for(kind, "camera-keyed") for kind in CHILDREN]
    ns.wait_reason("keyed", "PodPending")
    assert url in json.dumps(children)
    assert "planted" not in json.dumps([*children, ns.find("camera", "keyed")])
    before = ns.config_hash("keyed")
    ns.cluster.apply(secret("keyed", ns.namespace, token="another"))
    wait_until(lambda: ns.config_hash("keyed") != before, 20, "a new value, a new pod")


@pytest.mark.parametrize("kind", ["serviceaccount", "configmap", "networkpolicy"])
def test_foreign_objects_are_left_and_outlive_the_camera(ns: NamespaceClient, kind: str) -> None:
    child = f"camera-taken-{kind}"
    group = "networking.k8s.io/v1" if kind == "networkpolicy" else "v1"
    names = {"serviceaccount": "ServiceAccount", "configmap": "ConfigMap", "networkpolicy": "NetworkPolicy"}
    theirs = {"apiVersion": group, "kind": names[kind], "metadata": {"name": child, "namespace": ns.namespace}}
    ns.apply(theirs | ({"spec": {"podSelector": {}}} if kind == "networkpolicy" else {}))
    before = ns.wait_for(kind, child)
    ns.apply(camera(f"taken-{kind}", ns.namespace))
    message = ns.wait_reason(f"taken-{kind}", "ApplyConflict")["message"]
    assert f"{names[kind]} {child}: one of that name is there already and is not Vigil's" in message
    ns.cluster.kubectl("delete", "camera", f"taken-{kind}", "-n", ns.namespace)
    ns.wait_gone("camera", f"taken-{kind}")
    assert ns.find(kind, child) == before


def test_what_another_controller_owns_is_not_removed(ns: NamespaceClient) -> None:
    owner = ns.wait_for("serviceaccount", "default")["metadata"]
    reference = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "default", "uid": owner["uid"]}
    metadata = {"name": "camera-rented", "namespace": ns.namespace, "ownerReferences": [reference]}
    ns.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    before = ns.wait_for("configmap", "camera-rented")
    ns.apply(camera("rented", ns.namespace))
    ns.wait_reason("rented", "ApplyConflict")
    assert ns.find("configmap", "camera-rented") == before


def test_a_deleted_site_is_reported_and_the_pod_goes_on(ns: NamespaceClient) -> None:
    ns.apply(site("default", ns.namespace), camera("placed", ns.namespace, siteRef={"name": "default"}))
    ns.wait_for("deployment", "camera-placed")
    ns.cluster.kubectl("delete", "site", "default", "-n", ns.namespace)
    message = ns.wait_reason("placed", "SiteNotFound")["message"]
    assert "default" in message
    assert ns.find("deployment", "camera-placed") is not None
    ns.apply(site("default", ns.namespace, retention={"sightings": "7d"}))
    ns.wait_reason("placed", "PodPending")
    ns.apply(camera("placed", ns.namespace, siteRef={"name": "default"}, retention={"sightings": "8d"}))
    assert "8d is longer than the 7d" in ns.wait_reason("placed", "RetentionLongerThanSite")["message"]
    ns.cluster.kubectl("delete", "site", "default", "-n", ns.namespace)


def test_a_camera_of_a_site_that_nobody_serves_says_so(ns: NamespaceClient) -> None:
    ns.apply(site("elsewhere", ns.namespace), camera("away", ns.namespace, siteRef={"name": "elsewhere"}))
    ns.wait_reason("away", "SiteNotServed")


def test_of_two_cameras_on_one_usb_device_the_younger_says_so(ns: NamespaceClient) -> None:
    usb = {"type": "USB", "url": "/dev/video0"}
    ns.apply(camera("desk", ns.namespace, source=usb))
    deployment = ns.wait_for("deployment", "camera-desk")
    limits = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["test/video"] == "1"
    ns.apply(camera("desk-copy", ns.namespace, source=usb))
    assert "/desk" in ns.wait_reason("desk-copy", "DeviceInUse")["message"]
    ns.cluster.kubectl("delete", "camera", "desk", "-n", ns.namespace)
    ns.wait_for("deployment", "camera-desk-copy")
    ns.wait_reason("desk-copy", "PodPending")


def test_a_usb_device_without_a_plugin_is_reported(ns: NamespaceClient) -> None:
    ns.apply(camera("webcam", ns.namespace, source={"type": "USB", "url": "/dev/video7"}))
    assert "VIGIL_USB_RESOURCES" in ns.wait_reason("webcam", "PodUnschedulable")["message"]


def test_a_quickly_recreated_camera_gets_its_own_children(ns: NamespaceClient) -> None:
    ns.apply(camera("twice", ns.namespace))
    first = ns.wait_for("deployment", "camera-twice")["metadata"]["uid"]
    ns.cluster.kubectl("delete", "camera", "twice", "-n", ns.namespace)
    ns.apply(camera("twice", ns.namespace, url="rtsp://10.0.0.6/other"))
    uid = (ns.find("camera", "twice") or {})["metadata"]["uid"]

    def owned(kind: str) -> bool:
        found = ns.find(kind, "camera-twice") or {"metadata": {}}
        return {one["uid"] for one in found["metadata"].get("ownerReferences", [])} == {uid}

    for kind in CHILDREN:
        wait_until(partial(owned, kind), 60, f"{kind} of the new Camera")
    assert (ns.find("deployment", "camera-twice") or {})["metadata"]["uid"] != first
    ns.wait_reason("twice", "PodPending")


def test_a_renamed_camera_leaves_nothing_under_its_old_name(ns: NamespaceClient) -> None:
    ns.apply(camera("old-name", ns.namespace))
    ns.wait_for("deployment", "camera-old-name")
    ns.cluster.kubectl("delete", "camera", "old-name", "-n", ns.namespace, "--wait=false")
    ns.apply(camera("new-name", ns.namespace))
    ns.wait_for("deployment", "camera-new-name")
    for kind in CHILDREN:
        ns.wait_gone(kind, "camera-old-name")


def test_a_camera_deleted_while_it_starts_leaves_nothing(ns: NamespaceClient) -> None:
    for number in range(5):
        ns.apply(camera(f"fleeting-{number}", ns.namespace))
        ns.cluster.kubectl("delete", "camera", f"fleeting-{number}", "-n", ns.namespace, "--wait=false")
    for number in range(5):
        for kind in CHILDREN:
            ns.wait_gone(kind, f"camera-fleeting-{number}")


def test_a_change_that_a_hand_made_in_the_status_is_put_right(ns: NamespaceClient) -> None:
    ns.apply(camera("flattered", ns.namespace))
    before = ns.wait_reason("flattered", "PodPending")
    lie = [{**before, "status": "True", "reason": "Streaming", "message": "all is well"}]
    patch = json.dumps({"status": {"conditions": lie, "site": "nowhere"}})
    kubectl = ns.cluster.kubectl
    kubectl("patch", "camera", "flattered", "-n", ns.namespace, "--subresource=status", "--type=merge", "-p", patch)
    ns.wait_reason("flattered", "PodPending")
    wait_until(lambda: (ns.find("camera", "flattered") or {})["status"]["site"] == "default", 10, "the true Site")
    assert len((ns.find("camera", "flattered") or {})["status"]["conditions"]) == 7


def test_a_status_that_a_hand_wiped_is_written_again(ns: NamespaceClient) -> None:
    ns.apply(camera("wiped", ns.namespace, suspend=True))
    ns.wait_reason("wiped", "Suspended")
    wipe = json.dumps([{"op": "remove", "path": "/status"}])
    for _ in range(2):
        ns.cluster.kubectl(
            "patch", "camera", "wiped", "-n", ns.namespace, "--subresource=status", "--type=json", "-p", wipe
        )
        ns.wait_reason("wiped", "Suspended")


def test_admission_is_by_priority_and_names_the_numbers(api_cluster: ApiCluster, tmp_path: Path) -> None:
    ns = NamespaceClient.fresh(api_cluster, "budget")
    ns.apply(site("default", ns.namespace, inference={"detectionsPerSecond": 10}))
    ns.apply(camera("first", ns.namespace), camera("second", ns.namespace))
    with operating(api_cluster, ns.namespace, tmp_path):
        ns.wait_for("deployment", "camera-first")
        ns.wait_for("deployment", "camera-second")
        ns.apply(camera("low", ns.namespace))
        message = ns.wait_reason("low", "InsufficientInferenceCapacity")["message"]
        assert "it needs 5 reference detections per second, and of the Site's 10 10 are taken by 2" in message
        assert "lower sampling.fps" in message, "what to do"
        assert ns.find("deployment", "camera-low") is None
        ns.apply(camera("high", ns.namespace, scheduling={"priority": 100}))
        ns.wait_reason("high", "InsufficientInferenceCapacity")
        api_cluster.kubectl("delete", "camera", "first", "-n", ns.namespace)
        ns.wait_for("deployment", "camera-high")
        ns.wait_reason("low", "InsufficientInferenceCapacity")
        ns.apply(site("default", ns.namespace, inference={"detectionsPerSecond": 20}))
        ns.wait_for("deployment", "camera-low")
