"""Run the operator until it is told to stop.

Watches fill the cache from the first moment, also while another operator holds the Lease: whoever takes over knows the
world already. Nothing is written before the Lease is ours and everything was listed once.
"""

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable
from typing import Final

import structlog

from vigil_operator.factory import Parts, build
from vigil_operator.handlers.thread import KopfThread
from vigil_operator.health import HealthServer, ListenError
from vigil_operator.kube.errors import KubeError
from vigil_operator.kube.kinds import OWN_KINDS, Key, Kind, Object
from vigil_operator.kube.lease import LeaseLostError
from vigil_operator.kube.sweep import sweep
from vigil_operator.queue import Backoff
from vigil_operator.reconcile.loop import ReconcileLoop
from vigil_operator.reconcile.registry_sweep import RegistrySweep
from vigil_operator.settings import Settings

log = structlog.get_logger(__name__)

BUS_S: Final = 10.0
"""For the last heartbeats to be read before Cameras are judged: a restart must not make them seem silent."""

CAPACITY_S: Final = 10.0
"""For identity to say what Triton can do: a restart must not let in all that wait for room, for who is in stays in."""

SECOND_SWEEP_S: Final = 5.0
"""After a comparison, for what was deleted between our list and kopf's."""


async def serve(settings: Settings) -> None:
    """Run the operator in this event loop until SIGTERM or SIGINT.

    Raises
    ------
    LeaseLostError
        Another operator may be at work.
    ListenError
        The HTTP port is taken.
    """
    await Program(build(settings), settings).run()


