"""Objects that are gone, and objects of a kind that is not served, of which nothing is known."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import Kubelet, NamespaceClient, Operator, camera, listed, operating
from tests.support.waiting import eventually, wait_until

from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import Api, connect
from vigil_operator.kube.errors import AwayError
from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.kube.watch import Scope, Watch
from vigil_operator.metrics import Metrics

pytestmark = pytest.mark.cluster

CRD = "cameras.vigil.dev"
MONITORS = "podmonitors.monitoring.coreos.com"
COLLECTOR = "kube-controller-manager"
"""Its garbage collector removes what a Camera owned; it is stopped to see what the operator does by itself."""


@asynccontextmanager
async def asking(cluster: ApiCluster) -> AsyncIterator[tuple[Api, Cache]]:
    cache = Cache()
    api = Api(await connect(str(cluster.kubeconfig)), cache, Metrics())
    try:
        yield api, cache
    finally:
        await api.close()


def is_gone(cluster: ApiCluster, key: Key) -> bool:
    async def ask() -> bool:
        async with asking(cluster) as (api, _):
            return await api.is_gone(key)

    return asyncio.run(ask())


def unserved(cluster: ApiCluster, key: Key) -> str:
    """Return the error of the API server when it cannot decide whether an object is there; empty when it can."""
    try:
        is_gone(cluster, key)
    except AwayError as error:
        return str(error)
    return ""


def serve(cluster: ApiCluster, crd: str = CRD, *, served: bool) -> None:
    """Make the API server serve a kind, or no longer."""
    patch = json.dumps([{"op": "replace", "path": "/spec/versions/0/served", "value": served}])
    cluster.kubectl("patch", "crd", crd, "--type=json", "-p", patch)


def test_an_object_is_gone_only_if_its_kind_is_served(own_api_cluster: ApiCluster) -> None:
    cluster = own_api_cluster
    there, absent = Key(Kind.CAMERA, "default", "there"), Key(Kind.CAMERA, "default", "absent")
    assert "serves no cameras of vigil.dev/v1alpha1" in unserved(cluster, there), "no CRD yet"
    cluster.install_crds()
    cluster.apply(listed(camera("there", "default")))
    assert not is_gone(cluster, there)
    assert is_gone(cluster, absent)
    assert is_gone(cluster, Key(Kind.CAMERA, "no-such-namespace", "there"))
    assert is_gone(cluster, Key(Kind.SECRET, "default", "absent")), "of Kubernetes' own kinds too"
    serve(cluster, served=False)
    wait_until(lambda: unserved(cluster, there), 30, "Cameras are not served")
    assert unserved(cluster, absent)
    serve(cluster, served=True)
    wait_until(lambda: not unserved(cluster, there), 30, "Cameras are served again")
    assert not is_gone(cluster, there)
    assert is_gone(cluster, absent)
    cluster.kubectl("delete", "crd", CRD)
    wait_until(lambda: unserved(cluster, there), 30, "the CRD is gone")


def install_monitors(cluster: ApiCluster, *names: str) -> None:
    """Install the CRD of PodMonitors as far as a watch needs it, and make some."""
    plural, _, group = MONITORS.partition(".")
    loose = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": MONITORS},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": "PodMonitor"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": loose}],
        },
    }
    cluster.apply(json.dumps(crd))
    cluster.kubectl("wait", "--for=condition=Established", "crd", MONITORS, "--timeout=30s")
    monitors = [{"apiVersion": f"{group}/v1", "kind": "PodMonitor", "metadata": {"name": name}} for name in names]
    wait_until(
        lambda: cluster.kubectl("apply", "-f", "-", input=listed(*monitors), check=False).returncode == 0,
        30,
        "PodMonitors are served",
    )


async def test_a_watch_keeps_objects_while_their_kind_is_unserved(
    own_api_cluster: ApiCluster,
) -> None:
    """It compares them with a list when the kind is served again."""
    cluster = own_api_cluster
    await asyncio.to_thread(install_monitors, cluster, "stays", "goes")
    async with asking(cluster) as (api, cache):
        watch = Watch(api, cache, Metrics(), Scope(Kind.POD_MONITOR, "default"))
        running = asyncio.create_task(watch.run())

        def names() -> set[str]:
            return {key.name for key in cache.keys(Kind.POD_MONITOR)}

        def uid() -> str:
            found = cache.get(Key(Kind.POD_MONITOR, "default", "stays"))
            return str(found["metadata"]["uid"]) if found is not None else ""

        try:
            await eventually(lambda: names() == {"stays", "goes"}, 30, "both are seen")
            before = uid()
            await asyncio.to_thread(serve, cluster, MONITORS, served=False)
            await eventually(lambda: "podmonitors" in watch.error, 90, "it says what it cannot watch")
            assert names() == {"stays", "goes"}
            await asyncio.to_thread(cluster.kubectl, "delete", "crd", MONITORS)
            assert names() == {"stays", "goes"}
            await asyncio.to_thread(install_monitors, cluster, "stays")
            await eventually(lambda: names() == {"stays"} and uid() != before, 60, "it is compared")
            await eventually(lambda: not watch.error, 60, "it is well again, though nothing happens")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def deployment(ns: NamespaceClient, name: str) -> tuple[str, str, str]:
    """Return what differs when a Camera's Deployment is another one, or was changed."""
    found = ns.find("deployment", f"camera-{name}") or {"metadata": {"uid": "", "generation": 0}, "spec": {}}
    template = json.dumps(found["spec"].get("template"), sort_keys=True)
    return found["metadata"]["uid"], str(found["metadata"]["generation"]), template


