"""Run a session until a signal, the end of its duration or an error."""

import asyncio
from collections.abc import Awaitable, Callable

from vigil_cli.manifests import Manifests
from vigil_cli.standalone.session import Session
from vigil_cli.supervisor import until_interrupted

Until = Callable[[Session], Awaitable[None]]
"""Returns when the session is to end; may raise."""


def run_session(session: Session, manifests: Manifests, until: Until) -> None:
    """Run everything until a signal comes or `until` returns; then stop everything.

    Raises
    ------
    CommandError, StartError
        A part cannot be started; the parts that were started are stopped.
    """
    asyncio.run(until_interrupted(_work(session, manifests, until)))


async def _work(session: Session, manifests: Manifests, until: Until) -> None:
    async with session.running(manifests):
        await until(session)


async def for_ever(_: Session) -> None:
    """Never return."""
    await asyncio.Event().wait()


def for_seconds(seconds: float | None) -> Until:
    """Return a function that ends a session after so many seconds; None: never."""
    if seconds is None:
        return for_ever

    async def wait(_: Session) -> None:
        await asyncio.sleep(seconds)

    return wait
