"""The chart installed, tested and upgraded where its pods really run."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.chart import images
from tests.chart.rendering import CHART, helm, values_of
from tests.support.kubernetes.errors import ClusterError
from tests.support.kubernetes.node import NodeCluster
from tests.support.servers import OPEN_PACK, model_repository

pytestmark = [pytest.mark.timeout(1500), pytest.mark.usefixtures("helm")]

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


@dataclass(frozen=True)
class Installed:
    """A release on a node."""

    cluster: NodeCluster
    namespace: str

    def helm(self, verb: str, *options: str) -> str:
        """Run Helm for the release; what went wrong in the cluster is in the error."""
        where = ("--namespace", self.namespace, "--timeout", f"{READY_S}s")
        done = helm(
            verb, "vigil", *options, *where, check=False, kubeconfig=self.cluster.kubeconfig, timeout_s=READY_S + 60
        )
        if done.returncode:
            raise ClusterError(f"helm {verb}: {done.stderr}\n{self.state()}")
        return done.stdout

    def state(self) -> str:
        """Tell how the pods are, for a failure."""
        ask = self.cluster.kubectl
        told = ask("get", "pods,jobs", "-n", self.namespace, "-o", "wide", check=False).stdout
        told += ask("get", "events", "-n", self.namespace, "--sort-by=.lastTimestamp", check=False).stdout[-3000:]
        selector = ("-l", "app.kubernetes.io/part-of=vigil")
        logs = ("logs", "-n", self.namespace, *selector, "--all-containers", "--prefix", "--tail=15")
        return told + ask(*logs, check=False).stdout

    def restarts(self) -> dict[str, int]:
        """Count how often each container was started again, by pod."""
        found = json.loads(self.cluster.kubectl("get", "pods", "-n", self.namespace, "-o", "json").stdout)["items"]
        return {
            each["metadata"]["name"]: sum(status["restartCount"] for status in each["status"]["containerStatuses"])
            for each in found
        }


@pytest.fixture(scope="module")
def installed(node_cluster: NodeCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    repository: Path = model_repository(OPEN_PACK)
    archives = [*images.own_images(), *images.server_images()]
    archives.append(images.models_image(repository, tmp_path_factory.mktemp("models")))
    for archive in archives:
        node_cluster.load_image(archive)
    namespace = node_cluster.new_namespace("vigil")
    node_cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    release = Installed(node_cluster, namespace)
    options = [part for each in SETS for part in ("--set", each)]
    release.helm("install", str(CHART), *values_of("trial"), *options, "--wait")
    yield release
    helm("uninstall", "vigil", "--namespace", namespace, "--wait", kubeconfig=node_cluster.kubeconfig, timeout_s=120)


def test_an_installation_passes_its_own_test(installed: Installed) -> None:
    told = installed.helm("test", "--logs")
    assert "Phase:          Succeeded" in told
    assert "ok    GraphQL answers" in told
    assert "ok    Triton serves face_recognition" in told


def test_nothing_had_to_be_restarted_to_come_up(installed: Installed) -> None:
    assert set(installed.restarts().values()) == {0}


def test_an_upgrade_migrates_first_and_passes_the_test_again(installed: Installed) -> None:
    before = _requests_for_jobs(installed)
    options = [part for each in SETS for part in ("--set", each)]
    installed.helm("upgrade", str(CHART), *values_of("trial"), *options, "--set", "log.level=debug", "--wait")
    assert _requests_for_jobs(installed) > before, "a migration ran"
    jobs = installed.cluster.kubectl("get", "jobs", "-n", installed.namespace, "-o", "name").stdout
    assert jobs == "", "a migration that succeeded is taken away"
    assert "Phase:          Succeeded" in installed.helm("test")


def _requests_for_jobs(installed: Installed) -> int:
    made = (each for each in installed.cluster.requests() if each.verb == "create" and each.resource == "jobs")
    return sum(each.namespace == installed.namespace for each in made)


def test_a_migration_that_fails_leaves_what_runs_alone(installed: Installed) -> None:
    before = installed.restarts()
    options = [part for each in SETS for part in ("--set", each)]
    broken = ("--set", "migrate.deadlineSeconds=30", "--set", "identity.image=vigil/not-there")
    with pytest.raises(ClusterError, match="pre-upgrade hooks failed"):
        installed.helm("upgrade", str(CHART), *values_of("trial"), *options, *broken, "--wait")
    assert installed.restarts().items() >= before.items()
    assert "Phase:          Succeeded" in installed.helm("test")
