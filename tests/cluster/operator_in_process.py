"""The operator's reconcilers inside a test, with a real API server and without the watches."""

from lightkube import AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import IMAGE
from tests.unit.operator.worlds import world_with

from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import FIELD_MANAGER
from vigil_operator.reconcile.context import World
from vigil_operator.routes import add_indices
from vigil_operator.settings import Settings


def world_of(cluster: ApiCluster) -> World:
    """Give what a reconcile works with, without the watches that would tell it more than a test puts into the cache."""
    settings, cache = Settings(stream_image=IMAGE), Cache()
    add_indices(cache, settings)
    client = AsyncClient(config=KubeConfig.from_file(cluster.kubeconfig), field_manager=FIELD_MANAGER)
    return world_with(client, settings, cache)
