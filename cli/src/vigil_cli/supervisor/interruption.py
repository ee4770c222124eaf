"""Ctrl-C, `kill` and a closed terminal as an orderly end."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_interrupted(work: Coroutine[Any, Any, None]) -> bool:
    """Run `work` until it is done or a signal arrives; call it in the main thread.

    The first signal cancels the work, so that every `async with` inside it stops what it started. A second one is not
    caught: this process ends at once, and the reaper ends its children.

    Returns
    -------
    bool
        Whether it was interrupted.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    interrupted = False

    def release() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True
        release()
        task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, interrupt)
    try:
        await task
    except asyncio.CancelledError:
        if not interrupted:
            raise
    finally:
        release()
    return interrupted
