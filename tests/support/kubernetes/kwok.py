"""A Kubernetes whose nodes and pods are pretended: a thousand Deployments become Ready on a small machine.

API, controllers and scheduler are real; kwok reports what the kubelets of a thousand nodes would report.
"""

import json
import subprocess

from tests.support.kubernetes import api, control_plane
from tests.support.kubernetes.api import ApiCluster
from tests.support.kubernetes.control_plane import ADMIN, LOOPBACK, answers
from tests.support.kubernetes.errors import ClusterError
from tests.support.kubernetes.programs import program

from vigil_cli.standalone.servers.ports import free_port
from vigil_cli.supervisor.spec import ProcessSpec

PROGRAMS = (*api.PROGRAMS, "kwok")
PODS_PER_NODE = 110
"""As a kubelet has it by default."""
PRETENDED = {"kwok.x-k8s.io/node": "fake"}
"""The annotation by which kwok knows its nodes."""
READY_TIMEOUT_S = 60.0
NODES_TIMEOUT_S = 120.0


class KwokCluster(ApiCluster):
    """An API cluster with pretended nodes, none at first; needs no root."""

    def _start(self) -> None:
        super()._start()
        self.programs.add(control_plane.scheduler(self.place))
        self.programs.add(self._kwok())

    def _kwok(self) -> ProcessSpec:
        stages = self.folder / "stages.yaml"
        printed = subprocess.run([program("kwok"), "stages"], capture_output=True, text=True, check=True, timeout=10)
        stages.write_text(printed.stdout)
        port = free_port()
        selector = ",".join(f"{name}={value}" for name, value in PRETENDED.items())
        return ProcessSpec(
            "kwok",
            [
                str(program("kwok")),
                *(f"--kubeconfig={self.place.kubeconfig(ADMIN)}", f"--config={stages}"),
                *("--manage-all-nodes=false", f"--manage-nodes-with-annotation-selector={selector}"),
                *(f"--server-address={LOOPBACK}:{port}", "--node-lease-duration-seconds=40"),
            ],
            ready=lambda: answers(f"http://{LOOPBACK}:{port}/healthz"),
            ready_timeout_s=READY_TIMEOUT_S,
            cwd=self.folder,
        )

    def add_nodes(self, count: int, pods: int = PODS_PER_NODE) -> list[str]:
        """Add nodes that are Ready, and return their names.

        Parameters
        ----------
        pods
            How many each takes.

        Raises
        ------
        ClusterError
            They were refused, or are not Ready in time.
        """
        there = len(self.kubectl("get", "nodes", "-o", "name").stdout.split())
        names = [f"node-{number}" for number in range(there, there + count)]
        nodes = [_node(name, pods) for name in names]
        self.kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
        limit = f"--timeout={NODES_TIMEOUT_S:.0f}s"
        try:
            wait = ("wait", "--for=condition=Ready", limit, *(f"node/{name}" for name in names))
            self.kubectl(*wait, timeout_s=NODES_TIMEOUT_S + 10)
        except ClusterError as error:
            raise ClusterError(f"{error}; see {self.programs.log('kwok')}") from error
        return names


def _node(name: str, pods: int) -> dict[str, object]:
    room = {"cpu": "64", "memory": "256Gi", "pods": str(pods), "ephemeral-storage": "1Ti"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": PRETENDED,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
        },
        "status": {"allocatable": room, "capacity": room},
    }
