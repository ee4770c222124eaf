"""The test clusters themselves: what they promise to the tests that use them."""

import pytest
from tests.support.kubernetes.api import ApiCluster
from tests.support.kubernetes.errors import ClusterError
from tests.support.waiting import wait_until

pytestmark = pytest.mark.cluster

CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: {namespace}}}
data: {{answer: "42"}}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: "vigil.test/none:1"}}]}}
"""


def test_an_api_cluster_stores_and_its_controllers_act(api_cluster: ApiCluster) -> None:
    namespace = api_cluster.new_namespace()
    api_cluster.apply(DEPLOYMENT.format(namespace=namespace))

    def pods() -> str:
        return api_cluster.kubectl("get", "pods", "-n", namespace, "-l", "app=web", "-o", "name").stdout

    wait_until(pods, 30, "a pod of the Deployment")


def test_the_audit_log_tells_who_wrote_what(api_cluster: ApiCluster) -> None:
    namespace = api_cluster.new_namespace()
    mark = api_cluster.audit_size()
    api_cluster.apply(CONFIG_MAP.format(name="applied", namespace=namespace))
    api_cluster.get("configmap", "applied", namespace)

    mine = [request for request in api_cluster.requests(mark) if request.resource == "configmaps"]
    assert [(request.verb, request.is_write) for request in mine] == [("get", False), ("create", True), ("get", False)]
    assert {(request.namespace, request.user) for request in mine} == {(namespace, "vigil-test-admin")}
    assert all(request.agent.startswith("kubectl/") for request in mine)


def test_an_unknown_user_may_do_nothing_until_rbac_says_so(api_cluster: ApiCluster) -> None:
    namespace = api_cluster.new_namespace()
    stranger = api_cluster.kubeconfig_for("stranger", ["strangers"])
    ask = ("auth", "can-i", "list", "pods", "-n", namespace)
    assert api_cluster.kubectl(*ask, check=False, kubeconfig=stranger).stdout.strip() == "no"
    bind = ("create", "rolebinding", "see", "--clusterrole=view", "--group=strangers", "-n", namespace)
    api_cluster.kubectl(*bind)
    answer = lambda: api_cluster.kubectl(*ask, check=False, kubeconfig=stranger).stdout.strip() == "yes"  # noqa: E731
    wait_until(answer, 10, "the binding counts")


def test_what_was_stored_outlives_a_killed_api_server_and_etcd(own_api_cluster: ApiCluster) -> None:
    own_api_cluster.apply(CONFIG_MAP.format(name="kept", namespace="default"))
    own_api_cluster.restart("etcd")
    own_api_cluster.stop_program("kube-apiserver")
    with pytest.raises(ClusterError, match="refused"):
        own_api_cluster.get("configmap", "kept")
    own_api_cluster.start_program("kube-apiserver")
    assert own_api_cluster.get("configmap", "kept")["data"] == {"answer": "42"}


def test_a_hanging_api_server_answers_again_when_resumed(own_api_cluster: ApiCluster) -> None:
    own_api_cluster.cut()
    with pytest.raises(ClusterError, match=r"timeout|Timeout|deadline"):
        own_api_cluster.kubectl("get", "namespaces", "--request-timeout=2s")
    own_api_cluster.mend()
    assert own_api_cluster.get("namespace", "default")["status"] == {"phase": "Active"}


def test_a_failed_start_names_the_reason_and_the_log(own_api_cluster: ApiCluster) -> None:
    own_api_cluster.stop_program("kube-apiserver")
    own_api_cluster.place.authority.certificate.unlink()
    with pytest.raises(ClusterError, match=r"(?s)kube-apiserver did not start.*kube-apiserver\.log.*ca\.crt"):
        own_api_cluster.start_program("kube-apiserver")
