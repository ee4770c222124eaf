"""The operator may do what it has to, and nothing else; asked of a real API server with the chart's own roles."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from kubernetes.client import (
    AuthorizationV1Api,
    V1ResourceAttributes,
    V1SubjectAccessReview,
    V1SubjectAccessReviewSpec,
)
from kubernetes.config import new_client_from_config
from tests.chart.rendering import CHART, EXAMPLES, KUBERNETES, helm, rendered
from tests.support.kubernetes.api import ApiCluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("helm")

SEEN = ("list", "watch")
READ = ("get", *SEEN)
CHILD = (*READ, "create", "patch", "delete")

ALLOWED = {
    "cameras.vigil.dev": SEEN,
    "subjects.vigil.dev": (*READ, "patch"),
    "sites.vigil.dev": SEEN,
    "cameras.vigil.dev/status": ("patch",),
    "subjects.vigil.dev/status": ("patch",),
    "sites.vigil.dev/status": ("patch",),
    "cameras.vigil.dev/finalizers": ("update",),
    "deployments.apps": CHILD,
    "serviceaccounts": CHILD,
    "configmaps": CHILD,
    "networkpolicies.networking.k8s.io": CHILD,
    "podmonitors.monitoring.coreos.com": (*READ, "delete"),
    "pods": (*SEEN, "delete"),
    "secrets": READ,
    "events.events.k8s.io": ("create",),
}
"""In every namespace that the operator serves."""

DENIED = {
    "cameras.vigil.dev": ("get", "create", "update", "patch", "delete", "deletecollection"),
    "subjects.vigil.dev": ("create", "update", "delete", "deletecollection"),
    "subjects.vigil.dev/finalizers": ("update",),
    "sites.vigil.dev": ("get", "create", "update", "patch", "delete"),
    "cameras.vigil.dev/status": ("update",),
    "deployments.apps": ("update", "deletecollection"),
    "deployments.apps/scale": ("update", "patch"),
    "serviceaccounts": ("update", "impersonate"),
    "serviceaccounts/token": ("create",),
    "configmaps": ("update", "deletecollection"),
    "networkpolicies.networking.k8s.io": ("update", "deletecollection"),
    "podmonitors.monitoring.coreos.com": ("create", "update", "patch", "deletecollection"),
    "pods": ("get", "create", "update", "patch", "deletecollection"),
    "pods/exec": ("create", "get"),
    "pods/portforward": ("create",),
    "pods/log": ("get",),
    "pods/eviction": ("create",),
    "pods/ephemeralcontainers": ("patch", "update"),
    "secrets": ("create", "update", "patch", "delete", "deletecollection"),
    "events.events.k8s.io": ("get", "list", "patch", "delete"),
    "services": ("get", "list", "create", "delete"),
    "endpoints": ("get", "create"),
    "persistentvolumeclaims": ("get", "create", "delete"),
    "statefulsets.apps": ("get", "create", "patch", "delete"),
    "daemonsets.apps": ("create", "patch"),
    "replicasets.apps": ("get", "create", "delete"),
    "jobs.batch": ("create", "delete"),
    "roles.rbac.authorization.k8s.io": ("create", "bind", "escalate", "patch"),
    "rolebindings.rbac.authorization.k8s.io": ("create", "patch"),
    "leases.coordination.k8s.io": ("list", "watch", "patch", "delete", "deletecollection"),
}
"""In a namespace that the operator serves."""

DENIED_IN_THE_CLUSTER = {
    "nodes": ("get", "list", "patch", "delete"),
    "namespaces": ("get", "list", "create", "delete"),
    "persistentvolumes": ("get", "create"),
    "priorityclasses.scheduling.k8s.io": ("get", "create"),
    "runtimeclasses.node.k8s.io": ("get", "create"),
    "clusterroles.rbac.authorization.k8s.io": ("create", "bind", "escalate", "patch"),
    "clusterrolebindings.rbac.authorization.k8s.io": ("create", "patch"),
    "customresourcedefinitions.apiextensions.k8s.io": (*READ, "create", "update", "patch", "delete"),
    "validatingwebhookconfigurations.admissionregistration.k8s.io": ("get", "create", "patch"),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": ("get", "create", "patch"),
    "certificatesigningrequests.certificates.k8s.io": ("create",),
    "users": ("impersonate",),
    "groups": ("impersonate",),
}


def _rows(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(verb, resource) for resource, verbs in table.items() for verb in verbs]


@dataclass(frozen=True)
class Installed:
    """One installation of the chart's permissions.

    Attributes
    ----------
    served
        A namespace in which Cameras are.
    other
        A namespace that has nothing to do with it.
    """

    cluster: ApiCluster
    client: AuthorizationV1Api
    release: str
    namespace: str
    served: str
    other: str

    def may(self, verb: str, resource: str, namespace: str | None, account: str = "operator", name: str = "") -> bool:
        """Ask the API server, by a review that names what is asked exactly."""
        plural, _, sub = resource.partition("/")
        plural, _, group = plural.partition(".")
        asked = V1ResourceAttributes(
            verb=verb, resource=plural, group=group, subresource=sub, name=name, namespace=namespace or ""
        )
        user = f"system:serviceaccount:{self.namespace}:{self.release}-{account}"
        review = V1SubjectAccessReview(spec=V1SubjectAccessReviewSpec(user=user, resource_attributes=asked))
        status = self.client.create_subject_access_review(review).status
        assert status is not None
        return bool(status.allowed)


def _install(cluster: ApiCluster, *values: str, namespaced: bool) -> Iterator[Installed]:
    cluster.install_crds()
    namespace, served, other = (cluster.new_namespace(prefix) for prefix in ("vigil", "shop", "other"))
    release = f"vigil-{uuid4().hex[:6]}"
    sets = [part for each in ("crds.install=false", *values) for part in ("--set", each)]
    if namespaced:
        sets += ["--set-json", f'operator.namespaces=["{served}"]', "--set", "rbac.aggregate=false"]
    manifests = helm("template", release, str(CHART), "--namespace", namespace, *KUBERNETES, *sets).stdout
    roles = [part for part in manifests.split("\n---\n") if "Role" in part or "kind: ServiceAccount" in part]
    cluster.apply("\n---\n".join(roles))
    with new_client_from_config(str(cluster.kubeconfig)) as client:
        yield Installed(cluster, AuthorizationV1Api(client), release, namespace, served, other)
    bindings, instance = "clusterrolebindings,rolebindings", f"app.kubernetes.io/instance={release}"
    cluster.kubectl("delete", bindings, "--all-namespaces", "-l", instance)  # the chart would refuse to come beside it


@pytest.fixture(scope="module")
def cluster_wide(api_cluster: ApiCluster) -> Iterator[Installed]:
    yield from _install(api_cluster, namespaced=False)


@pytest.fixture(scope="module")
def namespaced(api_cluster: ApiCluster) -> Iterator[Installed]:
    yield from _install(api_cluster, namespaced=True)


@pytest.mark.parametrize(("verb", "resource"), _rows(ALLOWED))
def test_the_operator_may(cluster_wide: Installed, verb: str, resource: str) -> None:
    assert cluster_wide.may(verb, resource, cluster_wide.served)


@pytest.mark.parametrize(("verb", "resource"), _rows(DENIED))
def test_the_operator_may_not(cluster_wide: Installed, verb: str, resource: str) -> None:
    assert not cluster_wide.may(verb, resource, cluster_wide.served)
    assert not cluster_wide.may(verb, resource, cluster_wide.namespace), "nor beside itself"


@pytest.mark.parametrize(("verb", "resource"), _rows(DENIED_IN_THE_CLUSTER))
def test_the_operator_may_not_in_the_cluster(cluster_wide: Installed, verb: str, resource: str) -> None:
    assert not cluster_wide.may(verb, resource, None)


@pytest.mark.parametrize(("verb", "resource"), _rows(ALLOWED))
def test_a_namespaced_operator_may_only_where_it_serves(namespaced: Installed, verb: str, resource: str) -> None:
    assert namespaced.may(verb, resource, namespaced.served)
    assert not namespaced.may(verb, resource, namespaced.other)
    assert not namespaced.may(verb, resource, namespaced.namespace), "not even beside itself"
    assert not namespaced.may(verb, resource, None), "nor in all namespaces"


@pytest.mark.parametrize(("verb", "resource"), _rows({**DENIED, **DENIED_IN_THE_CLUSTER}))
def test_a_namespaced_operator_may_not(namespaced: Installed, verb: str, resource: str) -> None:
    assert not namespaced.may(verb, resource, namespaced.served)


LEASES = "leases.coordination.k8s.io"


@pytest.mark.parametrize("installed", ["cluster_wide", "namespaced"])
def test_the_lease_is_its_own_in_its_own_namespace(installed: str, request: pytest.FixtureRequest) -> None:
    operator: Installed = request.getfixturevalue(installed)
    own = f"{operator.release}-operator"
    assert operator.may("create", LEASES, operator.namespace)
    assert operator.may("get", LEASES, operator.namespace, name=own)
    assert operator.may("update", LEASES, operator.namespace, name=own)
    assert not operator.may("patch", LEASES, operator.namespace, name=own)
    for foreign in ("kube-scheduler", "vigil-operator"):
        assert not operator.may("update", LEASES, operator.namespace, name=foreign), "that is another's"
    for verb in ("create", "update"):
        assert not operator.may(verb, LEASES, operator.served, name=own)


@pytest.mark.parametrize("name", ["vigil-operator", "a-vigil-operator", "shop"])
def test_leases_of_others_need_the_whole_cluster(cluster_wide: Installed, namespaced: Installed, name: str) -> None:
    """Only an operator that serves the whole cluster may read the Leases of other installations."""
    assert cluster_wide.may("get", LEASES, cluster_wide.other, name=name)
    for verb in ("list", "watch", "create", "update", "patch", "delete"):
        assert not cluster_wide.may(verb, LEASES, cluster_wide.other, name=name)
    for place in (namespaced.other, namespaced.served, namespaced.namespace):
        assert not namespaced.may("get", LEASES, place, name=name)


def test_pod_monitors_are_made_only_where_they_are_wanted(own_api_cluster: ApiCluster) -> None:
    for release in _install(own_api_cluster, "operator.monitoring=PodMonitor", namespaced=False):
        for verb in CHILD:
            assert release.may(verb, "podmonitors.monitoring.coreos.com", release.served)


@pytest.mark.parametrize("account", ["api", "identity", "triton", "nats", "postgres"])
@pytest.mark.parametrize("resource", ["secrets", "pods", "cameras.vigil.dev", "configmaps"])
def test_nothing_but_the_operator_may_anything(cluster_wide: Installed, account: str, resource: str) -> None:
    for verb in (*READ, "create", "patch", "delete"):
        assert not cluster_wide.may(verb, resource, cluster_wide.namespace, account)


@pytest.mark.parametrize("example", EXAMPLES)
def test_no_rule_has_a_wildcard(example: str) -> None:
    for each in rendered(example):
        for rule in each.get("rules", []) if each["kind"].endswith("Role") else []:
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]


PEOPLE = {
    ("view", "list", "cameras"): True,
    ("view", "list", "sites"): True,
    ("view", "list", "subjects"): False,
    ("view", "create", "cameras"): False,
    ("edit", "create", "cameras"): True,
    ("edit", "delete", "subjects"): True,
    ("edit", "list", "subjects"): True,
    ("edit", "patch", "sites"): False,
    ("admin", "patch", "sites"): True,
    ("admin", "delete", "cameras"): True,
    ("admin", "patch", "cameras/status"): False,
}


def test_people_get_vigils_kinds_with_the_clusters_own_roles(cluster_wide: Installed) -> None:
    cluster, namespace = cluster_wide.cluster, cluster_wide.served
    for role in ("view", "edit", "admin"):
        cluster.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}", "-n", namespace)

    def can(role: str, verb: str, resource: str) -> bool:
        kind, _, sub = resource.partition("/")
        option = [f"--subresource={sub}"] if sub else []
        asked = ["auth", "can-i", verb, f"{kind}.vigil.dev", *option, "--as", role, "-n", namespace]
        return cluster.kubectl(*asked, check=False).stdout.strip() == "yes"

    wait_until(lambda: can("admin", "patch", "sites"), 30, "the controller manager to add the roles up")
    assert {asked: can(*asked) for asked in PEOPLE} == PEOPLE
