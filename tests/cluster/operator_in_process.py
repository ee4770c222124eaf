"""The operator's reconcilers inside a test, with a real API server and without the watches."""

from tests.support.kubernetes.cluster import Cluster
from tests.support.operators import IMAGE
from tests.unit.operator.contexts import context_with

from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import connect
from vigil_operator.reconcile.context import ReconcileContext
from vigil_operator.routes import add_indices
from vigil_operator.settings import Settings


async def context_of(cluster: Cluster) -> ReconcileContext:
    """Return a context without watches, which knows only what a test puts into the cache."""
    settings, cache = Settings(stream_image=IMAGE), Cache()
    add_indices(cache, settings)
    return context_with(await connect(str(cluster.kubeconfig)), settings, cache)
