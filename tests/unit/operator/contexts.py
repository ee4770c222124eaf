"""What reconcilers work with, beside an API server that is away or a real one; a small identity; a clock."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration
from pydantic import SecretStr

from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import Api
from vigil_operator.kube.events import EventWriter
from vigil_operator.metrics import Metrics
from vigil_operator.queue import WorkQueue
from vigil_operator.reconcile.camera.capacity import Capacities
from vigil_operator.reconcile.context import ReconcileContext
from vigil_operator.settings import Settings
from vigil_runtime.registry.client import RegistryClient as Registry

NOWHERE = "http://127.0.0.1:9"
OWN = "nats://127.0.0.1:9"


def context_with(client: ApiClient, settings: Settings, cache: Cache) -> ReconcileContext:
    """Return a context that knows only what a test puts into its cache."""
    metrics = Metrics()
    api = Api(client, cache, metrics)
    return ReconcileContext(
        settings=settings,
        cache=cache,
        api=api,
        events=EventWriter(api, "test"),
        queue=WorkQueue(),
        metrics=metrics,
        heartbeats=Heartbeats(lambda _: None, lambda _: None),
        capacities=Capacities(lambda *_: None),
    )


def context_of(cache: Cache) -> ReconcileContext:
    """Return a context whose API server is away."""
    client = ApiClient(Configuration(NOWHERE))
    return context_with(client, Settings(nats_url=OWN, nats_token=SecretStr("the installation's own")), cache)


@asynccontextmanager
async def identity_that(answers: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Registry]:
    """Serve a small identity, and yield its client."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answers)
    runner = web.AppRunner(app)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0)
    await place.start()
    registry = Registry(f"http://127.0.0.1:{runner.addresses[0][1]}", "token")
    try:
        yield registry
    finally:
        await registry.close()
        await runner.cleanup()


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now
