"""The operator's reconcilers inside a test, with a real API server and without the watches."""

from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import IMAGE
from tests.unit.operator.worlds import world_with

from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import connect
from vigil_operator.reconcile.context import World
from vigil_operator.routes import add_indices
from vigil_operator.settings import Settings


async def world_of(cluster: ApiCluster) -> World:
    """Give what a reconcile works with, without the watches that would tell it more than a test puts into the cache."""
    settings, cache = Settings(stream_image=IMAGE), Cache()
    add_indices(cache, settings)
    return world_with(await connect(str(cluster.kubeconfig)), settings, cache)
