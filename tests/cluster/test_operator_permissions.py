"""The operator under the chart's own role, and under one that lacks something."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.chart.rendering import CHART, KUBERNETES, Object, helm
from tests.chart.schemas import foreign_crds
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import NamespaceClient, Operator, camera, operating, settings
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("helm")]

ACCOUNT = "vigil-operator"


@pytest.fixture
def ns(api_cluster: ApiCluster) -> Iterator[NamespaceClient]:
    made = NamespaceClient.fresh(api_cluster, "granted")
    yield made
    # The chart would refuse to come beside it.
    api_cluster.kubectl("delete", "rolebindings", "--all", "-n", made.namespace)


def role(ns: NamespaceClient, *sets: str) -> list[Object]:
    """Render the operator's account and roles for one namespace."""
    options = [part for each in sets for part in ("--set", each)]
    options += ["--set-json", f'operator.namespaces=["{ns.namespace}"]', "--set", "rbac.aggregate=false"]
    text = helm("template", "vigil", str(CHART), "--namespace", ns.namespace, *KUBERNETES, *options).stdout
    kinds = {"Role", "RoleBinding", "ServiceAccount"}
    return [each for each in yaml.safe_load_all(text) if each and each["kind"] in kinds]


def as_granted(ns: NamespaceClient) -> dict[str, str]:
    """Return the environment of an operator that has no other right than its account's."""
    return {"KUBECONFIG": str(ns.cluster.kubeconfig_of_account(ACCOUNT, ns.namespace))}


def test_network_policies_can_be_switched_off(ns: NamespaceClient, tmp_path: Path) -> None:
    """Those that were made before are removed."""
    ns.apply(*role(ns, "operator.networkPolicy=true"))
    account = as_granted(ns)
    with operating(ns.cluster, ns.namespace, tmp_path / "with", **account):
        ns.apply(camera("front", ns.namespace))
        ns.wait_for("networkpolicy", "camera-front")
        ns.wait_for("deployment", "camera-front")
    ns.apply(*role(ns, "operator.networkPolicy=false"))
    with operating(ns.cluster, ns.namespace, tmp_path / "without", VIGIL_NETWORK_POLICY="false", **account):
        ns.wait_gone("networkpolicy", "camera-front")
        ns.apply(camera("back", ns.namespace))
        ns.wait_for("deployment", "camera-back")


def test_pod_monitors_have_the_wanted_labels_or_are_removed(own_api_cluster: ApiCluster, tmp_path: Path) -> None:
    crd = next(path for path in foreign_crds() if "podmonitors" in path.name)
    own_api_cluster.kubectl("apply", "--server-side", "-f", str(crd))
    own_api_cluster.kubectl("wait", "--for=condition=Established", "crd", "podmonitors.monitoring.coreos.com")
    ns = NamespaceClient.fresh(own_api_cluster, "granted")
    ns.apply(*role(ns, "operator.monitoring=PodMonitor"))
    account = as_granted(ns)
    wanted = {"VIGIL_MONITORING": "PodMonitor", "VIGIL_POD_MONITOR_LABELS": '{"release": "prometheus"}'}
    with operating(ns.cluster, ns.namespace, tmp_path / "with", **wanted, **account):
        ns.apply(camera("front", ns.namespace))
        ns.wait_for("podmonitor", "camera-front")
        ns.wait_for("deployment", "camera-front")
    (found,) = ns.all("podmonitors", "release=prometheus,vigil.dev/camera=front")
    assert found["metadata"]["name"] == "camera-front"
    ns.apply(*role(ns, "operator.monitoring=None"))
    with operating(ns.cluster, ns.namespace, tmp_path / "without", VIGIL_MONITORING="None", **account):
        ns.wait_gone("podmonitor", "camera-front")
        assert ns.reason("front") == "PodPending"


def test_the_cluster_wide_role_is_enough(own_api_cluster: ApiCluster, tmp_path: Path) -> None:
    own_api_cluster.install_crds()
    ns = NamespaceClient(own_api_cluster, own_api_cluster.new_namespace("granted"))
    text = helm("template", "vigil", str(CHART), "--namespace", ns.namespace, *KUBERNETES).stdout
    kinds = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount"}
    ns.apply(*(each for each in yaml.safe_load_all(text) if each and each["kind"] in kinds))
    elsewhere = NamespaceClient.fresh(own_api_cluster, "shop")
    with operating(own_api_cluster, ns.namespace, tmp_path, **as_granted(ns), VIGIL_NAMESPACES=""):
        elsewhere.apply(camera("front", elsewhere.namespace))
        elsewhere.wait_for("deployment", "camera-front")
        elsewhere.wait_reason("front", "PodPending")
        elsewhere.cluster.kubectl("delete", "camera", "front", "-n", elsewhere.namespace)
        elsewhere.wait_gone("deployment", "camera-front")


@pytest.fixture
def hindered(ns: NamespaceClient, tmp_path: Path, lacking: str) -> Iterator[Operator]:
    for each in role(ns):
        for rule in each.get("rules", []):
            rule["resources"] = [one for one in rule["resources"] if one != lacking]
        if each["kind"] == "Role":
            each["rules"] = [rule for rule in each["rules"] if rule["resources"]]
        ns.apply(each)
    operator = Operator(tmp_path, settings(ns.cluster, ns.namespace, **as_granted(ns)))
    try:
        yield operator.start()
    finally:
        operator.kill()


@pytest.mark.parametrize("lacking", ["networkpolicies", "sites"])
def test_what_it_may_not_watch_is_named_until_it_is_granted(
    ns: NamespaceClient, hindered: Operator, lacking: str
) -> None:
    def is_named() -> bool:
        status, text = hindered.ask("/readyz")
        return status == 503 and f"{lacking}." in text and "is forbidden" in text

    wait_until(is_named, 30, f"/readyz names {lacking}")
    wait_until(lambda: f"{lacking}." in hindered.log and "is forbidden" in hindered.log, 10, "so does the log")
    ns.apply(camera("front", ns.namespace))
    ns.apply(*role(ns))
    wait_until(hindered.leads, 60, "it goes on by itself")
    ns.wait_for("deployment", "camera-front")
    assert json.loads(hindered.ask("/readyz")[1])["watches"] == "ok"
