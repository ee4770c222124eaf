"""The Job that migrates the database: when it runs, and when it is another Job."""

import pytest
from tests.chart.rendering import (
    only,
    rendered,
)

pytestmark = pytest.mark.usefixtures("helm")


def test_only_the_first_migration_is_no_hook() -> None:
    """Programs wait for the Job of the first installation; later migrations are hooks before all other changes."""
    bundled = next(each for each in rendered("default") if each["kind"] == "Job")
    external = next(each for each in rendered("production") if each["kind"] == "Job")
    assert "annotations" not in bundled["metadata"], "before an installation there is no bundled Postgres to migrate"
    assert external["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert external["spec"]["template"]["spec"]["serviceAccountName"] == "default", "none of ours is there yet"
    for kind, name in (("Deployment", "vigil-api"), ("StatefulSet", "vigil-identity")):
        spec = only(rendered("default"), kind, name)["spec"]["template"]["spec"]
        assert [each["name"] for each in spec["initContainers"]] == ["wait-for-schema"]


@pytest.mark.parametrize(
    "change",
    [
        "image.tag=1.1",
        "image.registry=mirror.example.com",
        "image.pullPolicy=Always",
        "imagePullSecrets[0].name=mirror",
        "log.level=debug",
        "log.format=console",
        "priorityClassName=system-cluster-critical",
        "postgres.bundled.passwordSecret.name=mine",
        "migrate.resources.limits.memory=1Gi",
        "migrate.deadlineSeconds=60",
        "fullnameOverride=sight",
        "nameOverride=sight",
    ],
)
def test_another_migration_pod_means_another_job_name(change: str) -> None:
    """The pods of a Job cannot be changed, so each change of them gives the Job another name."""
    before, after = (only(rendered("default", *sets), "Job") for sets in ((), (change,)))
    assert before["spec"] != after["spec"]
    assert before["metadata"]["name"] != after["metadata"]["name"], "the pods of a Job cannot be changed"


@pytest.mark.parametrize("change", ["api.replicaCount=2", "operator.monitoring=PodMonitor"])
def test_other_changes_keep_the_migration_job(change: str) -> None:
    assert only(rendered("default"), "Job") == only(rendered("default", change), "Job")


def test_an_upgrade_removes_the_job_of_a_failed_migration() -> None:
    """The Job of a failed migration is removed by the next upgrade, whatever its pod was made of."""
    before, after = (only(rendered("production", *sets), "Job")["metadata"] for sets in ((), ("image.tag=not-there",)))
    assert before["name"] == after["name"] == "vigil-migrate"
    assert "before-hook-creation" in after["annotations"]["helm.sh/hook-delete-policy"]
