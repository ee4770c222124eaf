"""Background tasks: started again after an error, ended together."""

import asyncio
import logging

import pytest
from tests.support.waiting import eventually

from vigil_runtime import tasks
from vigil_runtime.backoff import Backoff
from vigil_runtime.tasks import BackgroundTasks, run_forever


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "Backoff", lambda *_: Backoff(0.001, 0.002))


async def test_a_failed_task_is_logged_and_started_again(caplog: pytest.LogCaptureFixture) -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("unforeseen")
        await asyncio.Event().wait()

    background = BackgroundTasks()
    with caplog.at_level(logging.ERROR):
        background.start("relay", work)
        await eventually(lambda: runs == 2, 5, "the second run")
    assert "unforeseen" in caplog.text
    await background.stop(5)


async def test_stop_ends_every_task_and_warns_of_one_that_stays(caplog: pytest.LogCaptureFixture) -> None:
    release, started = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await release.wait()
            raise

    background = BackgroundTasks()
    task = background.start("stubborn", stubborn)
    await started.wait()
    await background.stop(0.05)
    assert "did not end in time" in caplog.text
    release.set()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()


async def test_run_forever_ends_with_its_event() -> None:
    until, runs = asyncio.Event(), 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            until.set()

    async with asyncio.timeout(5):
        await run_forever("consumer", work, until=until)
    assert runs == 3
