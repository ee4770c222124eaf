"""What happens to the operator itself: killed, doubled, cut off, fought, left in peace."""

import json
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.cluster.streams import Stream, running_container
from tests.support.kubernetes.api import ApiCluster
from tests.support.kubernetes.audit import Request
from tests.support.operators import Kubelet, NamespaceClient, Operator, camera, operating, settings
from tests.support.servers import NatsServer
from tests.support.shared import ROOT
from tests.support.waiting import wait_until

from vigil_cli.standalone.servers.ports import LOOPBACK
from vigil_contracts.conditions import FitnessReason, SourceReason
from vigil_contracts.events import CameraState

pytestmark = pytest.mark.cluster

CONFLICT_S = 20.0
CONFLICT_TRIES = 8
"""Pauses that begin with half a second and are doubled leave room for six tries in that time."""
AWAY_S = 30.0
"""Longer than the shipped Lease lasts and its renewal takes, so that the operator ends and starts into nothing."""
USER = "the-operator"
"""The operator's user in these clusters, by which the audit log distinguishes its requests."""


def as_operator(cluster: ApiCluster) -> dict[str, str]:
    return {"KUBECONFIG": str(cluster.kubeconfig_for(USER, ["system:masters"]))}


def writes(cluster: ApiCluster, since: int) -> list[Request]:
    """List what the operator wrote, leaving out its Lease, which it renews by design."""
    return [one for one in cluster.requests(since) if one.user == USER and one.is_write and one.resource != "leases"]


