"""Pods of Cameras that somebody edited in place: what runs is what the operator wrote, or it is replaced."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.kubernetes.admission import changing_pods
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import IMAGE, NamespaceClient, camera, listed, operating
from tests.support.waiting import wait_until

from vigil_operator.resources.names import labels

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def ns(api_cluster: ApiCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NamespaceClient]:
    made = NamespaceClient.fresh(api_cluster, "edited")
    with operating(api_cluster, made.namespace, tmp_path_factory.mktemp("operator")):
        yield made


def test_a_pod_whose_image_was_edited_in_place_is_replaced(ns: NamespaceClient) -> None:
    ns.apply(camera("edited", ns.namespace))
    pod = ns.pod("edited")["metadata"]["name"]
    ns.cluster.kubectl("set", "image", f"pod/{pod}", "stream=evil:1", "-n", ns.namespace)
    wait_until(lambda: ns.pod("edited")["metadata"]["name"] != pod, 30, "another pod")
    assert ns.pod("edited")["spec"]["containers"][0]["image"] == IMAGE


EDITS = {
    "its Camera's label away": ("label", "vigil.dev/camera-"),
    "another Camera's label": ("label", "vigil.dev/camera=other", "--overwrite"),
    "the operator's label away": ("label", "app.kubernetes.io/managed-by-"),
    "the program's label away": ("label", "app.kubernetes.io/name-"),
    "another configuration": ("annotate", "vigil.dev/config-hash=x", "--overwrite"),
}
"""What is done to a pod that its Deployment or its ReplicaSet does not see, or lets go for."""
BARE = ("label", *(f"{name}-" for name in labels("any")))


def edit(ns: NamespaceClient, pod: str, how: tuple[str, ...]) -> None:
    """Edit a pod in place."""
    verb, *changes = how
    ns.cluster.kubectl(verb, "pod", pod, "-n", ns.namespace, *changes)


def streams_of(ns: NamespaceClient, name: str) -> list[str]:
    """Name the pods that would stream a camera, whatever is written on them."""
    pods = [one for one in ns.all("pods") if one["spec"]["serviceAccountName"] == f"camera-{name}"]
    return [one["metadata"]["name"] for one in pods if "deletionTimestamp" not in one["metadata"]]


def wait_replaced(ns: NamespaceClient, name: str, pod: str) -> None:
    """Wait until a Camera has one pod, and that is not this one."""
    so = lambda: len(now := streams_of(ns, name)) == 1 and pod not in now  # noqa: E731
    wait_until(so, 30, f"one pod of {name}, and not {pod}")


@pytest.mark.parametrize("how", EDITS)
def test_a_pod_that_was_edited_in_place_is_replaced(ns: NamespaceClient, how: str) -> None:
    name = f"edited-{list(EDITS).index(how)}"
    ns.apply(camera(name, ns.namespace))
    pod = ns.pod(name)["metadata"]["name"]
    edit(ns, pod, EDITS[how])
    wait_replaced(ns, name, pod)


def test_a_pod_that_nothing_tells_of_any_more_is_removed(ns: NamespaceClient) -> None:
    ns.apply(camera("bare", ns.namespace))
    pod = ns.pod("bare")["metadata"]["name"]
    wait_until(lambda: pod in ns.condition("bare").get("message", ""), 20, "the operator saw it")
    edit(ns, pod, BARE)
    wait_replaced(ns, "bare", pod)


def test_pods_edited_while_no_operator_ran_are_replaced(api_cluster: ApiCluster, tmp_path: Path) -> None:
    ns = NamespaceClient.fresh(api_cluster, "unwatched")
    names = [f"edited-{number}" for number in range(len(EDITS))]
    with operating(api_cluster, ns.namespace, tmp_path / "before") as before:
        ns.apply(*(camera(name, ns.namespace) for name in [*names, "untouched"]))
        pods = {name: ns.pod(name)["metadata"]["name"] for name in [*names, "untouched"]}
        before.stop()
    for name, how in zip(names, EDITS.values(), strict=True):
        edit(ns, pods[name], how)
    with operating(api_cluster, ns.namespace, tmp_path / "after"):
        for name in names:
            wait_replaced(ns, name, pods[name])
        assert streams_of(ns, "untouched") == [pods["untouched"]]


MIRROR = "mirror.local/vigil/stream:test"


REWRITTEN = f'[JSONPatch{{op: "replace", path: "/spec/containers/0/image", value: "{MIRROR}"}}]'
"""As a mirror's webhook does."""


def test_a_pod_whose_image_is_rewritten_while_it_is_made_is_left(api_cluster: ApiCluster, tmp_path: Path) -> None:
    ns = NamespaceClient.fresh(api_cluster, "mirrored")
    policies = changing_pods(f"mirror-{ns.namespace}", ns.namespace, REWRITTEN)
    api_cluster.apply(listed(*policies))
    try:
        with operating(api_cluster, ns.namespace, tmp_path) as operator:
            number = 0

            def rewritten() -> bool:
                nonlocal number
                number += 1
                ns.apply(camera(f"mirrored-{number}", ns.namespace))
                return image_of(ns.pod(f"mirrored-{number}")) == MIRROR

            wait_until(rewritten, 60, "the policy is in force", poll_s=1)
            name = f"mirrored-{number}"
            pod = ns.pod(name)
            mark = api_cluster.audit_size()
            ns.apply(camera(name, ns.namespace, scheduling={"priority": 7}))
            wait_until(lambda: ns.is_observed(name), 20, "the change was seen")
            assert ns.pod(name)["metadata"]["uid"] == pod["metadata"]["uid"]
            deleted = [one.name for one in api_cluster.requests(mark) if (one.verb, one.resource) == ("delete", "pods")]
            assert pod["metadata"]["name"] not in deleted
            assert "replacing a pod" not in operator.log
    finally:
        for policy in reversed(policies):
            api_cluster.kubectl("delete", policy["kind"], policy["metadata"]["name"])


def image_of(pod: dict[str, Any]) -> str:
    """Return the image of a pod's stream container."""
    return next(str(one["image"]) for one in pod["spec"]["containers"] if one["name"] == "stream")
