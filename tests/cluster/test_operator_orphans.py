"""What a Camera leaves is removed only when the API server says that the Camera is gone, whatever the operator saw."""

import asyncio
import json
from collections.abc import Awaitable

import pytest
from tests.cluster.operator_in_process import context_of
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import NamespaceClient as Namespace
from tests.support.operators import camera, listed, secret
from tests.support.waiting import eventually

from vigil_operator.kube.errors import AwayError
from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.reconcile.camera import orphans
from vigil_operator.reconcile.camera.memory import CameraMemories
from vigil_operator.reconcile.camera.reconciler import CameraReconciler
from vigil_operator.reconcile.context import ReconcileContext

pytestmark = pytest.mark.cluster


def serve(cluster: ApiCluster, *, served: bool) -> None:
    """Make the API server serve Cameras, or no longer."""
    patch = json.dumps([{"op": "replace", "path": "/spec/versions/0/served", "value": served}])
    cluster.kubectl("patch", "crd", "cameras.vigil.dev", "--type=json", "-p", patch)


def forget(context: ReconcileContext, key: Key) -> None:
    """Remove an object from the cache as a watch does: with a version after its last one."""
    metadata = (context.cache.get(key) or {})["metadata"]
    version = str(int(metadata["resourceVersion"]) + 1)
    context.cache.remove(key.kind, {"metadata": metadata | {"resourceVersion": version}})


async def serves(context: ReconcileContext, key: Key) -> bool:
    try:
        await context.api.is_gone(key)
    except AwayError:
        return False
    return True


def test_orphans_are_deleted_only_if_the_camera_is_gone(
    own_api_cluster: ApiCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "COLLECTED_S", 0.0)
    own_api_cluster.install_crds()
    own_api_cluster.apply(secret("vigil-bus", "default", token="for-tests"))
    own_api_cluster.apply(listed(camera("front", "default")))
    asyncio.run(_lose_sight_of(own_api_cluster, Key(Kind.CAMERA, "default", "front")))


async def _lose_sight_of(cluster: ApiCluster, key: Key) -> None:
    context = await context_of(cluster)
    reconciler = CameraReconciler(context, CameraMemories(), None)

    async def left() -> set[str]:
        await reconciler.reconcile(key)
        await reconciler.reconcile(key)
        output = cluster.kubectl("get", "deployments,configmaps", "-l", "vigil.dev/camera=front", "-o", "json").stdout
        return {one["kind"] for one in json.loads(output)["items"] if "deletionTimestamp" not in one["metadata"]}

    both = {"Deployment", "ConfigMap"}
    try:
        context.cache.put(Kind.SECRET, await context.api.get(Key(Kind.SECRET, "default", "vigil-bus")))
        context.cache.put(Kind.CAMERA, await context.api.get(key))
        assert await left() == both
        forget(context, key)
        assert await left() == both, "it is only not seen"
        serve(cluster, served=False)
        await eventually(lambda: _not(serves(context, key)), 30, "Cameras are not served")
        assert await left() == both, "its kind is only not served"
        serve(cluster, served=True)
        await eventually(lambda: serves(context, key), 30, "Cameras are served again")
        cluster.kubectl("delete", "camera", "front", "--cascade=orphan")
        assert await left() == set()
    finally:
        await context.api.close()


def test_a_released_pod_is_deleted_with_its_camera(api_cluster: ApiCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "COLLECTED_S", 0.0)
    api_cluster.install_crds()
    here = Namespace(api_cluster, api_cluster.new_namespace("orphaned"))
    api_cluster.apply(secret("vigil-bus", here.namespace, token="for-tests"))
    here.apply(camera("front", here.namespace))
    asyncio.run(_let_go(api_cluster, here, Key(Kind.CAMERA, here.namespace, "front")))


async def _let_go(cluster: ApiCluster, here: Namespace, key: Key) -> None:
    context, kubectl = await context_of(cluster), cluster.kubectl
    reconciler = CameraReconciler(context, CameraMemories(), None)
    try:
        context.cache.put(Kind.SECRET, await context.api.get(Key(Kind.SECRET, key.namespace, "vigil-bus")))
        context.cache.put(Kind.CAMERA, await context.api.get(key))
        await reconciler.reconcile(key)
        name = (await asyncio.to_thread(here.pod, "front"))["metadata"]["name"]
        kubectl("label", "pod", name, "-n", key.namespace, "vigil.dev/camera-")
        pod = Key(Kind.POD, key.namespace, name)
        await eventually(lambda: _is_nobodys(context, pod), 30, "its ReplicaSet let it go")
        kubectl("delete", "camera", "front", "-n", key.namespace)
        context.cache.put(Kind.POD, await context.api.get(pod))
        forget(context, key)
        await reconciler.reconcile(key)
        await reconciler.reconcile(key)
        assert await context.api.is_gone(pod)
    finally:
        await context.api.close()


async def _is_nobodys(context: ReconcileContext, pod: Key) -> bool:
    return "ownerReferences" not in (await context.api.get(pod))["metadata"]


async def _not(condition: Awaitable[bool]) -> bool:
    return not await condition
