"""A release of the chart where its pods really run, shared by the tests of a session."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.chart import images
from tests.chart.rendering import CHART, helm, values_of
from tests.support.kubernetes.errors import ClusterError
from tests.support.kubernetes.node import NodeCluster
from tests.support.servers import OPEN_PACK, model_repository

READY_S = 240
SETS = (
    f"image.tag={images.TAG}",
    "triton.modelRepository.source=image",
    f"triton.modelRepository.image.repository={images.MODELS}",
    f"triton.modelRepository.image.tag={images.TAG}",
    # Two cores are all there is.
    "triton.resources.requests.cpu=100m",
    "triton.resources.requests.memory=256Mi",
)
"""The trial of the chart, with the images that were built here."""


@dataclass(frozen=True)
class Installed:
    """A release on a node."""

    cluster: NodeCluster
    namespace: str

    def helm(self, verb: str, *options: str) -> str:
        """Run Helm for the release; ClusterError has the state of the pods."""
        where = ("--namespace", self.namespace, "--timeout", f"{READY_S}s")
        done = helm(
            verb, "vigil", *options, *where, check=False, kubeconfig=self.cluster.kubeconfig, timeout_s=READY_S + 60
        )
        if done.returncode:
            raise ClusterError(f"helm {verb}: {done.stderr}\n{self.state()}")
        return done.stdout

    def state(self) -> str:
        """Return the state of the pods, for the message of a failure."""
        ask = self.cluster.kubectl
        state = ask("get", "pods,jobs", "-n", self.namespace, "-o", "wide", check=False).stdout
        state += ask("get", "events", "-n", self.namespace, "--sort-by=.lastTimestamp", check=False).stdout[-3000:]
        selector = ("-l", "app.kubernetes.io/part-of=vigil")
        logs = ("logs", "-n", self.namespace, *selector, "--all-containers", "--prefix", "--tail=15")
        return state + ask(*logs, check=False).stdout

    def sql(self, statements: str) -> str:
        """Ask the bundled Postgres inside its pod; several statements are one transaction."""
        ask = 'exec psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v ON_ERROR_STOP=1 -qAtc "$1"'
        where = ("exec", "-n", self.namespace, "vigil-postgres-0", "--")
        return self.cluster.kubectl(*where, "sh", "-c", ask, "psql", statements).stdout.strip()

    def restarts(self) -> dict[str, int]:
        """Count how often each container was started again, by pod; pods that are just leaving are left out."""
        found = json.loads(self.cluster.kubectl("get", "pods", "-n", self.namespace, "-o", "json").stdout)["items"]
        return {
            each["metadata"]["name"]: sum(status["restartCount"] for status in each["status"]["containerStatuses"])
            for each in found
            if "deletionTimestamp" not in each["metadata"]
        }


@pytest.fixture(scope="module")
def installed(node_cluster: NodeCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Build all images, load them into the node, and install the chart in a namespace for restricted pods only."""
    begun = time.monotonic()
    archives = [*images.own_images(), *images.server_images()]
    archives.append(images.models_image(model_repository(OPEN_PACK), tmp_path_factory.mktemp("models")))
    for archive in archives:
        node_cluster.load_image(archive)
    loaded = time.monotonic()
    namespace = node_cluster.new_namespace("vigil")
    node_cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    release = Installed(node_cluster, namespace)
    options = [part for each in SETS for part in ("--set", each)]
    release.helm("install", str(CHART), *values_of("trial"), *options, "--wait")
    print(f"images {loaded - begun:.0f} s, installation {time.monotonic() - loaded:.0f} s")  # noqa: T201 - shown by pytest -rP
    yield release
    release.helm("uninstall", "--wait")
