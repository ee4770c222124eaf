"""Cameras whose pods cannot run, each for a reason of its own, and what is shown of them meanwhile."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.first_camera import Story
from tests.support.kubernetes.admission import changing_pods
from tests.support.kubernetes.programs import program
from tests.support.running import Running
from tests.support.waiting import wait_until

from vigil_cli.supervisor.spec import ProcessSpec

BY_CAMERA = "vigil.dev/camera"
NOT_THERE = "127.0.0.1:9/vigil/stream:test"
"""Of a mirror where nobody answers."""
CAMERAS: dict[str, dict[str, Any]] = {
    "no-node": {"scheduling": {"nodeSelector": {"room": "cellar"}}},
    "no-image": {},
    "little-memory": {
        "scheduling": {"resources": {"requests": {"memory": "24Mi"}, "limits": {"memory": "24Mi"}}},
    },
    "wrong-setting": {},
}
"""Name to what differs in its spec."""
CHANGES = {
    "no-image": ("/spec/containers/0/image", NOT_THERE),
    "wrong-setting": ("/spec/containers/0/env/-", {"name": "VIGIL_LOG_LEVEL", "value": "loud"}),
}
"""What a platform's webhook, which names a mirror or adds variables, does to the pods of the others."""
MESSAGES = {
    "no-node": ("PodUnschedulable", "node affinity/selector"),
    "no-image": ("ImagePullFailed", NOT_THERE),
    "little-memory": ("OutOfMemory", "more memory than its limit"),
    "wrong-setting": ("CrashLooping", "vigil-stream: VIGIL_LOG_LEVEL"),
}
"""Name to the reason that each has to give, and what has to be among its words."""
STARTED_AGAIN = ("little-memory", "wrong-setting")
FORCE_S, GONE_S = 60, 60


@contextmanager
def apart(story: Story) -> Iterator[None]:
    """Change the pods of these Cameras while they are made; in the end neither Cameras nor pods are left."""
    policies = changing_pods(
        f"broken-{story.namespace}", story.namespace, *(_change(name, *change) for name, change in CHANGES.items())
    )
    story.apply(*policies)
    try:
        wait_until(lambda: _is_in_force(story), FORCE_S, "the pods are changed", poll_s=0.5)
        yield
    finally:
        story.kubectl("delete", "camera", *CAMERAS, "--ignore-not-found")
        for policy in reversed(policies):
            story.kubectl("delete", policy["kind"], policy["metadata"]["name"])
        selector = f"{BY_CAMERA} in ({','.join(CAMERAS)})"
        wait_until(lambda: _pods(story, selector) == [], GONE_S, "their pods are gone")


def _change(name: str, path: str, value: object) -> str:
    patch = f'JSONPatch{{op: "add", path: "{path}", value: {json.dumps(value)}}}'
    return f'object.metadata.labels["{BY_CAMERA}"] == "{name}" ? [{patch}] : []'


def _is_in_force(story: Story) -> bool:
    """Ask the API server what it would make of a pod."""
    container = {
        "name": "stream",
        "image": "vigil/stream:test",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "would-be", "namespace": story.namespace, "labels": {BY_CAMERA: "no-image"}},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        },
    }
    made = story.cluster.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=json.dumps(pod)).stdout
    return bool(json.loads(made)["spec"]["containers"][0]["image"] == NOT_THERE)


@contextmanager
def shown(story: Story, folder: Path) -> Iterator[Callable[[str], list[str]]]:
    """Return the reasons of a Camera's Ready that `kubectl get cameras -w` has shown, in order."""
    line = '{.metadata.name} {.status.conditions[?(@.type=="Ready")].reason}{"\\n"}'
    spec = ProcessSpec(
        "kubectl-get-w",
        [str(program("kubectl")), "get", "cameras", "-n", story.namespace, "-w", "-o", f"jsonpath={line}"],
        env={"KUBECONFIG": str(story.cluster.kubeconfig), "KUBECACHEDIR": str(folder)},
    )
    watch = Running(spec, folder).start()

    def reasons(camera: str) -> list[str]:
        lines = [line.partition(" ") for line in watch.log.read_text().splitlines()]
        return [reason for name, _, reason in lines if name == camera]

    try:
        yield reasons
    finally:
        watch.kill()


def ends(story: Story, camera: str) -> int:
    """Count how often the stream process of a Camera has ended."""
    found = [each["status"].get("containerStatuses", []) for each in _pods(story, f"{BY_CAMERA}={camera}")]
    return sum(one["restartCount"] + ("running" not in one["state"]) for statuses in found for one in statuses)


def _pods(story: Story, selector: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(story.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
    return items
