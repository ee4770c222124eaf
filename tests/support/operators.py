"""The operator as a real process beside a test cluster, and the manifests that its stories use."""

import base64
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

from tests.support.kubernetes.cluster import Cluster
from tests.support.running import Running
from tests.support.servers import environment
from tests.support.waiting import wait_until

from vigil_cli.standalone.servers.ports import LOOPBACK, free_port
from vigil_cli.supervisor.spec import ProcessSpec

IMAGE = "vigil/stream:test"
RESTART_S = 1.0
"""Before the first restart of what ended; a kubelet begins at once, goes on with 10 s and doubles that."""


class Operator:
    """`vigil-operator run` as a child process."""

    def __init__(self, folder: Path, environment_: Mapping[str, str]) -> None:
        self.port = free_port()
        self.running = Running(
            ProcessSpec(
                name="operator",
                argv=[str(Path(sys.executable).parent / "vigil-operator"), "run"],
                env={**environment_, "VIGIL_HTTP_HOST": LOOPBACK, "VIGIL_HTTP_PORT": str(self.port)},
                ready=lambda: self.ask("/healthz")[0] == 200,
                ready_timeout_s=30,
                stop_timeout_s=20,
            ),
            folder,
        )

    def start(self) -> "Operator":
        """Start it and wait until it answers; it may still wait for the Lease."""
        kept = {name: os.environ.pop(name) for name in list(os.environ) if name not in environment()}
        try:
            self.running.start()
        finally:
            os.environ.update(kept)
        return self

    def ask(self, path: str) -> tuple[int, str]:
        """GET a path of its probes; status 0: nothing answers."""
        try:
            with urlopen(f"http://{LOOPBACK}:{self.port}{path}", timeout=2) as response:
                return int(response.status), response.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def ready(self) -> dict[str, Any]:
        """Return the body of /readyz."""
        text = self.ask("/readyz")[1]
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def leads(self) -> bool:
        """Whether it holds the Lease and watches."""
        ready = self.ready()
        return ready.get("lease") == "held" and bool(ready.get("ok"))

    def metric(self, name: str) -> float:
        """Add up the samples of a metric."""
        lines = [line for line in self.ask("/metrics")[1].splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    @property
    def log(self) -> str:
        """The whole log."""
        return self.running.log.read_text()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.running.kill()

    def stop(self) -> None:
        """End it politely."""
        self.running.stop()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.running.pid, number)


class Kubelet:
    """Starts an operator again after a pause when it ended, while a test waits for something.

    Attributes
    ----------
    ended
        The exit statuses of all that ended.
    """

    def __init__(self, operator: Operator) -> None:
        self.ended: list[int] = []
        self._operator = operator
        self._again_at: float | None = None

    def wait_until(self, condition: Callable[[], object], deadline_s: float, what: str) -> None:
        """Wait for a condition, and look after the operator meanwhile."""

        def look() -> object:
            self._look_after()
            return condition()

        wait_until(look, deadline_s, what, poll_s=0.2)

    def _look_after(self) -> None:
        status, now = self._operator.running.ended_with, time.monotonic()
        if status is None:
            return
        if self._again_at is None:
            self.ended.append(status)
            self._again_at = now + RESTART_S * 2 ** (len(self.ended) - 1)
        elif now >= self._again_at:
            self._again_at = None
            self._operator.start()


def settings(cluster: Cluster, namespace: str, **more: str) -> dict[str, str]:
    """Return the environment of an operator for one namespace of a cluster."""
    return {
        "KUBECONFIG": str(cluster.kubeconfig),
        "VIGIL_NAMESPACES": namespace,
        "VIGIL_NAMESPACE": namespace,
        "VIGIL_POD_NAME": f"operator-{uuid4().hex[:6]}",
        "VIGIL_LEASE_S": "5",
        "VIGIL_STREAM_IMAGE": IMAGE,
        "VIGIL_NATS_URL": "nats://127.0.0.1:9",
        "VIGIL_TRITON_URLS": "triton:8001",
        "VIGIL_LOG_FORMAT": "console",
        **more,
    }


@contextmanager
def operating(cluster: Cluster, namespace: str, folder: Path, **more: str) -> Iterator[Operator]:
    """Run an operator for a namespace until the block ends; it leads when the block begins."""
    operator = Operator(folder, settings(cluster, namespace, **more))
    try:
        operator.start()
        wait_until(operator.leads, 30, "the operator leads")
        yield operator
    finally:
        operator.kill()


