"""Whole nodes and pretended ones: what they promise to the tests that use them."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest
from tests.support.kubernetes import base_image, cleanup, fixed_places, images, machine
from tests.support.kubernetes.errors import ClusterError, NotHereError
from tests.support.kubernetes.kwok import KwokCluster
from tests.support.kubernetes.node import NodeCluster
from tests.support.shared import ROOT, missing
from tests.support.waiting import wait_until

pytestmark = pytest.mark.cluster
# what the base image is made of comes over the network, once for all runs on a machine
IMAGE_TIMEOUT_S = 1200
WEB = "vigil.test/web:1"

RESTRICTED = """
apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: page, namespace: {namespace}}}
data: {{index.html: "it is me"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      automountServiceAccountToken: false
      securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
        - name: web
          image: {image}
          imagePullPolicy: Never
          command: [python3, -u, -m, http.server, "8080", --directory, /page]
          readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: [ALL]}}
          volumeMounts: [{{name: page, mountPath: /page}}]
      volumes: [{{name: page, configMap: {{name: page}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {namespace}}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""


@pytest.fixture(scope="session")
def web_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the smallest image on the base of our own Dockerfiles."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "Dockerfile").write_text(f"FROM {base_image.PYTHON}\nRUN python3 --version\nUSER 65532:65532\n")
    try:
        return images.build_image(folder / "Dockerfile", WEB, folder)
    except NotHereError as error:
        missing(str(error))


def run_web(cluster: NodeCluster, archive: Path, namespace: str) -> str:
    """Run the web server and give the name of its pod."""
    cluster.load_image(archive)
    cluster.apply(RESTRICTED.format(namespace=namespace, image=WEB))
    try:
        cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=60s", timeout_s=70)
    except ClusterError as error:
        output = cluster.kubectl("describe", "pods", "-n", namespace).stdout
        raise AssertionError(f"{error}\n{output}") from error
    pods = cluster.kubectl("get", "pods", "-n", namespace, "-l", "app=web", "-o", "name").stdout
    return pods.strip().removeprefix("pod/")


@pytest.mark.timeout(IMAGE_TIMEOUT_S)
def test_a_restricted_pod_runs_and_is_reached_as_in_any_cluster(node_cluster: NodeCluster, web_image: Path) -> None:
    pod = run_web(node_cluster, web_image, "restricted")

    for host in (f"{node_cluster.pod_ip(pod, 'restricted')}:8080", node_cluster.service_ip("web", "restricted")):
        assert httpx.get(f"http://{host}/", timeout=10).text == "it is me"
    read = "import urllib.request as u; print(u.urlopen('http://web.restricted.svc', timeout=10).read().decode())"
    inside = ("exec", "-n", "restricted", pod, "--", "python3", "-c")
    assert node_cluster.kubectl(*inside, read).stdout.strip() == "it is me"
    assert "GET / HTTP" in node_cluster.kubectl("logs", "-n", "restricted", pod).stdout
    write = node_cluster.kubectl(*inside, "open('/here', 'w')", check=False)
    assert "Read-only file system" in write.stderr


@pytest.mark.timeout(IMAGE_TIMEOUT_S)
def test_a_pod_reaches_what_listens_on_this_machine(node_cluster: NodeCluster, web_image: Path) -> None:
    pod = run_web(node_cluster, web_image, "outward")
    code = textwrap.dedent(f"""
        import http.server, sys
        server = http.server.HTTPServer(("{node_cluster.host_ip}", 0), http.server.SimpleHTTPRequestHandler)
        print(server.server_port, flush=True)
        server.handle_request()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=web_image.parent
    ) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        read = (
            f"import urllib.request as u; print(u.urlopen('http://{node_cluster.host_ip}:{port}', timeout=10).status)"
        )
        output = node_cluster.kubectl("exec", "-n", "outward", pod, "--", "python3", "-c", read)
        assert output.stdout.strip() == "200"
        server.wait(10)


@pytest.mark.timeout(IMAGE_TIMEOUT_S)
def test_two_clusters_side_by_side_do_not_know_each_other(
    node_cluster: NodeCluster, own_node_cluster: NodeCluster, web_image: Path
) -> None:
    assert node_cluster.name != own_node_cluster.name
    for cluster in (node_cluster, own_node_cluster):
        pod = run_web(cluster, web_image, "twins")
        assert httpx.get(f"http://{cluster.pod_ip(pod, 'twins')}:8080/", timeout=10).text == "it is me"
        assert [cluster.name] == cluster.kubectl("get", "nodes", "-o", "name").stdout.replace("node/", "").split()


def test_a_cut_link_is_a_partition_and_can_be_mended(own_node_cluster: NodeCluster) -> None:
    url = f"{own_node_cluster.place.server}/readyz"
    assert httpx.get(url, verify=False, timeout=5).text == "ok"  # noqa: S501 - only who answers is asked
    own_node_cluster.cut()
    with pytest.raises(httpx.TransportError):
        httpx.get(url, verify=False, timeout=2)  # noqa: S501
    own_node_cluster.mend()
    assert httpx.get(url, verify=False, timeout=5).text == "ok"  # noqa: S501


@pytest.mark.timeout(IMAGE_TIMEOUT_S)
def test_what_a_killed_test_run_left_is_removed(node_cluster: NodeCluster, web_image: Path) -> None:
    """The holder dies by kill -9 with a pod running; its warden leaves nothing."""
    code = textwrap.dedent(f"""
        import os, pathlib, signal
        from tests.cluster.test_nodes import run_web
        from tests.support.kubernetes.node import NodeCluster
        cluster = NodeCluster.start()
        run_web(cluster, pathlib.Path({str(web_image)!r}), "left")
        cluster.cut()
        print(cluster.name, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == -9, done.stderr
    slot = cleanup.Slot(int(done.stdout.strip().removeprefix("vigil-")))
    assert slot.name != node_cluster.name
    wait_until(lambda: traces(slot) == [], 60, f"no trace of {slot.name} (its warden is done)")


def traces(slot: cleanup.Slot) -> list[str]:
    """List what is still there of a cluster."""
    places = [slot.folder, slot.namespace, Path("/sys/class/net", slot.link), *slot.cgroups]
    found = [str(place) for place in places if place.exists()]
    found += [str(result) for result in fixed_places.network_results(slot.folder)]
    rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    found += [slot.cut] if slot.cut in rules.split() else []
    return [*found, *(str(point) for point in cleanup.mounts(slot.folder))]


def test_an_abandoned_slot_is_removed_before_it_is_used() -> None:
    try:
        machine.check_node()
    except NotHereError as error:
        missing(str(error))
    first, held = cleanup.take_slot()
    subprocess.run(["ip", "netns", "add", first.name], check=True)
    inside = ["nsenter", f"--net={first.namespace}", "sleep", "600"]
    (first.folder / "mounted").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "left", first.folder / "mounted"], check=True)
    with subprocess.Popen(inside) as left:
        wait_until(lambda: left.pid in cleanup._in_namespace(first), 10, "the program is in the namespace")
        os.close(held)
        _, held = cleanup.take_slot()
        try:
            assert (left.wait(10), traces(first)) == (-9, [])
        finally:
            os.close(held)


def test_pretended_nodes_run_pretended_pods(kwok_cluster: KwokCluster) -> None:
    names = kwok_cluster.add_nodes(3)
    assert names == ["node-0", "node-1", "node-2"]
    kwok_cluster.kubectl("create", "deployment", "many", "--image=vigil.test/none:1", "--replicas=30")
    kwok_cluster.kubectl("rollout", "status", "deployment/many", "--timeout=60s", timeout_s=70)
    kwok_cluster.kubectl("delete", "deployment", "many", "--cascade=foreground", "--timeout=60s", timeout_s=70)
    assert kwok_cluster.kubectl("get", "pods", "-o", "name").stdout == ""