def missing(operator: Operator) -> bool:
    return CRD in operator.ready().get("resources", "")


@pytest.mark.timeout(400)
def test_cameras_keep_their_pods_while_their_kind_is_unserved(own_api_cluster: ApiCluster, tmp_path: Path) -> None:
    """They are compared with a list when the kind is served again."""
    cluster, ns = own_api_cluster, NamespaceClient.fresh(own_api_cluster, "absence")
    crd = cluster.get("crd", CRD)
    with operating(cluster, ns.namespace, tmp_path) as operator:
        ns.apply(camera("stays", ns.namespace), camera("goes", ns.namespace))
        ns.wait_for("deployment", "camera-stays")
        ns.wait_for("deployment", "camera-goes")
        cluster.stop_program(COLLECTOR)
        before = deployment(ns, "stays")
        other = {**crd["spec"]["versions"][0], "name": "v1alpha2", "storage": False}
        versions = [{**crd["spec"]["versions"][0], "served": False}, other]
        cluster.kubectl("patch", "crd", CRD, "--type=merge", "-p", json.dumps({"spec": {"versions": versions}}))
        kubelet = Kubelet(operator)
        kubelet.wait_until(lambda: missing(operator), 60, "it reports what is missing")
        gone = ("delete", f"cameras.v1alpha2.{CRD.partition('.')[2]}", "goes", "-n", ns.namespace)
        wait_until(lambda: cluster.kubectl(*gone, check=False).returncode == 0, 30, "a Camera is deleted meanwhile")
        end = time.monotonic() + 45
        kubelet.wait_until(lambda: time.monotonic() > end, 60, "a while without Cameras")
        assert deployment(ns, "stays") == before
        assert deployment(ns, "goes")[0], "nobody has said that it is gone"
        serve(cluster, served=True)
        kubelet.wait_until(lambda: len(kubelet.ended) == 2 and operator.leads(), 60, "it watches Cameras again")
        ns.wait_gone("deployment", "camera-goes", 90)
        assert kubelet.ended == [69, 69], "once when Cameras went, once when they came back"
        assert deployment(ns, "stays") == before
        ns.apply(camera("stays", ns.namespace, sampling={"fps": 3}))
        wait_until(lambda: deployment(ns, "stays")[2] != before[2], 30, "the Camera is still looked after")
        assert deployment(ns, "stays")[0] == before[0]
        assert "Traceback" not in operator.log


@pytest.mark.timeout(400)
def test_a_removed_crd_ends_the_operator_until_it_is_back(own_api_cluster: ApiCluster, tmp_path: Path) -> None:
    cluster, ns = own_api_cluster, NamespaceClient.fresh(own_api_cluster, "absence")
    with operating(cluster, ns.namespace, tmp_path) as operator:
        ns.apply(camera("again", ns.namespace), camera("never", ns.namespace))
        ns.wait_for("deployment", "camera-again")
        ns.wait_for("deployment", "camera-never")
        cluster.stop_program(COLLECTOR)
        before = deployment(ns, "again")
        cluster.kubectl("delete", "crd", CRD)
        kubelet = Kubelet(operator)
        kubelet.wait_until(lambda: kubelet.ended, 60, "it ends")
        last = operator.log.splitlines()[-1]
        assert last.startswith("vigil-operator: ")
        assert "CRDs" in last or "serves" in last
        kubelet.wait_until(lambda: missing(operator), 60, "started again, it reports what is missing")
        assert operator.ask("/readyz")[0] == 503
        assert operator.ask("/healthz")[0] == 200
        cluster.install_crds()
        ns.apply(camera("again", ns.namespace))
        kubelet.wait_until(lambda: deployment(ns, "again")[0] not in {"", before[0]}, 120, "it has its own")
        kubelet.wait_until(lambda: ns.find("deployment", "camera-never") is None, 120, "the other's is gone")
        kubelet.wait_until(operator.leads, 60, "it is well again")
        assert kubelet.ended == [69, 69], "once when the CRD went, once when it came back"
        assert "Traceback" not in operator.log


@pytest.mark.timeout(400)
def test_cameras_deleted_with_their_crd_are_found_gone(own_api_cluster: ApiCluster, tmp_path: Path) -> None:
    """The operator could not watch when they were deleted."""
    cluster, ns = own_api_cluster, NamespaceClient.fresh(own_api_cluster, "absence")
    with operating(cluster, ns.namespace, tmp_path, VIGIL_LEASE_S="120") as operator:
        ns.apply(camera("again", ns.namespace), camera("never", ns.namespace))
        ns.wait_for("deployment", "camera-again")
        ns.wait_for("deployment", "camera-never")
        cluster.stop_program(COLLECTOR)
        before = deployment(ns, "again")
        operator.signal(signal.SIGSTOP)
        cluster.restart("kube-apiserver")  # what its watches would still have received is lost
        cluster.kubectl("delete", "crd", CRD)
        cluster.install_crds()
        ns.apply(camera("again", ns.namespace))
        operator.signal(signal.SIGCONT)
        kubelet = Kubelet(operator)
        kubelet.wait_until(lambda: deployment(ns, "again")[0] not in {"", before[0]}, 120, "it has its own")
        kubelet.wait_until(lambda: ns.find("deployment", "camera-never") is None, 120, "the other's is gone")
        kubelet.wait_until(operator.leads, 60, "it is well again")
        assert "Traceback" not in operator.log
