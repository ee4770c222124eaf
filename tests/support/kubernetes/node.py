"""A whole Kubernetes node in its own network namespace; the pods of a Deployment really run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.support.kubernetes import cleanup, control_plane, fixed_places, images, machine, node_programs
from tests.support.kubernetes.certificates import Authority
from tests.support.kubernetes.cleanup import CGROUPS, NoSlotError, Slot
from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.control_plane import Place, Ports
from tests.support.kubernetes.errors import ClusterError, NotHereError
from tests.support.kubernetes.network import Network
from tests.support.kubernetes.processes import Programs
from tests.support.shared import ROOT

PROGRAMS = ("kubectl", "etcd", "coredns", "pause")
"""Of the modules that have to be built; the first brings all of Kubernetes' own programs."""
PORTS = Ports(api=6443, etcd=2379, etcd_peers=2380, etcd_health=2381, controller_manager=10257, scheduler=10259)
"""The standard ones: nobody else is in the namespace."""
READY_TIMEOUT_S = 120.0
IMPORT_TIMEOUT_S = 300.0
WARDEN_TIMEOUT_S = 240.0
"""The files of unpacked images were deleted in 100 s beside ten busy processes."""


class NodeCluster(Cluster):
    """A complete cluster of one node.

    Pods and Services are reached from this machine by their addresses; pods reach this machine at `host_ip`. Several
    run side by side. NetworkPolicy is not enforced.
    """

    def __init__(self, slot: Slot, held: int, place: Place, network: Network) -> None:
        super().__init__(slot.name, place, Programs(place.folder, network.within))
        self.host_ip = network.host_ip
        self.containerd = node_programs.socket(place)
        self._slot = slot
        self._held = held
        self._network = network
        self._warden = _warden(slot, held)

    @classmethod
    def start(cls) -> Self:
        """Start one (10 s, 750 MiB), after removing what crashed predecessors left.

        Raises
        ------
        NotHereError
            This machine cannot have one; what is missing is named.
        ClusterError
            A program could not be built or started.
        """
        machine.check_node()
        machine.check_images()
        try:
            slot, held = cleanup.take_slot()
        except (NoSlotError, OSError) as error:
            raise ClusterError(str(error)) from error
        slot.folder.mkdir(mode=0o755)
        fixed_places.remember(cleanup.base_folder())
        network = Network(slot)
        authority = Authority(slot.folder / "pki", control_plane.addresses(network.ip, network.service_ip))
        place = Place(slot.folder, network.ip, PORTS, network.services, authority)
        cluster = cls(slot, held, place, network)
        try:
            cluster._start()
        except BaseException:
            cluster.close()
            raise
        return cluster

    def _start(self) -> None:
        place, network = self.place, self._network
        network.make()
        _make_cgroups(self._slot)
        control_plane.prepare(place, node_programs.users(self.name))
        self.programs.add(control_plane.etcd(place))
        self.programs.add(node_programs.containerd(place, network))
        self.load_image(images.pause_image())
        addresses = "--kubelet-preferred-address-types=InternalIP"
        self.programs.add(control_plane.api_server(place, self.audit_log, addresses))
        self.programs.add(control_plane.controller_manager(place))
        self.programs.add(control_plane.scheduler(place))
        self.programs.add(node_programs.kubelet(place, network))
        self.programs.add(node_programs.kube_proxy(place, network))
        self.programs.add(node_programs.coredns(place, network))
        self.wait_for_node()
        self.wait_for_accounts()

    def wait_for_node(self) -> None:
        """Wait until the node is Ready; raises ClusterError with the end of the kubelet's log."""
        node, limit = f"node/{self.name}", f"--timeout={READY_TIMEOUT_S:.0f}s"
        try:
            self.kubectl("wait", "--for=create", node, limit, timeout_s=READY_TIMEOUT_S + 10)
            self.kubectl("wait", "--for=condition=Ready", node, limit, timeout_s=READY_TIMEOUT_S + 10)
        except ClusterError as error:
            log = self.programs.log("kubelet")
            tail = log.read_text(errors="replace")[-2000:]
            raise ClusterError(f"{self.name}: the node is not Ready ({error})\nThe end of {log}:\n{tail}") from error

    def load_image(self, archive: Path) -> None:
        """Load an image into the node from an OCI archive, as `images.build_image` makes it."""
        import_image(self.containerd, archive)

    def images(self) -> list[str]:
        """List the names of the images that the node has."""
        return _ctr(self.containerd, "images", "list", "-q").stdout.split()

    def pod_ip(self, name: str, namespace: str = "default") -> str:
        """Return the address of a running pod, which this machine can reach."""
        status = self.get("pod", name, namespace)["status"]
        if "podIP" not in status:
            raise ClusterError(f"pod {namespace}/{name} has no address yet; it is {status.get('phase')}")
        return str(status["podIP"])

    def service_ip(self, name: str, namespace: str = "default") -> str:
        """Return the address of a Service, which this machine can reach."""
        return str(self.get("service", name, namespace)["spec"]["clusterIP"])

    def cut(self) -> None:
        """Partition the cluster from this machine: packets are dropped without an error; everything inside goes on."""
        self._network.cut()

    def mend(self) -> None:
        """End the partition."""
        self._network.mend()

    def close(self) -> None:
        """End everything and remove what it left."""
        try:
            super().close()
        finally:
            assert self._warden.stdin is not None
            self._warden.stdin.close()  # it removes the rest
            code = self._warden.wait(WARDEN_TIMEOUT_S)
            os.close(self._held)
        if code != 0:
            raise ClusterError(f"{self.name} could not be removed; see {self._slot.folder.with_suffix('.log')}")


def import_image(containerd: Path, archive: Path) -> None:
    """Load an image into the containerd that listens on a socket; raises ClusterError."""
    done = _ctr(containerd, "images", "import", str(archive))
    if done.returncode != 0:
        raise ClusterError(f"{archive} cannot be loaded by {containerd}: {done.stderr.strip()}")


def _ctr(containerd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ctr", "-a", str(containerd), "-n", "k8s.io", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=IMPORT_TIMEOUT_S)


def _warden(slot: Slot, held: int) -> subprocess.Popen[bytes]:
    """Start the process that removes the cluster's traces however this one ends; it holds the slot, too."""
    with slot.folder.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", cleanup.__name__, str(slot.number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[held],
            start_new_session=True,  # a Ctrl-C in the terminal is not for it
        )


def _make_cgroups(slot: Slot) -> None:
    """Make the cgroup below which the kubelet makes those of pods, in every hierarchy."""
    for cgroup in slot.cgroups:
        cgroup.mkdir(exist_ok=True)
        try:
            if cgroup.parent == CGROUPS:
                controllers = (CGROUPS / "cgroup.controllers").read_text().split()
                wanted = " ".join(f"+{name}" for name in controllers)
                (CGROUPS / "cgroup.subtree_control").write_text(wanted)
                (cgroup / "cgroup.subtree_control").write_text(wanted)
            elif (cgroup / "cpuset.cpus").exists():
                for name in ("cpuset.cpus", "cpuset.mems"):  # a new one is empty, and takes nobody
                    (cgroup / name).write_text((cgroup.parent / name).read_text())
        except OSError as error:
            raise NotHereError(f"the right to use {cgroup} ({error.strerror})") from error
