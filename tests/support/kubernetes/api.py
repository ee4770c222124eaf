"""A Kubernetes API without nodes, on the loopback address: etcd, API server, controller manager; needs no root."""

import os
import shutil
import signal
from typing import Self
from uuid import uuid4

from tests.support.kubernetes import control_plane
from tests.support.kubernetes.certificates import Authority
from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.control_plane import LOOPBACK, Place, Ports
from tests.support.kubernetes.processes import Programs
from tests.support.running import run_folder

from vigil_cli.standalone.servers.ports import free_port

SERVICES = "10.96.0.0/16"
SERVICE_IP = "10.96.0.1"
PROGRAMS = ("kubectl", "etcd")
"""Of the modules that have to be built; the first brings all of Kubernetes' own programs."""


class ApiCluster(Cluster):
    """Stores, validates and watches for real; Deployments get ReplicaSets and Pods, which no node takes."""

    @classmethod
    def start(cls) -> Self:
        """Start one (5 s, 400 MiB).

        Raises
        ------
        ClusterError
            A program could not be built or started.
        """
        name = f"api-{uuid4().hex[:8]}"
        folder = run_folder() / "clusters" / name
        folder.mkdir(parents=True)
        authority = Authority(folder / "pki", control_plane.addresses(LOOPBACK, SERVICE_IP))
        place = Place(folder, LOOPBACK, Ports(*(free_port() for _ in range(6))), SERVICES, authority)
        cluster = cls(name, place, Programs(folder))
        try:
            cluster._start()
        except BaseException:
            cluster.close()
            raise
        return cluster

    def _start(self) -> None:
        control_plane.prepare(self.place)
        self.programs.add(control_plane.etcd(self.place))
        self.programs.add(
            # a loopback address cannot be the endpoint of the Service `kubernetes`, and here is no pod to ask for it
            control_plane.api_server(self.place, self.audit_log, "--endpoint-reconciler-type=none")
        )
        self.programs.add(control_plane.controller_manager(self.place))
        self.wait_for_accounts()

    def cut(self) -> None:
        """Let the API server hang: connections are accepted and never answered."""
        os.kill(self.programs.pid("kube-apiserver"), signal.SIGSTOP)

    def mend(self) -> None:
        """Let the API server go on."""
        os.kill(self.programs.pid("kube-apiserver"), signal.SIGCONT)

    def close(self) -> None:
        """End everything and remove what it left."""
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)
