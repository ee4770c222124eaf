"""Background tasks that are started again after an unforeseen error and end together."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from vigil_runtime.backoff import Backoff

log = logging.getLogger(__name__)

LASTED_S: Final = 60.0
"""A task that ran for so long before it failed starts again after the first wait."""


async def run_forever(name: str, work: Callable[[], Awaitable[None]], *, until: asyncio.Event | None = None) -> None:
    """Run `work` again after each end, with backoff, until cancelled or until the event is set.

    An error that `work` raises is logged with its traceback under the name of the task; nothing is raised.
    """
    loop, backoff = asyncio.get_running_loop(), Backoff()
    while until is None or not until.is_set():
        started = loop.time()
        try:
            await work()
        except Exception:
            log.exception("background task failed and is started again", extra={"fields": {"task": name}})
        if loop.time() - started >= LASTED_S:
            backoff.reset()
        if until is None:
            await asyncio.sleep(backoff.next_s())
        elif not until.is_set():
            await _wait_for(until, backoff.next_s())


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


class BackgroundTasks:
    """The background tasks of one program."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        """Start `work` under supervision and return its task."""
        task = asyncio.create_task(run_forever(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self, deadline_s: float) -> None:
        """Cancel all tasks and wait for their end, at most so many seconds."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=deadline_s)
            for task in pending:
                log.warning("background task did not end in time", extra={"fields": {"task": task.get_name()}})
