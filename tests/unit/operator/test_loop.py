"""The workers: no kind waits for another, and no failure ends them."""

import asyncio

from tests.support.waiting import eventually

from vigil_operator.kube.kinds import OWN_KINDS, Key, Kind
from vigil_operator.metrics import Metrics
from vigil_operator.queues import KindQueues
from vigil_operator.reconcile.context import Result
from vigil_operator.reconcile.loop import ReconcileLoop


class Noting:
    """A reconciler that notes its keys, and hangs or fails on request."""

    def __init__(self, *, hangs: bool = False, fails: int = 0) -> None:
        self.seen: list[Key] = []
        self._fails = fails
        self._hangs = hangs

    async def reconcile(self, key: Key) -> Result:
        self.seen.append(key)
        if self._hangs:
            await asyncio.Event().wait()
        if len(self.seen) <= self._fails:
            msg = "by the test"
            raise RuntimeError(msg)
        return Result()

    async def close(self) -> None:
        """Nothing is held."""


async def test_subjects_that_hang_keep_no_camera_waiting() -> None:
    queues = KindQueues(OWN_KINDS)
    subjects, cameras = Noting(hangs=True), Noting()
    loop = ReconcileLoop(queues, {Kind.SUBJECT: subjects, Kind.CAMERA: cameras}, Metrics())
    for number in range(20):
        queues.add(Key(Kind.SUBJECT, "default", f"person-{number}"))
    running = asyncio.create_task(loop.run(2, asyncio.Event()))
    await eventually(lambda: len(subjects.seen) == 2, 5, "all workers of Subjects hang")
    for number in range(20):
        queues.add(Key(Kind.CAMERA, "default", f"camera-{number}"))
    await eventually(lambda: len(cameras.seen) == 20, 5, "every Camera was reconciled")
    assert (len(queues), queues.active) == (18, 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_failed_comes_back() -> None:
    queues = KindQueues(OWN_KINDS)
    sites = Noting(fails=2)
    stopping = asyncio.Event()
    running = asyncio.create_task(ReconcileLoop(queues, {Kind.SITE: sites}, Metrics()).run(1, stopping))
    queues.add(Key(Kind.SITE, "default", "hall"))
    await eventually(lambda: len(sites.seen) == 3, 10, "the third time it works")
    stopping.set()
    await asyncio.wait_for(running, 5)
    assert queues.waiting == 0
