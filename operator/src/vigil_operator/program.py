"""The operator's tasks beside kopf, from start to end.

Watches fill the cache from the beginning, also while another operator holds the Lease, so that a new leader knows the
cluster already. Nothing is written before this operator holds the Lease and everything was listed once.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine
from typing import Final

import structlog

from vigil_operator.comparison import Comparison
from vigil_operator.factory import Parts
from vigil_operator.kopf_requests import KopfRequests
from vigil_operator.kube.kinds import OWN_KINDS, Kind, Object
from vigil_operator.reconcile.loop import ReconcileLoop
from vigil_operator.reconcile.registry_sweep import RegistrySweep
from vigil_operator.served_kinds import ServedKinds
from vigil_operator.settings import Settings
from vigil_runtime import health

log = structlog.get_logger(__name__)

BUS_S: Final = 10.0
"""The longest wait for the last heartbeats: after a restart, Cameras must not seem silent."""

CAPACITY_S: Final = 10.0
"""The longest wait for the measured inference capacity: a restart must not admit every Camera that waits for it."""


class Program:
    """Starts and ends everything that is not kopf's.

    Parameters
    ----------
    stop
        Set when a task failed for good; ends kopf, and with it the process.
    """

    def __init__(self, parts: Parts, settings: Settings, stop: asyncio.Event) -> None:
        self._parts = parts
        self._settings = settings
        self._stop = stop
        self._stopping = asyncio.Event()
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []
        self._work_task: asyncio.Task[None] | None = None
        self.kopf_requests = KopfRequests(parts.context.metrics.kopf_errors)
        self._kinds = ServedKinds(parts.context.api)
        self._comparison = Comparison(
            parts.context.api, parts.context.cache, settings.served_namespaces, settings.resync_s, self._enqueue_all
        )
        self._health = health.HealthServer(
            {
                "/healthz": lambda: health.probe(self.alive()),
                "/readyz": lambda: health.probe(self._ready(), self._notes()),
                "/metrics": lambda: health.metrics(parts.context.metrics.text()),
            }
        )
        self.error: Exception | None = None
        """Why the process has to end; None when nothing failed."""

    async def start(self) -> None:
        """Start all tasks and wait until the API server responds; ListenError when the HTTP port is taken."""
        for watch in self._parts.watches:
            watch.recovered = self._comparison.request
        port = await self._health.start(self._settings.http_host, self._settings.http_port)
        log.info("probes and metrics", host=self._settings.http_host, port=port)
        for watch in self._parts.watches:
            self._spawn("watch", watch.run())
        self._work_task = self._spawn("work", self._work())
        self._spawn("lead", self._lead())
        self._spawn("comparison", self._comparison.run())
        self._spawn("resync", self._comparison.run_periodically())
        self._spawn("buses", self._parts.buses.run())
        self._spawn("silence", self._parts.context.heartbeats.watch_silence())
        if self._parts.registrations is not None:
            self._spawn("registrations", self._parts.registrations.run())
        await self._kinds.wait()
        self._comparison.request()
        self._spawn("kinds", self._kinds.watch())

    async def stop(self) -> None:
        """Finish the reconciles under way, end all tasks, return the Lease and close every connection."""
        if self._stopped:
            return
        self._stopped = True
        self._stopping.set()
        log.info("stopping", under_way=self._parts.queues.active)
        if self._work_task is not None and self._parts.leadership.held:
            await asyncio.wait({self._work_task}, timeout=self._settings.shutdown_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._parts.leadership.release()
        for reconciler in self._parts.reconcilers.values():
            await reconciler.close()
        if self._parts.registry is not None:
            await self._parts.registry.close()
        await self._parts.context.api.close()
        await self._health.close()
        log.info("stopped")

    def fail(self, error: Exception) -> None:
        """End the process because of an error; the first one counts.

        The tasks end at once, before kopf does: an operator that lost the Lease must not write any more.
        """
        self.error = self.error or error
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        self._stop.set()

    def observe(self, kind: Kind, event: str | None, obj: Object) -> None:
        """Put an object into the cache that kopf listed (event None) or watched (ADDED, MODIFIED, DELETED)."""
        if event == "DELETED":
            self._parts.context.cache.remove(kind, obj)
            return
        self._parts.context.cache.put(kind, obj)
        if event is None:  # a list follows a gap, and kopf does not report what was deleted in it
            self._comparison.request()

    def alive(self) -> dict[str, str]:
        """Return no error: a response shows that the event loop runs, and a restart repairs nothing else."""
        return {}

    def _spawn(self, name: str, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._stopping.is_set():
            return
        error = task.exception() or RuntimeError(f"the task {task.get_name()} ended by itself")
        self.fail(error if isinstance(error, Exception) else RuntimeError(str(error)))

    async def _lead(self) -> None:
        leadership = self._parts.leadership
        await leadership.acquire()
        self._parts.context.metrics.leader.set(1)
        await leadership.hold()

    async def _work(self) -> None:
        await self._parts.leadership.acquired.wait()
        if self._parts.registry is not None:
            self._parts.registry.registrar = self._parts.leadership.uid
        await self._comparison.compared.wait()
        await asyncio.gather(
            _wait_at_most(BUS_S, self._parts.buses.settled()),
            _wait_at_most(CAPACITY_S, self._parts.sites.measure()),
        )
        for watch in self._parts.watches:
            await watch.synced.wait()
        log.info("working", workers=self._settings.workers)
        loop = ReconcileLoop(self._parts.queues, self._parts.reconcilers, self._parts.context.metrics)
        swept = asyncio.create_task(self._sweep_registry(), name="registry")
        try:
            await loop.run(self._settings.workers, self._stopping)
        finally:
            swept.cancel()
            await asyncio.gather(swept, return_exceptions=True)

    async def _sweep_registry(self) -> None:
        """Remove from identity what was deleted while no operator ran."""
        context, registry = self._parts.context, self._parts.registry
        if registry is None:
            return
        try:
            await RegistrySweep(context, registry, self._parts.reconcilers[Kind.SUBJECT]).run()
        except Exception:
            # An unforeseen error here must not stop the reconciles.
            log.exception("the registry was not compared with the cluster")

    def _enqueue_all(self) -> None:
        for kind in OWN_KINDS:
            for key in self._parts.context.cache.keys(kind):
                self._parts.context.queue.add(key)

    def _ready(self) -> dict[str, str]:
        watching = [watch.error for watch in self._parts.watches if watch.error]
        return {
            "resources": self._kinds.error or self._comparison.last_error,
            "kopf": self.kopf_requests.error,
            "watches": "; ".join(watching),
        }

    def _notes(self) -> dict[str, str]:
        return {"lease": self._parts.leadership.status or "held"}


async def _wait_at_most(seconds: float, work: Awaitable[None]) -> None:
    """Wait at most so many seconds for something useful that is not required."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work
