"""Values that cannot work are refused with a message that names the remedy."""

import pytest
from tests.chart.rendering import CHART, helm, refused

pytestmark = pytest.mark.usefixtures("helm")

REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "two identities on one embedded gallery": (
        ("identity.replicaCount=2",),
        "serves one identity only; set qdrant.mode: server and qdrant.server.url",
    ),
    "a Qdrant server without address": (("qdrant.mode=server",), "qdrant.server.url is empty"),
    "an external bus without address": (("nats.mode=external",), "nats.external.url is empty"),
    "an external bus without token": (
        ("nats.mode=external", "nats.external.url=nats://nats:4222"),
        "nats.tokenSecret.name is empty; name a Secret with the key `token`",
    ),
    "a password in the address of the bus": (
        ("nats.mode=external", "nats.external.url=nats://user:secret@nats:4222"),
        "/nats/external/url",
    ),
    "an external database without address": (("postgres.mode=external",), "postgres.external.urlSecret.name is empty"),
    "no Triton at all": (("triton.enabled=false",), "triton.externalUrls is empty, so no server would find faces"),
    "a Triton without port": (('triton.externalUrls=["triton"]',), "/triton/externalUrls/0"),
    "an unknown accelerator": (("triton.accelerator=tpu",), "/triton/accelerator"),
    "an unknown source of models": (("triton.modelRepository.source=git",), "/triton/modelRepository/source"),
    "a volume of models without name": (("triton.modelRepository.source=pvc",), "pvc.claimName is empty"),
    "an image of models without name": (("triton.modelRepository.source=image",), "image.repository is empty"),
    "an object store without address": (
        ("triton.modelRepository.source=objectStore", "triton.accelerator=gpu"),
        "objectStore.url is empty",
    ),
    "an object store for the CPU image": (
        ("triton.modelRepository.source=objectStore", "triton.modelRepository.objectStore.url=s3://b/m"),
        "which the CPU image does not support",
    ),
    "an autoscaler upside down": (
        ("api.autoscaling.enabled=true", "api.autoscaling.minReplicas=5", "api.autoscaling.maxReplicas=2"),
        "api.autoscaling.minReplicas is greater than api.autoscaling.maxReplicas; set maxReplicas",
    ),
    "an Ingress without host": (("api.ingress.enabled=true",), "api.ingress.hosts is empty"),
    "a route to no Gateway": (("api.httpRoute.enabled=true",), "api.httpRoute.parentRefs is empty"),
    "Cameras where the operator does not look": (
        ('operator.namespaces=["shop"]', 'cameraNamespaces=["yard"]'),
        "cameraNamespaces contains yard, but operator.namespaces does not",
    ),
    "a value that does not exist": (("api.replica=2",), "replica"),
    "a part that does not exist": (("apis.replicaCount=2",), "apis"),
    "a wrong type": (("api.replicaCount=two",), "/api/replicaCount"),
    "no replica": (("api.replicaCount=0",), "/api/replicaCount"),
    "a site that is no DNS label": (("site=Head Office",), "/site"),
    "a network of photos without prefix length": (
        ('operator.photoNetworks=["10.0.0.1"]',),
        "/operator/photoNetworks/0",
    ),
    "a network of photos by name": (('operator.photoNetworks=["photos.lan/24"]',), "/operator/photoNetworks/0"),
    "a namespace that is none": (('cameraNamespaces=["Shop"]',), "/cameraNamespaces/0"),
    "an image of our own with a wrong name": (("api.image.name=Vigil",), "/api/image"),
    "a digest that is none": (("api.image.digest=latest",), "/api/image"),
    "a bundled image without tag": (("nats.bundled.image.tag=",), "nats.bundled.image has neither a tag nor a digest"),
    "a pull secret without name": (('imagePullSecrets=[{"secret": "mirror"}]',), "/imagePullSecrets/0"),
    "an Ingress to a wrong host": (('api.ingress.hosts=[{"host": "Vigil"}]',), "/api/ingress/hosts/0/host"),
    "a size that is none": (("postgres.bundled.persistence.size=large",), "/postgres/bundled/persistence/size"),
    "a label of pod monitors that is Vigil's own": (
        ("operator.monitoring=PodMonitor", 'operator.podMonitorLabels={"app.kubernetes.io/name": "mine"}'),
        "contains app.kubernetes.io/name, but labels that begin with app.kubernetes.io/ or vigil.dev/ are",
    ),
    "a label of pod monitors without a name": (('operator.podMonitorLabels={"": "a"}',), "/operator/podMonitorLabels"),
    "a label of pod monitors that is none": (
        ('operator.podMonitorLabels={"release": "not a label"}',),
        "/operator/podMonitorLabels/release",
    ),
    "labels of pod monitors where nothing monitors": (
        ("operator.podMonitorLabels.release=prometheus",),
        "operator.monitoring is None, so there are no PodMonitors; set operator.monitoring: PodMonitor",
    ),
    "labels of pod monitors beside annotations": (
        ("operator.monitoring=Annotations", "operator.podMonitorLabels.release=prometheus"),
        "operator.monitoring is Annotations, so there are no PodMonitors",
    ),
    "a Lease whose name is none": (("operator.leaseName=Vigil",), "/operator/leaseName"),
    "an unknown log level": (("log.level=loud",), "/log/level"),
    "an unknown pull policy": (("image.pullPolicy=Sometimes",), "/image/pullPolicy"),
}
"""Name to values and what the message must contain."""


