"""What is written into a status, and how often, on a real API server; without watches, so that nothing else writes."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.cluster.operator_in_process import context_of
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import NamespaceClient as Namespace
from tests.support.operators import camera, secret
from tests.unit.operator.builders import beat

from vigil_contracts.events import CameraRef
from vigil_contracts.ids import ResourceKey
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile import conditions as statuses
from vigil_operator.reconcile.camera.memory import CameraMemories
from vigil_operator.reconcile.camera.reconciler import CameraReconciler
from vigil_operator.reconcile.conditions import ConditionUpdate
from vigil_operator.reconcile.context import ReconcileContext, Result
from vigil_operator.reconcile.status_memory import StatusMemory
from vigil_operator.reconcile.status_writer import StatusWriter

pytestmark = pytest.mark.cluster


class Desk:
    """One Camera and a writer of its status."""

    def __init__(self, context: ReconcileContext, namespace: Namespace, name: str) -> None:
        self.context, self.namespace, self.name = context, namespace, name
        self.key = Key(Kind.CAMERA, namespace.namespace, name)
        self.memory = StatusMemory()
        self.writer = StatusWriter(context, "Reconcile", calm=frozenset({"Calm"}), quiet=frozenset({"Quiet"}))
        namespace.apply(camera(name, namespace.namespace))

    async def write(self, reason: str, *, true: bool = False, message: str = "", **more: Any) -> Result:
        """Look, and write."""
        obj = await self.look()
        update = ConditionUpdate("Ready", true, reason, message)
        made = statuses.conditions(statuses.status_of(obj), [update], 1, self.context.now())
        status = {"observedGeneration": 1, "conditions": made, **more}
        return await self.writer.write(self.key, obj, status, self.memory)

    async def look(self) -> Object:
        self.context.cache.put(Kind.CAMERA, await self.context.api.get(self.key))
        return self.context.cache.get(self.key) or {}

    async def status(self) -> Object:
        return statuses.status_of(await self.look())

    def by_hand(self, *patch: dict[str, Any]) -> None:
        self.namespace.cluster.kubectl(
            *("patch", "camera", self.name, "-n", self.namespace.namespace, "--subresource=status"),
            *("--type=json", "-p", json.dumps(patch)),
        )

    def events(self) -> list[tuple[str, str, str]]:
        events = self.namespace.all("events.events.k8s.io")
        found = [one for one in events if one["regarding"]["name"] == self.name]
        return [(one["type"], one["reason"], one["note"]) for one in sorted(found, key=lambda one: one["eventTime"])]


@pytest.fixture
async def context(api_cluster: ApiCluster) -> AsyncIterator[ReconcileContext]:
    api_cluster.install_crds()
    made = await context_of(api_cluster)
    yield made
    await made.api.close()


@pytest.fixture
def namespace(api_cluster: ApiCluster) -> Namespace:
    return Namespace(api_cluster, api_cluster.new_namespace("statuses"))


@pytest.fixture
def desk(context: ReconcileContext, namespace: Namespace) -> Desk:
    return Desk(context, namespace, "front")


async def test_an_unchanged_status_is_not_written(desk: Desk) -> None:
    assert await desk.write("Streaming", true=True, site="default") == Result("Changed")
    before = (await desk.look())["metadata"]["resourceVersion"]
    for _ in range(3):
        assert await desk.write("Streaming", true=True, site="default") == Result("Unchanged")
    assert (await desk.look())["metadata"]["resourceVersion"] == before


async def test_a_field_without_a_value_is_removed_in_one_write(desk: Desk) -> None:
    await desk.write("Streaming", true=True, endpoint="triton:8001")
    assert (await desk.status())["endpoint"] == "triton:8001"
    outcomes = [(await desk.write("Streaming", true=True)).outcome for _ in range(2)]
    assert outcomes == ["Changed", "Unchanged"]
    assert "endpoint" not in await desk.status()


THEIRS: dict[str, dict[str, Any]] = {
    "a scalar": {"op": "add", "path": "/status/endpoint", "value": "theirs:1"},
    "a condition": {
        "op": "add",
        "path": "/status/conditions/-",
        "value": {"type": "Theirs", "status": "True", "reason": "Theirs", "lastTransitionTime": "2026-05-01T11:00:00Z"},
    },
}


@pytest.mark.parametrize("what", THEIRS)
async def test_what_another_writer_owns_is_left_after_one_attempt(desk: Desk, what: str) -> None:
    await desk.write("Streaming", true=True)
    desk.by_hand(THEIRS[what])
    there = await desk.status()
    outcomes = [(await desk.write("Streaming", true=True)).outcome for _ in range(3)]
    assert outcomes == ["Changed", "Unchanged", "Unchanged"]
    assert await desk.status() == there
    outcomes = [(await desk.write("Frozen")).outcome for _ in range(3)]
    assert outcomes == ["Changed", "Unchanged", "Unchanged"], "other news is no repetition"
    desk.memory.clear()
    assert (await desk.write("Frozen")).outcome == "Changed", "nothing is remembered of one that went"


async def test_what_a_hand_wiped_is_restored_each_time(desk: Desk) -> None:
    await desk.write("Streaming", true=True, site="default")
    for _ in range(3):
        desk.by_hand({"op": "remove", "path": "/status"})
        assert await desk.status() == {}
        assert (await desk.write("Streaming", true=True, site="default")).outcome == "Changed"
        assert (await desk.status())["site"] == "default"


async def test_of_an_object_that_is_gone_nothing_is_written(desk: Desk) -> None:
    await desk.write("Streaming", true=True)
    seen = await desk.look()
    desk.namespace.cluster.kubectl("delete", "camera", desk.name, "-n", desk.namespace.namespace)
    made = statuses.conditions({}, [ConditionUpdate("Ready", False, "Frozen")], 1, desk.context.now())
    status = {"observedGeneration": 1, "conditions": made}
    assert await desk.writer.write(desk.key, seen, status, desk.memory) == Result("Gone")
    assert desk.events() == [("Normal", "Streaming", "Streaming")]


async def test_events_report_transitions(desk: Desk) -> None:
    """They warn of each reason that is not calm."""
    await desk.write("Quiet", message="on the way")
    await desk.write("Calm", message="at rest")
    await desk.write("Calm", message="at rest, in other words")
    await desk.write("Streaming", true=True, message="well")
    await desk.write("Frozen", message="the video stands still")
    assert desk.events() == [
        ("Normal", "Calm", "at rest"),
        ("Normal", "Streaming", "well"),
        ("Warning", "Frozen", "the video stands still"),
    ]


async def test_the_endpoint_is_shown_only_while_the_camera_runs(
    context: ReconcileContext, namespace: Namespace
) -> None:
    """And only while its heartbeats arrive."""
    where, key = namespace.namespace, Key(Kind.CAMERA, namespace.namespace, "front")
    namespace.cluster.apply(secret("vigil-bus", where, token="for-tests"))
    context.cache.put(Kind.SECRET, await context.api.get(Key(Kind.SECRET, where, "vigil-bus")))
    memories = CameraMemories()
    reconciler = CameraReconciler(context, memories, None)
    said = beat(camera=CameraRef(namespace=where, name="front"), inference_endpoint="triton:8001")

    async def endpoint(age_s: float, *, suspend: bool = False) -> object:
        namespace.apply(camera("front", where, suspend=suspend))
        context.cache.put(Kind.CAMERA, await context.api.get(key))
        context.heartbeats.forget(ResourceKey(where, "front"))
        context.heartbeats.note(ResourceKey(where, "front"), said, age_s)
        memories.of(key).written_at = float("-inf")  # a status of a moment ago delays this one no more
        await reconciler.reconcile(key)
        return statuses.status_of(await context.api.get(key)).get("endpoint")

    assert await endpoint(0.0) is None, "no pod runs yet"
    context.cache.put(Kind.POD, running_pod(where))
    assert await endpoint(0.0) == "triton:8001"
    assert await endpoint(60.0) is None, "it fell silent"
    assert await endpoint(0.0) == "triton:8001"
    assert await endpoint(0.0, suspend=True) is None


def running_pod(namespace: str) -> Object:
    labels = {"vigil.dev/camera": "front", "app.kubernetes.io/managed-by": "vigil-operator"}
    metadata = {"name": "front-pod", "namespace": namespace, "uid": "one", "resourceVersion": "1", "labels": labels}
    running = {"name": "stream", "state": {"running": {"startedAt": "2026-05-01T11:00:00Z"}}}
    return {
        "metadata": metadata,
        "spec": {"serviceAccountName": "camera-front"},
        "status": {"phase": "Running", "containerStatuses": [running]},
    }
