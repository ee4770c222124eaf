"""Workers: take a key, reconcile it, and queue it again when it failed or has to be repeated."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import structlog

from vigil_operator.kube.errors import KubeError
from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.metrics import Metrics
from vigil_operator.queue import WorkQueue
from vigil_operator.queues import KindQueues
from vigil_operator.reconcile.context import Reconciler, Result

log = structlog.get_logger(__name__)

DEADLINE_S: Final = 120.0
DEADLINES_S: Final[Mapping[Kind, float]] = {Kind.SUBJECT: 900.0}
"""No reconcile takes that long: every request has its own deadline. One that does is cancelled and repeated.

A Subject's photos may take five minutes to be fetched and enrolled, and wait as long for each enrolment before it.
"""


class ReconcileLoop:
    """Hands keys to the reconciler of their kind, each kind with workers of its own."""

    def __init__(self, queues: KindQueues, reconcilers: Mapping[Kind, Reconciler], metrics: Metrics) -> None:
        self._queues = queues
        self._reconcilers = reconcilers
        self._metrics = metrics

    async def run(self, workers: int, stopping: asyncio.Event) -> None:
        """Work until the event is set; reconciles under way are finished.

        Parameters
        ----------
        workers
            Concurrent reconciles of each kind.
        """
        async with asyncio.TaskGroup() as group:
            for _, queue in self._queues:
                for _ in range(workers):
                    group.create_task(self._work(queue, stopping))

    async def _work(self, queue: WorkQueue[Key], stopping: asyncio.Event) -> None:
        stop = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                take = asyncio.create_task(queue.take())
                await asyncio.wait({take, stop}, return_when=asyncio.FIRST_COMPLETED)
                if not take.done():
                    take.cancel()
                    return
                key = take.result()
                try:
                    await self.handle(key)
                finally:
                    queue.done(key)
        finally:
            stop.cancel()

    async def handle(self, key: Key) -> None:
        """Reconcile one key; raise nothing but cancellation."""
        reconciler = self._reconcilers.get(key.kind)
        if reconciler is None:
            return
        started = time.monotonic()
        try:
            async with asyncio.timeout(DEADLINES_S.get(key.kind, DEADLINE_S)):
                result = await reconciler.reconcile(key)
        except KubeError as error:
            outcome = type(error).__name__.removesuffix("Error")
            self._metrics.request_errors.labels(outcome).inc()
            self._failed(key, error, error.retry_after_s or 0.0)
        except Exception as error:
            # A fault of ours in one object must not stop the reconciles of all others.
            outcome = "Failed"
            log.exception("reconcile failed unexpectedly", key=str(key))
            self._failed(key, error, 0.0)
        else:
            outcome = result.outcome
            self._succeeded(key, result)
        self._metrics.reconciles.labels(key.kind.value, outcome).inc()
        self._metrics.reconcile_duration.labels(key.kind.value).observe(time.monotonic() - started)

    def _failed(self, key: Key, error: Exception, least_s: float) -> None:
        queue = self._queues.of(key.kind)
        first = queue.backoff.failures(key) == 0
        pause = max(queue.backoff.next_s(key), least_s)
        if first and isinstance(error, KubeError):  # one line per outage
            log.warning("reconcile failed; trying again", key=str(key), reason=str(error))
        queue.add(key, after_s=pause)

    def _succeeded(self, key: Key, result: Result) -> None:
        queue = self._queues.of(key.kind)
        queue.backoff.forget(key)
        if result.again_s is not None:
            queue.add(key, after_s=result.again_s)