FORMER = {
    'image.pullSecrets=["mirror"]': "image.pullSecrets is a name of an earlier version; use imagePullSecrets",
    "operator.replicas=2": "use operator.replicaCount",
    "api.replicas=2": "use api.replicaCount",
    "identity.replicas=2": "use identity.replicaCount",
    "triton.replicas=2": "use triton.replicaCount",
    "api.ingress.host=vigil.example.com": "use api.ingress.hosts, a list of {host: …}",
    "api.ingress.tlsSecret=tls": "use api.ingress.tls, a list of {secretName: …, hosts: […]}",
    "operator.image=mine/operator": "use operator.image: {name: operator} and, for the path before it,",
    "operator.streamImage=mine/stream": "use operator.streamImage: {name: stream}",
    "api.image=mine/gateway": "use api.image: {name: gateway}",
    "identity.image=mine/gateway": "use identity.image: {name: gateway}",
    "triton.images.cpu=mine/triton-cpu": "use triton.images.cpu: {name: triton-cpu}",
    "triton.images.gpu=nvcr.io/nvidia/tritonserver:25.08-py3": "use triton.images.gpu: {repository: …, tag: …}",
    "triton.modelRepository.pull.image=mine/models": "use triton.modelRepository.pull.image: {name: models}",
    "nats.bundled.image=docker.io/library/nats:2": "use nats.bundled.image: {repository: …, tag: …}",
    "postgres.bundled.image=docker.io/library/postgres:18": "use postgres.bundled.image: {repository: …, tag: …}",
}
"""Values of earlier versions to what the message must contain."""


@pytest.mark.parametrize("former", FORMER)
def test_a_value_of_an_earlier_version_names_the_new_one(former: str) -> None:
    assert FORMER[former] in refused(former)


@pytest.mark.parametrize("name", REFUSED)
def test_values_that_cannot_work_are_refused(name: str) -> None:
    sets, words = REFUSED[name]
    message = refused(*sets).replace("values don't meet the specifications of the schema(s)", "")
    assert words in message or words.lstrip("/").replace("/", ".") in message, message


def test_a_cluster_that_knows_no_selectable_fields_is_refused() -> None:
    done = helm("template", "vigil", str(CHART), "--kube-version", "1.30.9", check=False)
    assert done.returncode
    assert "requires kubeVersion: >=1.31" in done.stderr


def test_the_oldest_supported_cluster_is_accepted() -> None:
    """Also when a vendor added a suffix to its version."""
    assert helm("template", "vigil", str(CHART), "--kube-version", "v1.31.0-eks-5d0cf1").returncode == 0
