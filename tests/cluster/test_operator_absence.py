"""What is not there, and what only cannot be seen: a kind that is not served tells nothing about its objects."""

import asyncio
import json

import pytest
from lightkube import AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import camera, listed
from tests.support.waiting import wait_until

from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import AwayError
from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.metrics import Metrics

pytestmark = pytest.mark.cluster

CRD = "cameras.vigil.dev"


def is_gone(cluster: ApiCluster, key: Key) -> bool:
    async def ask() -> bool:
        api = Api(AsyncClient(config=KubeConfig.from_file(cluster.kubeconfig)), Cache(), Metrics())
        try:
            return await api.is_gone(key)
        finally:
            await api.close()

    return asyncio.run(ask())


def unserved(cluster: ApiCluster, key: Key) -> str:
    """Give what the API server says when it cannot tell whether an object is there; empty when it can."""
    try:
        is_gone(cluster, key)
    except AwayError as error:
        return str(error)
    return ""


def serve(cluster: ApiCluster, *, served: bool) -> None:
    """Have the API server serve Cameras, or no longer."""
    patch = json.dumps([{"op": "replace", "path": "/spec/versions/0/served", "value": served}])
    cluster.kubectl("patch", "crd", CRD, "--type=json", "-p", patch)


def test_an_object_is_gone_only_when_the_api_server_that_serves_its_kind_says_so(own_api_cluster: ApiCluster) -> None:
    cluster = own_api_cluster
    there, absent = Key(Kind.CAMERA, "default", "there"), Key(Kind.CAMERA, "default", "absent")
    assert "serves no cameras of vigil.dev/v1alpha1" in unserved(cluster, there), "no CRD yet"
    cluster.install_crds()
    cluster.apply(listed(camera("there", "default")))
    assert not is_gone(cluster, there)
    assert is_gone(cluster, absent)
    assert is_gone(cluster, Key(Kind.CAMERA, "no-such-namespace", "there"))
    assert is_gone(cluster, Key(Kind.SECRET, "default", "absent")), "of Kubernetes' own kinds too"
    serve(cluster, served=False)
    wait_until(lambda: unserved(cluster, there), 30, "Cameras are not served")
    assert unserved(cluster, absent)
    serve(cluster, served=True)
    wait_until(lambda: not unserved(cluster, there), 30, "Cameras are served again")
    assert not is_gone(cluster, there)
    assert is_gone(cluster, absent)
    cluster.kubectl("delete", "crd", CRD)
    wait_until(lambda: unserved(cluster, there), 30, "the CRD is gone")
