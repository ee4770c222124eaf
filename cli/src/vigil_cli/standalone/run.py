"""Run a session until it is over, however that comes about."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from vigil_cli.manifests import Manifests
from vigil_cli.standalone.session import Session

Until = Callable[[Session], Awaitable[None]]
"""Returns when the run is to end; may raise."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_session(session: Session, manifests: Manifests, until: Until) -> None:
    """Run everything until a signal comes or `until` returns; then stop everything.

    A second signal changes nothing: stopping has deadlines of its own, and should this process be killed meanwhile,
    the kernel ends its children with it.

    Raises
    ------
    CommandError, StartError
        Something cannot be started; what was started is stopped.
    """
    asyncio.run(_until_signal(session, manifests, until))


async def _until_signal(session: Session, manifests: Manifests, until: Until) -> None:
    work = asyncio.create_task(_work(session, manifests, until))
    loop = asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            work.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await work
    except asyncio.CancelledError:
        if not stopped:
            raise


async def _work(session: Session, manifests: Manifests, until: Until) -> None:
    async with session.running(manifests):
        await until(session)


async def for_ever(_: Session) -> None:
    """Never end by itself."""
    await asyncio.Event().wait()


def for_seconds(seconds: float | None) -> Until:
    """End after so many seconds of running; None: never."""
    if seconds is None:
        return for_ever

    async def wait(_: Session) -> None:
        await asyncio.sleep(seconds)

    return wait
