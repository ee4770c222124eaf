"""Workers: take a key, reconcile it, and have it back when it failed or asked for it."""

import asyncio
import time
from collections.abc import Mapping

import structlog

from vigil_operator.kube.errors import KubeError
from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.metrics import Metrics
from vigil_operator.queue import WorkQueue
from vigil_operator.reconcile.base import Reconciler, Result

log = structlog.get_logger(__name__)

RECONCILE_DEADLINE_S = 120.0
"""No reconcile takes that long: every request has its own deadline. One that does is ended and tried again."""


class ReconcileLoop:
    """Hands keys to the reconciler of their kind.

    Parameters
    ----------
    reconcilers
        By kind; keys of other kinds are left aside.
    """

    def __init__(self, queue: WorkQueue[Key], reconcilers: Mapping[Kind, Reconciler], metrics: Metrics) -> None:
        self._queue = queue
        self._reconcilers = reconcilers
        self._metrics = metrics

    async def run(self, workers: int, stopping: asyncio.Event) -> None:
        """Work until told to stop; what is under way is finished."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(stopping))

    async def _work(self, stopping: asyncio.Event) -> None:
        stop = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                take = asyncio.create_task(self._queue.take())
                await asyncio.wait({take, stop}, return_when=asyncio.FIRST_COMPLETED)
                if not take.done():
                    take.cancel()
                    return
                key = take.result()
                try:
                    await self.handle(key)
                finally:
                    self._queue.done(key)
        finally:
            stop.cancel()

    async def handle(self, key: Key) -> None:
        """Reconcile one key; raises nothing but cancellation."""
        reconciler = self._reconcilers.get(key.kind)
        if reconciler is None:
            return
        started = time.monotonic()
        try:
            async with asyncio.timeout(RECONCILE_DEADLINE_S):
                result = await reconciler.reconcile(key)
        except KubeError as error:
            outcome = type(error).__name__.removesuffix("Error")
            self._metrics.request_errors.labels(outcome).inc()
            self._failed(key, error, error.retry_after_s or 0.0)
        except Exception as error:
            # A fault of ours in one object must not stop the reconciles of all others.
            outcome = "Failed"
            log.exception("a reconcile failed", key=str(key))
            self._failed(key, error, 0.0)
        else:
            outcome = result.outcome
            self._succeeded(key, result)
        self._metrics.reconciles.labels(key.kind.value, outcome).inc()
        self._metrics.seconds.labels(key.kind.value).observe(time.monotonic() - started)

    def _failed(self, key: Key, error: Exception, least_s: float) -> None:
        first = self._queue.backoff.failures(key) == 0
        pause = max(self._queue.backoff.next_s(key), least_s)
        if first and isinstance(error, KubeError):  # one line per trouble
            log.warning("not reconciled; trying again", key=str(key), reason=str(error))
        self._queue.add(key, after_s=pause)

    def _succeeded(self, key: Key, result: Result) -> None:
        self._queue.backoff.forget(key)
        if result.again_s is not None:
            self._queue.add(key, after_s=result.again_s)