def secret(name: str, namespace: str, readable_by: str | None = "Camera", **values: str) -> str:
    """Write a Secret that resources of a kind may name; None: that nothing may name."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    labels = {} if readable_by is None else {"vigil.dev/readable-by": readable_by}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


def camera(name: str, namespace: str, url: str = "rtsp://10.0.0.5:554/stream1", **spec: Any) -> dict[str, Any]:
    """Return a Camera."""
    source = {"type": "RTSP", "url": url, **spec.pop("source", {})}
    return {
        "apiVersion": "vigil.dev/v1alpha1",
        "kind": "Camera",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"source": source, **spec},
    }


def site(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    """Return a Site."""
    return {
        "apiVersion": "vigil.dev/v1alpha1",
        "kind": "Site",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def listed(*objects: dict[str, Any]) -> str:
    """Write several objects as one List."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


class NamespaceClient:
    """Applies and reads resources in one namespace of a cluster."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    @classmethod
    def fresh(cls, cluster: Cluster, prefix: str) -> Self:
        """Make a namespace with all that a Camera needs in it; the CRDs are installed."""
        cluster.install_crds()
        ns = cls(cluster, cluster.new_namespace(prefix))
        cluster.apply(secret("vigil-bus", ns.namespace, token="for-tests"))
        return ns

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects, as a user does."""
        self.cluster.apply(listed(*objects))

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """Read an object; None when it is not there."""
        found = self.cluster.kubectl("get", kind, name, "-n", self.namespace, "-o", "json", check=False)
        return json.loads(found.stdout) if found.returncode == 0 else None

    def all(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Read all objects of a kind."""
        more = ["-l", selector] if selector else []
        text = self.cluster.kubectl("get", kind, "-n", self.namespace, "-o", "json", *more).stdout
        items: list[dict[str, Any]] = json.loads(text)["items"]
        return items

    def condition(self, name: str, kind: str = "Ready") -> dict[str, Any]:
        """Return a condition of a Camera; empty when it has none."""
        found = self.find("camera", name) or {}
        conditions = found.get("status", {}).get("conditions", [])
        return next((one for one in conditions if one["type"] == kind), {})

    def reason(self, name: str) -> str:
        """Return the reason of a Camera's condition Ready."""
        return str(self.condition(name).get("reason", ""))

    def is_observed(self, name: str) -> bool:
        """Return whether the status of a Camera describes its current spec."""
        found = self.find("camera", name) or {}
        return bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])

    def wait_reason(self, name: str, reason: str, deadline_s: float = 30) -> dict[str, Any]:
        """Wait until a Camera has a reason; return its condition Ready."""
        wait_until(lambda: self.reason(name) == reason, deadline_s, f"{name} is {reason} (now {self.reason(name)})")
        return self.condition(name)

    def wait_for(self, kind: str, name: str, deadline_s: float = 30) -> dict[str, Any]:
        """Wait until an object is there."""
        return wait_until(lambda: self.find(kind, name), deadline_s, f"{kind} {name}") or {}

    def wait_gone(self, kind: str, name: str, deadline_s: float = 60) -> None:
        """Wait until an object is not there."""
        wait_until(lambda: self.find(kind, name) is None, deadline_s, f"{kind} {name} is gone")

    def pod(self, name: str, deadline_s: float = 30) -> dict[str, Any]:
        """Wait for the pod of a Camera that is not on its way out."""
        found: Callable[[], list[dict[str, Any]]] = lambda: [  # noqa: E731
            one for one in self.all("pods", f"vigil.dev/camera={name}") if "deletionTimestamp" not in one["metadata"]
        ]
        return wait_until(found, deadline_s, f"the pod of {name}")[0]

    def config_hash(self, name: str) -> str:
        """Return the hash of a Camera's configuration, which changes when its pod has to restart."""
        deployment = self.find("deployment", f"camera-{name}") or {}
        found: str = deployment["spec"]["template"]["metadata"]["annotations"]["vigil.dev/config-hash"]
        return found

    def set_pod_status(self, pod: str, status: dict[str, Any]) -> None:
        """Write a pod's status, as a kubelet does."""
        patch = json.dumps({"status": status})
        self.cluster.kubectl(
            "patch", "pod", pod, "-n", self.namespace, "--subresource=status", "--type=merge", "-p", patch
        )
