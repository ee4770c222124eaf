"""The operator's reconcilers inside a test, with a real API server and without the watches."""

from lightkube import AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import IMAGE

from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import FIELD_MANAGER, Api
from vigil_operator.kube.events import EventWriter
from vigil_operator.metrics import Metrics
from vigil_operator.queue import WorkQueue
from vigil_operator.reconcile.base import World
from vigil_operator.reconcile.capacity import Capacities
from vigil_operator.routes import add_indices
from vigil_operator.settings import Settings


def world_of(cluster: ApiCluster) -> World:
    """Give what a reconcile works with, without the watches that would tell it more than a test puts into the cache."""
    settings, cache, metrics = Settings(stream_image=IMAGE), Cache(), Metrics()
    add_indices(cache, settings)
    api = Api(AsyncClient(config=KubeConfig.from_file(cluster.kubeconfig), field_manager=FIELD_MANAGER), cache, metrics)
    return World(
        settings=settings,
        cache=cache,
        api=api,
        events=EventWriter(api, "test"),
        queue=WorkQueue(),
        metrics=metrics,
        heartbeats=Heartbeats(lambda _: None, lambda _: None),
        capacities=Capacities(lambda *_: None),
    )
