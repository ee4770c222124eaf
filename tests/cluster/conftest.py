"""Programs around a test cluster that several files of stories use."""

from collections.abc import Iterator

import pytest
from tests.cluster.operator_subjects import Stage, stage
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import NamespaceClient, Operator, operating
from tests.support.servers import NatsServer, PostgresServer, TritonServer


@pytest.fixture(scope="module")
def people(
    api_cluster: ApiCluster, shared_postgres: PostgresServer, shared_nats: NatsServer, open_triton: TritonServer
) -> Iterator[Stage]:
    with stage(api_cluster, shared_postgres, shared_nats, open_triton) as made:
        yield made


@pytest.fixture(scope="module")
def ns(api_cluster: ApiCluster) -> NamespaceClient:
    return NamespaceClient.fresh(api_cluster, "cameras")


@pytest.fixture(scope="module")
def camera_operator(ns: NamespaceClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Run the operator of the Cameras in `ns`."""
    folder = tmp_path_factory.mktemp("operator")
    with operating(ns.cluster, ns.namespace, folder, VIGIL_USB_RESOURCES='{"/dev/video0":"test/video"}') as one:
        yield one
