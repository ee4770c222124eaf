"""The chart is accepted by a real API server, under the strictest rules for pods, and survives upgrades."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from tests.chart.rendering import CHART, EXAMPLES, helm, pods, rendered, values_of
from tests.support.kubernetes.api import ApiCluster
from tests.support.kubernetes.errors import ClusterError
from tests.support.shared import ROOT

pytestmark = pytest.mark.usefixtures("helm")

RUNTIME_CLASS = {
    "apiVersion": "node.k8s.io/v1",
    "kind": "RuntimeClass",
    "metadata": {"name": "nvidia"},
    "handler": "nvidia",
}


@pytest.fixture(scope="module")
def strict_namespace(api_cluster: ApiCluster) -> str:
    """Make a namespace that lets in no pod that is not restricted."""
    name = api_cluster.new_namespace("strict")
    api_cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    api_cluster.apply(json.dumps(RUNTIME_CLASS))
    return name


def _bare_pod(template: dict[str, Any], name: str) -> str:
    spec = {**template["spec"], "serviceAccountName": "default"}
    volumes = [each["name"] for each in spec.get("volumes", [])]
    claimed = {mount["name"] for each in spec["containers"] for mount in each.get("volumeMounts", [])} - set(volumes)
    spec["volumes"] = [*spec.get("volumes", []), *({"name": each, "emptyDir": {}} for each in sorted(claimed))]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    return json.dumps(pod)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_pod_is_let_in_where_only_restricted_ones_are(
    api_cluster: ApiCluster, strict_namespace: str, example: str
) -> None:
    for name, template in pods(rendered(example)):
        pod = _bare_pod(template, name.split("/")[1])
        api_cluster.kubectl("apply", "--dry-run=server", "-n", strict_namespace, "-f", "-", input=pod)


def test_a_pod_that_is_not_restricted_would_be_refused(api_cluster: ApiCluster, strict_namespace: str) -> None:
    name, template = next(iter(pods(rendered("default"))))
    pod = json.loads(_bare_pod(template, name.split("/")[1].lower()))
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]
    with pytest.raises(ClusterError, match="unrestricted capabilities"):
        api_cluster.kubectl("apply", "--dry-run=server", "-n", strict_namespace, "-f", "-", input=json.dumps(pod))


class Release:
    """A release of the chart in a namespace of its own; without CRDs, which clusters share."""

    def __init__(self, cluster: ApiCluster, chart: Path = CHART) -> None:
        self.cluster = cluster
        self.name = f"vigil-{uuid4().hex[:6]}"
        self.namespace = cluster.new_namespace("release")
        self.chart = chart

    def run(self, verb: str, *options: str, crds: bool = False) -> str:
        """Install or upgrade."""
        sets = ["--set", f"crds.install={str(crds).lower()}", *options]
        return helm(
            verb, self.name, str(self.chart), "--namespace", self.namespace, *sets, kubeconfig=self.cluster.kubeconfig
        ).stdout

    def secret(self, name: str, namespace: str | None = None) -> dict[str, str]:
        """Read a Secret in clear."""
        data = self.cluster.get("secret", name, namespace or self.namespace)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def has_secret(self, name: str) -> bool:
        """Return whether a Secret exists."""
        return not self.cluster.kubectl("get", "secret", name, "-n", self.namespace, check=False).returncode

    def generation(self, kind: str, component: str) -> int:
        """Return a number that changes with the spec of an object."""
        found = self.cluster.get(kind, f"{self.name}-{component}", self.namespace)
        return int(found["metadata"]["generation"])

    def uninstall(self) -> None:
        """Take the release away."""
        helm("uninstall", self.name, "--namespace", self.namespace, kubeconfig=self.cluster.kubeconfig)


@pytest.fixture
def release(api_cluster: ApiCluster) -> Iterator[Release]:
    found = Release(api_cluster)
    yield found
    found.uninstall()


WORKLOADS = (
    ("deployment", "api"),
    ("deployment", "operator"),
    ("deployment", "triton"),
    ("statefulset", "identity"),
    ("statefulset", "nats"),
    ("statefulset", "postgres"),
)


def test_an_installation_says_what_to_do_next(release: Release) -> None:
    notes = release.run("install")
    assert f"helm test {release.name}" in notes
    assert "kind: Camera" in notes
    assert "For a trial only: NATS, Postgres, Triton on the CPU" in notes
    documents = notes.split("apply -f - <<EOF\n")[1].split("EOF")[0]
    assert {each["kind"] for each in yaml.safe_load_all(documents)} == {"Site", "Camera"}


def test_the_example_in_the_notes_is_accepted(release: Release) -> None:
    documents = release.run("install").split("apply -f - <<EOF\n")[1].split("EOF")[0]
    release.cluster.install_crds()
    release.cluster.kubectl("apply", "--dry-run=server", "-n", release.namespace, "-f", "-", input=documents)


def test_an_upgrade_without_change_restarts_nothing(release: Release) -> None:
    """An upgrade with the same values restarts no pod and keeps every Secret."""
    other = release.cluster.new_namespace("shop")
    spaces = ("--set-json", f'cameraNamespaces=["{other}"]')
    release.run("install", *spaces)
    secrets = release.secret("vigil-bus"), release.secret(f"{release.name}-secrets")
    generations = [release.generation(*each) for each in WORKLOADS]
    assert release.secret("vigil-bus", other) == release.secret("vigil-bus")
    release.run("upgrade", *spaces)
    assert (release.secret("vigil-bus"), release.secret(f"{release.name}-secrets")) == secrets
    assert [release.generation(*each) for each in WORKLOADS] == generations
    assert len(secrets[0]["token"]) >= 40


def test_an_upgrade_changes_what_was_changed(release: Release) -> None:
    release.run("install")
    before = {each: release.generation(*each) for each in WORKLOADS}
    release.run("upgrade", "--set", "image.tag=9.9", "--set", "operator.replicaCount=2")
    after = {each: release.generation(*each) for each in WORKLOADS}
    own = {each for each in WORKLOADS if each[1] in {"api", "operator", "triton", "identity"}}
    assert {each for each in WORKLOADS if after[each] != before[each]} == own, "bundled servers go on running"
    jobs = json.loads(release.cluster.kubectl("get", "jobs", "-n", release.namespace, "-o", "json").stdout)["items"]
    images = [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in jobs]
    assert images == ["vigil/gateway:9.9"], "one migration, of the new version"


def test_a_running_database_is_migrated_first(own_api_cluster: ApiCluster) -> None:
    """A database that runs already is migrated before anything else of the release changes."""
    release = Release(own_api_cluster)
    release.run("install")
    own_api_cluster.stop_program("kube-controller-manager")  # it would see that no node runs anything
    status = json.dumps({"status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1}})
    name = f"{release.name}-postgres"
    options = ("-n", release.namespace, "--subresource=status", "--type=merge", "-p", status)
    own_api_cluster.kubectl("patch", "statefulset", name, *options)
    output = release.run("upgrade", "--dry-run=server", "--set", "image.tag=9.9")
    job = next(part for part in output.split("\n---\n") if "kind: Job" in part)
    assert "helm.sh/hook: pre-install,pre-upgrade" in job


def test_every_bundled_server_can_be_replaced_by_an_external_one(release: Release) -> None:
    release.run("install")
    external = ["--set", "nats.mode=external", "--set", "nats.external.url=nats://nats:4222"]
    external += ["--set", "nats.tokenSecret.name=bus", "--set", "qdrant.mode=server"]
    release.run("upgrade", *external, "--set", "qdrant.server.url=http://qdrant:6333")
    kinds = json.loads(release.cluster.kubectl("get", "statefulset", "-n", release.namespace, "-o", "json").stdout)
    assert [each["metadata"]["name"] for each in kinds["items"]] == [f"{release.name}-postgres"]
    assert release.generation("deployment", "identity") == 1


def test_a_deleted_secret_is_generated_and_read_again(release: Release) -> None:
    """After an upgrade, a Secret that was deleted exists again and all pods have read the new one."""
    release.run("install")
    old = release.secret("vigil-bus")
    before = {each: release.generation(*each) for each in WORKLOADS}
    release.cluster.kubectl("delete", "secret", "vigil-bus", "-n", release.namespace)
    release.run("upgrade")
    assert release.secret("vigil-bus") != old
    readers = {each for each in WORKLOADS if each[1] in {"api", "operator", "identity", "nats"}}
    assert {each for each in WORKLOADS if release.generation(*each) != before[each]} == readers


def test_the_password_stays_with_the_volume_that_knows_it(release: Release) -> None:
    name = f"{release.name}-secrets"
    release.run("install")
    before = release.secret(name)
    release.uninstall()
    assert release.secret(name) == before
    release.run("install")
    assert release.secret(name) == before


def test_no_password_stays_of_a_database_that_does_not(api_cluster: ApiCluster) -> None:
    release = Release(api_cluster)
    release.run("install", "--set", "postgres.bundled.persistence.enabled=false")
    assert release.has_secret(f"{release.name}-secrets")
    release.uninstall()
    assert not release.has_secret(f"{release.name}-secrets")


def test_own_secrets_are_used_and_never_written(api_cluster: ApiCluster) -> None:
    release = Release(api_cluster)
    for name in ("bus", "mine"):
        api_cluster.kubectl("create", "secret", "generic", name, "--from-literal=token=x", "-n", release.namespace)
    sets = [f"--set={each}" for each in ("nats.tokenSecret.name=bus", "api.tokenSecret.name=mine")]
    sets += [
        f"--set={each}" for each in ("identity.tokenSecret.name=mine", "postgres.bundled.passwordSecret.name=mine")
    ]
    release.run("install", *sets, "--set=postgres.bundled.passwordSecret.key=token")
    found = json.loads(api_cluster.kubectl("get", "secrets", "-n", release.namespace, "-o", "json").stdout)["items"]
    names = {each["metadata"]["name"] for each in found if not each["type"].startswith("helm.sh/")}
    assert names == {"bus", "mine"}
    release.uninstall()
    assert release.secret("bus") == {"token": "x"}


@pytest.mark.parametrize("token", ['a"b', r"a\b"])
def test_a_token_that_the_bundled_bus_would_misread_is_refused(api_cluster: ApiCluster, token: str) -> None:
    release = Release(api_cluster)
    api_cluster.kubectl("create", "secret", "generic", "bus", f"--from-literal=token={token}", "-n", release.namespace)
    with pytest.raises(
        AssertionError, match="the token in the Secret bus contains a quotation mark or a backslash"
    ) as error:
        release.run("install", "--set=nats.tokenSecret.name=bus")
    assert token not in str(error.value)


def test_crds_are_installed_upgraded_and_kept(own_api_cluster: ApiCluster, tmp_path: Path) -> None:
    old = _older_chart(tmp_path)
    release = Release(own_api_cluster, old)
    release.run("install", crds=True)
    own_api_cluster.kubectl("wait", "--for=condition=Established", "crd", "cameras.vigil.dev", "--timeout=30s")
    manifest = (ROOT / "samples" / "other-sources.yaml").read_text()
    own_api_cluster.kubectl("apply", "-n", release.namespace, "-f", "-", input=manifest)
    assert "Reason" not in _columns(own_api_cluster)
    release.chart = CHART
    release.run("upgrade", crds=True)
    assert "Reason" in _columns(own_api_cluster), "the upgrade brought the new definition"
    release.uninstall()
    left = own_api_cluster.kubectl("get", "cameras", "-n", release.namespace, "-o", "name").stdout.split()
    assert len(left) == 3, "who uninstalls keeps what was declared"
    again = Release(own_api_cluster)
    with pytest.raises(AssertionError, match=rf"the CRDs exist already \(of the release {release.namespace}"):
        again.run("install", crds=True)
    again.run("install", crds=False)


@pytest.mark.parametrize("first", ["the whole cluster", "some namespaces"])
def test_a_second_operator_over_the_same_namespaces_is_refused(release: Release, first: str) -> None:
    cluster, served = release.cluster, [release.cluster.new_namespace(prefix) for prefix in ("shop", "yard")]
    some = [("--set-json", f'operator.namespaces=["{name}"]', "--set", "rbac.aggregate=false") for name in served]
    release.run("install", *(some[0] if first == "some namespaces" else ()))
    second = Release(cluster)
    with pytest.raises(AssertionError, match="another Vigil operator runs in this cluster") as error:
        second.run("install")
    assert f"the account {release.namespace}/{release.name}-operator" in str(error.value)
    assert "uninstall that release, or set operator.namespaces of both" in str(error.value)
    release.run("upgrade", *some[0])
    second.run("install", *some[1])
    with pytest.raises(AssertionError, match="another Vigil operator runs in this cluster"):
        second.run("upgrade")
    second.uninstall()


def test_a_release_keeps_the_name_of_its_lease(release: Release) -> None:
    """An operator keeps the name of its Lease over upgrades, and never uses the Lease of another release."""
    cluster, here, own = release.cluster, release.namespace, f"{release.name}-operator"

    def lease() -> str:
        found = cluster.get("deployment", own, here)["spec"]["template"]["spec"]["containers"][0]["env"]
        name: str = next(each["value"] for each in found if each["name"] == "VIGIL_LEASE_NAME")
        rules = cluster.get("role", f"{own}-lease", here)["rules"]
        assert [each.get("resourceNames", [name]) for each in rules] == [[name], [name]]
        return name

    def of_before(holder: str) -> None:
        """Turn the release into one of an older chart, which named no Lease, while an operator holds vigil-operator."""
        cluster.kubectl("set", "env", f"deployment/{own}", "VIGIL_LEASE_NAME-", "-n", here)
        held = {"metadata": {"name": "vigil-operator", "namespace": here}, "spec": {"holderIdentity": holder}}
        cluster.apply(json.dumps({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **held}))

    release.run("install")
    assert lease() == own
    of_before(holder=f"{own}-5d9c-x2x_1_a")
    release.run("upgrade")
    assert lease() == "vigil-operator", "else its own Cameras would be another installation's"
    release.run("upgrade")
    assert lease() == "vigil-operator"
    of_before(holder="other-vigil-operator-5d9c-x2x_1_a")
    release.run("upgrade")
    assert lease() == own


def _columns(cluster: ApiCluster) -> list[str]:
    found = json.loads(cluster.kubectl("get", "crd", "cameras.vigil.dev", "-o", "json").stdout)
    return [each["name"] for each in found["spec"]["versions"][0]["additionalPrinterColumns"]]


def _older_chart(folder: Path) -> Path:
    """There is no earlier release yet: the chart as it is, with a definition that lacks a column."""
    chart = folder / "vigil"
    shutil.copytree(CHART, chart)
    path = chart / "files" / "crds" / "cameras.vigil.dev.yaml"
    crd = yaml.safe_load(path.read_text())
    version = crd["spec"]["versions"][0]
    version["additionalPrinterColumns"] = [
        each for each in version["additionalPrinterColumns"] if each["name"] == "Age"
    ]
    path.write_text(yaml.safe_dump(crd, sort_keys=False))
    text = (chart / "Chart.yaml").read_text().replace("version: 0.1.0\n", "version: 0.0.9\n", 1)
    (chart / "Chart.yaml").write_text(text)
    return chart


@pytest.mark.parametrize("example", ["default", "trial", "namespaced"])
def test_every_example_installs(api_cluster: ApiCluster, example: str) -> None:
    release = Release(api_cluster)
    if example == "namespaced":
        for name in ("shop", "warehouse"):
            api_cluster.kubectl("create", "namespace", name, check=False)
    release.run("install", *values_of(example))
    release.uninstall()