def wait_quietly(seconds: float) -> None:
    """Let time pass in which nothing is to happen."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, seconds + 30, "a while in peace", poll_s=1)


def deployments(ns: NamespaceClient) -> dict[str, dict[str, str]]:
    found = ns.all("deployments", "app.kubernetes.io/managed-by=vigil-operator")
    return {
        one["metadata"]["name"]: {
            "uid": one["metadata"]["uid"],
            "generation": str(one["metadata"]["generation"]),
            "template": json.dumps(one["spec"]["template"], sort_keys=True),
        }
        for one in found
    }


@pytest.mark.timeout(400)
def test_a_killed_operator_converges_and_restarts_nothing(api_cluster: ApiCluster, tmp_path: Path) -> None:
    """It is killed in the middle of fifty applies."""
    ns = NamespaceClient.fresh(api_cluster, "stories")
    names = [f"cam-{number:02d}" for number in range(50)]
    environment = settings(api_cluster, ns.namespace) | as_operator(api_cluster)
    first, second = Operator(tmp_path / "1", environment), Operator(tmp_path / "2", environment)
    try:
        first.start()
        wait_until(first.leads, 30, "the first leads")
        with ThreadPoolExecutor(1) as beside:
            applied = beside.submit(ns.apply, *(camera(name, ns.namespace) for name in names))
            wait_until(lambda: len(deployments(ns)) >= 5, 60, "some are made")
            first.kill()
            applied.result(60)
        before = deployments(ns)
        assert len(before) < 50, "it was killed in the middle"
        mark = api_cluster.audit_size()
        second.start()
        wait_until(lambda: len(deployments(ns)) == 50, 90, "all are made")
        wait_until(
            lambda: all(ready_reasons(ns).get(name) == "PodPending" for name in names), 60, "all have conditions"
        )
        after = deployments(ns)
        assert set(after) == {f"camera-{name}" for name in names}, "no duplicate"
        assert {name: after[name] for name in before} == before, "what was there was not touched"
        again = [one.name for one in writes(api_cluster, mark) if one.resource == "deployments"]
        assert not set(again) & set(before)
        for kind in ("serviceaccounts", "configmaps", "networkpolicies"):
            assert len(ns.all(kind, "vigil.dev/camera")) == 50
    finally:
        first.kill()
        second.kill()


def ready_reasons(ns: NamespaceClient) -> dict[str, str]:
    return {
        one["metadata"]["name"]: next(
            (two["reason"] for two in one.get("status", {}).get("conditions", []) if two["type"] == "Ready"), ""
        )
        for one in ns.all("cameras")
    }


def test_a_standby_takes_over_when_the_leader_ends(api_cluster: ApiCluster, tmp_path: Path) -> None:
    ns = NamespaceClient.fresh(api_cluster, "stories")
    with operating(api_cluster, ns.namespace, tmp_path / "1") as first:
        second = Operator(tmp_path / "2", settings(api_cluster, ns.namespace))
        try:
            second.start()
            wait_until(lambda: "standby" in second.ready().get("lease", ""), 20, "the second waits")
            assert second.ask("/healthz")[0] == 200
            assert second.ask("/readyz")[0] == 200
            assert second.metric("vigil_operator_leader") == 0
            first.stop()
            wait_until(second.leads, 20, "the second leads")
            ns.apply(camera("after", ns.namespace))
            ns.wait_for("deployment", "camera-after")
            assert "Traceback" not in first.log + second.log
        finally:
            second.kill()


def test_an_operator_that_slept_through_its_lease_ends(api_cluster: ApiCluster, tmp_path: Path) -> None:
    """Its last line has the reason."""
    ns = NamespaceClient.fresh(api_cluster, "stories")
    with operating(api_cluster, ns.namespace, tmp_path / "1") as first:
        second = Operator(tmp_path / "2", settings(api_cluster, ns.namespace))
        try:
            second.start()
            first.signal(signal.SIGSTOP)
            wait_until(second.leads, 30, "the second leads")
            first.signal(signal.SIGCONT)
            wait_until(lambda: "was lost" in first.log, 20, "the first says why it ends")
            wait_until(lambda: first.ask("/healthz")[0] == 0, 20, "the first has ended")
            assert second.leads()
        finally:
            second.kill()


def test_who_fights_for_a_field_is_named_and_not_fought_for_ever(own_api_cluster: ApiCluster, tmp_path: Path) -> None:
    api_cluster, ns = own_api_cluster, NamespaceClient.fresh(own_api_cluster, "stories")
    with operating(api_cluster, ns.namespace, tmp_path, **as_operator(api_cluster)):
        ns.apply(camera("fought", ns.namespace))
        ns.wait_for("deployment", "camera-fought")
        theirs = json.dumps(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "camera-fought", "namespace": ns.namespace},
                "spec": {"replicas": 2},
            }
        )
        apply = ("apply", "--server-side", "--force-conflicts", "--field-manager=rival", "-f", "-")

        def fought() -> bool:
            api_cluster.kubectl(*apply, input=theirs)
            return ns.reason("fought") == "ApplyConflict"

        wait_until(fought, 60, "the conflict is reported")
        message = ns.condition("fought")["message"]
        assert "rival" in message
        assert ".spec.replicas" in message
        assert ns.condition("fought", "Stalled")["status"] == "True"
        mark = api_cluster.audit_size()
        wait_quietly(CONFLICT_S)
        tried = writes(api_cluster, mark)
        assert [one for one in tried if one.code < 300] == [], "nothing is taken back"
        assert 0 < len(tried) <= CONFLICT_TRIES, "it tries with growing pauses"
        assert (ns.find("deployment", "camera-fought") or {})["spec"]["replicas"] == 2


def test_a_strangers_deployment_of_that_name_is_left_alone(api_cluster: ApiCluster, tmp_path: Path) -> None:
    ns = NamespaceClient.fresh(api_cluster, "stories")
    kubectl = api_cluster.kubectl
    kubectl("create", "deployment", "camera-taken", "--image=theirs:1", "-n", ns.namespace)
    with operating(api_cluster, ns.namespace, tmp_path):
        ns.apply(camera("taken", ns.namespace))
        assert "not Vigil's" in ns.wait_reason("taken", "ApplyConflict")["message"]
        found = ns.find("deployment", "camera-taken") or {}
        assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "theirs:1"
        assert "ownerReferences" not in found["metadata"]


def wait_for_quiet(count: Callable[[], int]) -> None:
    """Wait until a figure has stayed the same for five seconds."""
    last, since = count(), time.monotonic()
    end = since + 60
    while time.monotonic() - since < 5:
        assert time.monotonic() < end, "it never becomes quiet"
        if (now := count()) != last:
            last, since = now, time.monotonic()
        time.sleep(0.2)


def forget_history(cluster: ApiCluster) -> None:
    """Forget what has changed, as an API server does after five minutes: no watch goes on from before."""
    etcd = f"http://{LOOPBACK}:{cluster.place.ports.etcd}/v3/kv"
    now = httpx.post(f"{etcd}/range", json={"key": "AA=="}, timeout=10).raise_for_status().json()["header"]["revision"]
    httpx.post(f"{etcd}/compaction", json={"revision": now}, timeout=10).raise_for_status()
    cluster.restart("kube-apiserver")


@pytest.mark.timeout(400)
def test_a_long_api_outage_ends_the_operator_and_no_pod(own_api_cluster: ApiCluster, tmp_path: Path) -> None:
    """The API server is away for longer than the Lease lasts."""
    cluster, ns = own_api_cluster, NamespaceClient.fresh(own_api_cluster, "stories")
    environment = settings(cluster, ns.namespace) | as_operator(cluster)
    del environment["VIGIL_LEASE_S"]  # as it is shipped
    operator = Operator(tmp_path, environment)
    kubelet = Kubelet(operator)
    try:
        operator.start()
        wait_until(operator.leads, 30, "the operator leads")
        ns.apply(camera("stays", ns.namespace))
        pod = ns.pod("stays")["metadata"]["uid"]
        ns.wait_reason("stays", "PodPending")
        wait_for_quiet(lambda: len(writes(cluster, 0)))
        before, mark = deployments(ns), cluster.audit_size()
        cluster.stop_program("kube-apiserver")
        back_at = time.monotonic() + AWAY_S
        kubelet.wait_until(lambda: not operator.ready().get("ok"), 60, "it says that the API server is away")
        assert operator.ask("/healthz")[0] == 200
        kubelet.wait_until(lambda: kubelet.ended, 60, "it ends before another could have its Lease")
        assert "was lost" in operator.log
        assert operator.log.count("kopf's requests fail") == 1
        kubelet.wait_until(lambda: "cannot be acquired" in operator.log, 60, "started again, it waits for the API")
        kubelet.wait_until(lambda: time.monotonic() > back_at, AWAY_S + 30, "the Lease is long over")
        cluster.start_program("kube-apiserver")
        ns.apply(camera("comes", ns.namespace))
        kubelet.wait_until(operator.leads, 90, "it leads again")
        kubelet.wait_until(lambda: ns.reason("comes") == "PodPending", 60, "it looks after Cameras again")
        assert kubelet.ended == [1], "it ended once, with the Lease"
        assert [(one.resource, one.name) for one in writes(cluster, mark) if "stays" in one.name] == []
        assert deployments(ns)["camera-stays"] == before["camera-stays"]
        assert ns.pod("stays")["metadata"]["uid"] == pod
        assert "Traceback" not in operator.log
    finally:
        operator.kill()


@pytest.mark.timeout(400)
def test_the_last_camera_is_missed_though_no_list_tells_of_any(own_api_cluster: ApiCluster, tmp_path: Path) -> None:
    cluster, ns = own_api_cluster, NamespaceClient.fresh(own_api_cluster, "stories")
    with operating(cluster, ns.namespace, tmp_path, VIGIL_LEASE_S="120") as operator:
        ns.apply(camera("last", ns.namespace))
        ns.wait_for("deployment", "camera-last")
        cluster.stop_program("kube-controller-manager")
        cluster.stop_program("kube-apiserver")
        operator.signal(signal.SIGSTOP)
        cluster.start_program("kube-apiserver")
        cluster.kubectl("delete", "camera", "last", "-n", ns.namespace)
        forget_history(cluster)
        operator.signal(signal.SIGCONT)
        ns.wait_gone("deployment", "camera-last", 120)
        wait_until(operator.leads, 60, "it is well again")


@pytest.mark.timeout(400)
def test_it_outlives_an_api_server_that_hangs(own_api_cluster: ApiCluster, tmp_path: Path) -> None:
    ns = NamespaceClient.fresh(own_api_cluster, "stories")
    with operating(own_api_cluster, ns.namespace, tmp_path, VIGIL_LEASE_S="300") as operator:
        ns.apply(camera("before", ns.namespace))
        ns.wait_for("deployment", "camera-before")
        own_api_cluster.cut()
        try:
            wait_until(lambda: "secrets" in operator.ready().get("watches", ""), 150, "it says what it cannot watch")
            assert operator.ask("/healthz")[0] == 200
        finally:
            own_api_cluster.mend()
        wait_until(operator.leads, 90, "it is well again, though no Secret is touched")
        ns.apply(camera("after", ns.namespace))
        ns.wait_for("deployment", "camera-after", 120)


def test_sigterm_ends_the_operator_and_returns_the_lease(api_cluster: ApiCluster, tmp_path: Path) -> None:
    ns = NamespaceClient.fresh(api_cluster, "stories")
    with operating(api_cluster, ns.namespace, tmp_path) as operator:
        operator.signal(signal.SIGTERM)
        wait_until(lambda: "stopped" in operator.log, 30, "it has stopped")
        holder = api_cluster.get("lease", "vigil-operator", ns.namespace)["spec"].get("holderIdentity", "")
        assert holder == ""
        assert "Traceback" not in operator.log


def test_conditions_follow_the_heartbeats(api_cluster: ApiCluster, own_nats: NatsServer, tmp_path: Path) -> None:
    ns = NamespaceClient.fresh(api_cluster, "stories")
    bus = {"VIGIL_NATS_URL": own_nats.url, "VIGIL_NATS_TOKEN": own_nats.token}
    running = {"phase": "Running", "containerStatuses": [running_container()]}
    address = "rtsp://10.0.0.5/user=PLANTED_password=PLANTED/1?token=PLANTED"
    with operating(api_cluster, ns.namespace, tmp_path, **bus) as operator:
        ns.apply(camera("talks", ns.namespace, source={"url": address}))
        pod = ns.pod("talks")["metadata"]["name"]
        ns.set_pod_status(pod, running)
        ns.wait_reason("talks", "Starting")
        stream = Stream(own_nats, ns, "talks")
        stream.says(CameraState.STREAMING, SourceReason.CONNECTED, fitness=FitnessReason.MEASURED)
        assert ns.wait_reason("talks", "Streaming")["status"] == "True"
        assert ns.condition("talks", "FitForRecognition")["status"] == "True"
        assert ns.condition("talks", "Reconciling")["status"] == "False"
        since = ns.condition("talks")["lastTransitionTime"]
        stream.says(CameraState.RECONNECTING, SourceReason.UNREACHABLE, message=f"{address} is away: try again")
        condition = ns.wait_reason("talks", "Unreachable")
        assert condition["message"] == "rtsp://10.0.0.5/user=…/1?… is away: try again"
        assert ns.condition("talks", "SourceReachable")["status"] == "False"
        assert condition["lastTransitionTime"] >= since
        assert ns.wait_reason("talks", "NoHeartbeat", 40)["status"] == "False"
        status = json.dumps((ns.find("camera", "talks") or {})["status"])
        others = api_cluster.kubectl("get", "events,deployments,pods", "-n", ns.namespace, "-o", "json").stdout
        assert "PLANTED" not in status + others + operator.log
    # The last word is kept by JetStream: an operator that starts now reads it.
    stream.says(CameraState.STREAMING, SourceReason.CONNECTED)
    with operating(api_cluster, ns.namespace, tmp_path, **bus):
        assert ns.wait_reason("talks", "Streaming")["status"] == "True"
        own_nats.running.kill()
        assert ns.wait_reason("talks", "BusUnreachable", 60)["status"] == "Unknown"


def test_a_wrong_variable_is_named_without_its_value(tmp_path: Path) -> None:
    operator = Operator(tmp_path, {"VIGIL_NAMESPACES": "Not A Name", "VIGIL_LEASE_S": "soon"})
    with pytest.raises(AssertionError, match="ended with 2") as raised:
        operator.start()
    assert "VIGIL_LEASE_S" in str(raised.value)
    assert "soon" not in str(raised.value)


def test_a_taken_port_is_reported(api_cluster: ApiCluster, own_nats: NatsServer, tmp_path: Path) -> None:
    operator = Operator(tmp_path, settings(api_cluster, "default"))
    taken = own_nats.url.rpartition(":")[2]
    operator.running.spec.env.update(VIGIL_HTTP_PORT=taken)  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match="ended with 74") as raised:
        operator.start()
    assert f"{LOOPBACK}" in str(raised.value)


@pytest.mark.timeout(300)
def test_a_camera_of_another_schema_is_reported_and_goes_on(own_api_cluster: ApiCluster, tmp_path: Path) -> None:
    ns = NamespaceClient.fresh(own_api_cluster, "stories")
    crd = own_api_cluster.get("crd", "cameras.vigil.dev")
    with operating(own_api_cluster, ns.namespace, tmp_path) as operator:
        ns.apply(camera("aged", ns.namespace))
        ns.wait_for("deployment", "camera-aged")
        before = deployments(ns)["camera-aged"]
        loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        open_schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": loose, "status": loose}}}
        names = {name: crd["spec"][name] for name in ("group", "names", "scope")}
        version = {"name": "v1alpha1", "served": True, "storage": True, "subresources": {"status": {}}}
        patch = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "cameras.vigil.dev"},
            "spec": {**names, "versions": [{**version, "schema": open_schema}]},
        }
        own_api_cluster.kubectl("replace", "-f", "-", input=json.dumps(patch))
        broken = json.dumps({"spec": {"source": {"type": "Pigeon", "url": "x"}, "sampling": {"fps": 900}}})

        def spoiled() -> bool:
            done = own_api_cluster.kubectl(
                *("patch", "camera", "aged", "-n", ns.namespace, "--type=merge", "-p", broken), check=False
            )
            return done.returncode == 0

        wait_until(spoiled, 30, "the loose schema is served")
        own_api_cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
        message = ns.wait_reason("aged", "InvalidSpec", 60)["message"]
        assert "spec.source.type" in message
        assert "spec.sampling.fps" in message
        assert ns.condition("aged", "Stalled")["status"] == "True"
        assert deployments(ns)["camera-aged"] == before
        assert "Traceback" not in operator.log
