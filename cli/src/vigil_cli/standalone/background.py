"""Background tasks of a session; one that fails is shown, recorded and started again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from vigil_cli.dashboard import DashboardState
from vigil_cli.standalone.defects import Defects
from vigil_runtime.backoff import CONNECTION, Backoff, retry


@asynccontextmanager
async def background_tasks(
    dashboard: DashboardState, defects: Defects, runs: Mapping[str, Callable[[], Awaitable[None]]]
) -> AsyncIterator[None]:
    """Keep tasks running while inside; an unforeseen error is shown and recorded, and the task starts again."""

    async def supervise(name: str, run: Callable[[], Awaitable[None]]) -> None:
        def failed(error: Exception) -> None:
            dashboard.emit("error", f"{name} failed and starts again: {defects.describe(error)}")
            defects.record(f"{name} failed", error)

        await retry(run, on=(Exception,), backoff=Backoff(*CONNECTION), failed=failed)

    tasks = [asyncio.create_task(supervise(name, run), name=name) for name, run in runs.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