class Program:
    """The operator's tasks, from start to end."""

    def __init__(self, parts: Parts, settings: Settings) -> None:
        self._parts = parts
        self._settings = settings
        self._stopping = asyncio.Event()
        self._listed = asyncio.Event()
        self._sweep_due = asyncio.Event()
        self._unlisted = ""
        self._uncompared: set[Kind] = set()
        self._kopf = KopfThread(
            parts.world.api, settings.served_namespaces, self._seen, self._looked, self._sweep_due.set
        )
        self._health = HealthServer(parts.world.metrics, self._alive, self._ready, self._told)

    async def run(self) -> None:
        """Run until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        for watch in self._parts.watches:
            watch.recovered = self._sweep_due.set
        port = await self._health.start(self._settings.http_host, self._settings.http_port)
        log.info("probes and metrics", host=self._settings.http_host, port=port)
        stop = asyncio.create_task(self._told_to_stop(), name="stop")
        work = asyncio.create_task(self._work(), name="work")
        lead = asyncio.create_task(self._lead(), name="lead")
        others = [asyncio.create_task(watch.run(), name="watch") for watch in self._parts.watches]
        others += [
            asyncio.create_task(self._kopf.run(), name="kopf"),
            asyncio.create_task(self._sweep_when_due(), name="sweep"),
            asyncio.create_task(self._resync(), name="resync"),
            asyncio.create_task(self._parts.buses.run(), name="bus"),
            asyncio.create_task(self._parts.world.heartbeats.watch_silence(), name="silence"),
        ]
        if self._parts.registrations is not None:
            others.append(asyncio.create_task(self._parts.registrations.run(), name="registrations"))
        try:
            done, _ = await asyncio.wait({stop, work, lead, *others}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                task.result()
            await self._finish(work)
        finally:
            await self._end([stop, work, lead, *others])

    async def _told_to_stop(self) -> None:
        await self._stopping.wait()

    async def _lead(self) -> None:
        leadership = self._parts.leadership
        await leadership.acquire()
        self._parts.world.metrics.leader.set(1)
        await leadership.hold()

    async def _work(self) -> None:
        await self._parts.leadership.acquired.wait()
        if self._parts.registry is not None:
            self._parts.registry.registrar = self._parts.leadership.uid
        await self._listed.wait()
        await asyncio.gather(
            _at_most(BUS_S, self._parts.buses.settled()),
            _at_most(CAPACITY_S, self._parts.sites.measure()),
        )
        for watch in self._parts.watches:
            await watch.synced.wait()
        log.info("working", workers=self._settings.workers)
        loop = ReconcileLoop(self._parts.queues, self._parts.reconcilers, self._parts.world.metrics)
        swept = asyncio.create_task(self._sweep_registry(), name="registry")
        try:
            await loop.run(self._settings.workers, self._stopping)
        finally:
            swept.cancel()
            await asyncio.gather(swept, return_exceptions=True)

    async def _sweep_registry(self) -> None:
        """Take out of identity what was deleted while no operator ran."""
        world, registry = self._parts.world, self._parts.registry
        if registry is None:
            return
        try:
            await RegistrySweep(world, registry, self._parts.reconcilers[Kind.SUBJECT]).run()
        except Exception:
            # A fault of ours here must not stop the reconciles.
            log.exception("the registry was not compared with the cluster")

    async def _finish(self, work: "asyncio.Task[None]") -> None:
        log.info("stopping", under_way=self._parts.queues.active)
        if self._parts.leadership.held:
            await asyncio.wait({work}, timeout=self._settings.shutdown_s)

    async def _end(self, tasks: "list[asyncio.Task[None]]") -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._parts.leadership.release()
        for reconciler in self._parts.reconcilers.values():
            await reconciler.close()
        if self._parts.registry is not None:
            await self._parts.registry.close()
        await self._parts.world.api.close()
        await self._health.close()
        log.info("stopped")

    def _seen(self, kind: Kind, what: str | None, obj: Object) -> None:
        if what == "DELETED":
            self._parts.world.cache.remove(kind, obj)
            return
        self._parts.world.cache.put(kind, obj)
        if what is None:  # kopf listed: it had lost its place, and what was deleted meanwhile it does not tell
            self._sweep_due.set()

    def _looked(self, kinds: set[Kind]) -> None:
        """Compare the objects of a kind once the API server serves it again; until then nothing is known of them."""
        if self._uncompared & kinds:
            self._sweep_due.set()
        self._uncompared |= set(OWN_KINDS) - kinds

    async def _sweep_when_due(self) -> None:
        backoff: Backoff[None] = Backoff(first_s=1.0, most_s=30.0)
        while True:
            await self._sweep_due.wait()
            self._sweep_due.clear()
            for pause_s in (0.0, SECOND_SWEEP_S):
                await asyncio.sleep(pause_s)
                try:
                    await self._sweep()
                    backoff.forget(None)
                except KubeError as error:
                    if str(error) != self._unlisted:  # one line per trouble
                        log.warning("cannot list Vigil's kinds; trying again", reason=str(error))
                    self._unlisted = str(error)
                    await asyncio.sleep(backoff.next_s(None))
                    self._sweep_due.set()
                    break

    async def _sweep(self) -> None:
        world, namespaces = self._parts.world, self._settings.served_namespaces
        self._uncompared = await sweep(world.api, world.cache, OWN_KINDS, namespaces)
        self._unlisted = ""
        self._listed.set()

    async def _resync(self) -> None:
        """Look at everything now and then, whether or not anything told of a change."""
        while True:
            await asyncio.sleep(self._settings.resync_s * random.uniform(0.9, 1.1))  # noqa: S311 - spreads load
            with contextlib.suppress(KubeError):  # the next one will do
                await self._sweep()
            for key in self._all_keys():
                self._parts.world.queue.add(key)

    def _all_keys(self) -> list[Key]:
        return [key for kind in OWN_KINDS for key in self._parts.world.cache.keys(kind)]

    def _alive(self) -> dict[str, str]:
        """Name no part: to answer at all shows that the event loop runs, and nothing else is cured by a restart."""
        return {}

    def _ready(self) -> dict[str, str]:
        watching = [watch.trouble for watch in self._parts.watches if watch.trouble]
        return {"resources": self._kopf.trouble or self._unlisted, "watches": "; ".join(watching)}

    def _told(self) -> dict[str, str]:
        return {"lease": self._parts.leadership.told or "held"}


async def _at_most(seconds: float, wish: Awaitable[None]) -> None:
    """Wait for what is good to know and not needed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wish


__all__ = ["LeaseLostError", "ListenError", "Program", "serve"]
