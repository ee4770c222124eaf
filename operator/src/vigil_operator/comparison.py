"""The periodic comparison of Vigil's kinds with a fresh list.

kopf lists objects after a gap of its watch and reports those that are there; it never reports those that were deleted
in the gap (docs/decisions/0008-what-kopf-watches.md). So everything is listed and compared after each gap, and now and
then without one.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog

from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import KubeError
from vigil_operator.kube.kinds import OWN_KINDS
from vigil_operator.kube.sweep import sweep
from vigil_runtime.backoff import KUBERNETES, Backoff, spread

log = structlog.get_logger(__name__)

SECOND_S: Final = 5.0
"""After a comparison, for what was deleted between that list and kopf's."""


class Comparison:
    """Compares when it is due and at least every `resync_s`, until cancelled.

    Parameters
    ----------
    resynced
        Called after each periodic comparison.
    """

    def __init__(
        self, api: Api, cache: Cache, namespaces: tuple[str, ...], resync_s: float, resynced: Callable[[], None]
    ) -> None:
        self._api = api
        self._cache = cache
        self._namespaces = namespaces
        self._resync_s = resync_s
        self._resynced = resynced
        self._due = asyncio.Event()
        self.compared = asyncio.Event()
        """Set after the first comparison."""
        self.last_error = ""
        """Why the last comparison failed; empty when it did not."""

    def request(self) -> None:
        """Compare soon."""
        self._due.set()

    async def run(self) -> None:
        """Compare each time it is due."""
        backoff = Backoff(*KUBERNETES)
        while True:
            await self._due.wait()
            self._due.clear()
            for pause_s in (0.0, SECOND_S):
                await asyncio.sleep(pause_s)
                try:
                    await self._compare()
                    backoff.reset()
                except KubeError as error:
                    if str(error) != self.last_error:  # one line per outage
                        log.warning("cannot list Vigil's kinds; trying again", reason=str(error))
                    self.last_error = str(error)
                    await asyncio.sleep(backoff.next_s())
                    self._due.set()
                    break

    async def run_periodically(self) -> None:
        """Compare every `resync_s`, whether or not anything reported a change."""
        while True:
            await asyncio.sleep(spread(self._resync_s, 0.1))
            with contextlib.suppress(KubeError):  # the next one will do
                await self._compare()
            self._resynced()

    async def _compare(self) -> None:
        await sweep(self._api, self._cache, OWN_KINDS, self._namespaces)
        self.last_error = ""
        self.compared.set()
