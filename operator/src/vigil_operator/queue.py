"""The work queue: every key once, however often it is added; failures are queued again with growing pauses.

A key that is added while a worker holds it is queued again afterwards, so that no two workers ever hold one key and no
change is lost. The size is bounded by the number of distinct keys, that is, of objects: outdated entries for later stay
in the heap only until they outnumber the valid ones.
"""

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from vigil_runtime.backoff import KeyedBackoff

K = TypeVar("K", bound=Hashable)

SLACK: Final = 64
"""Outdated entries that may always stay in the heap: cleaning a small one is not worth the work."""


class WorkQueue(Generic[K]):
    """Keys that wait for a worker. On the event loop only."""

    def __init__(self) -> None:
        self._ready: dict[K, float] = {}
        self._active: dict[K, bool] = {}
        self._due: dict[K, float] = {}
        self._later: list[tuple[float, int, K]] = []
        self._order = 0
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self.backoff: KeyedBackoff[K] = KeyedBackoff()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def waiting(self) -> int:
        """The number of keys that are due later."""
        return len(self._due)

    @property
    def held(self) -> int:
        """The number of entries for later in memory, outdated ones included."""
        return len(self._later)

    @property
    def active(self) -> int:
        """The number of keys that workers hold."""
        return len(self._active)

    def add(self, key: K, after_s: float = 0.0) -> None:
        """Queue a key, now or after some seconds; of two times the earlier one counts."""
        if after_s > 0:
            self._add_later(key, time.monotonic() + after_s)
        elif key in self._active:
            self._active[key] = True
        elif key not in self._ready:
            self._ready[key] = time.monotonic()
            self._wake.set()

    async def take(self) -> K:
        """Wait for a key; `done` must follow."""
        while not self._ready:
            self._wake.clear()
            await self._wake.wait()
        key = next(iter(self._ready))
        del self._ready[key]
        self._active[key] = False
        self._due.pop(key, None)  # what was due later happens now
        return key

    def done(self, key: K) -> None:
        """Return a key after it was handled."""
        if self._active.pop(key):
            self.add(key)

    async def work(self, handle: Callable[[K], Awaitable[None]]) -> None:
        """Hand keys to `handle`, one after another, until cancelled; `handle` raises nothing."""
        while True:
            key = await self.take()
            try:
                await handle(key)
            finally:
                self.done(key)

    def _add_later(self, key: K, due: float) -> None:
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        self._order += 1
        heapq.heappush(self._later, (due, self._order, key))
        if len(self._later) > 2 * len(self._due) + SLACK:
            self._later = [one for one in self._later if self._due.get(one[2]) == one[0]]
            heapq.heapify(self._later)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._later:
            pause = max(0.0, self._later[0][0] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(pause, self._move_due)

    def _move_due(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            if self._due.get(key) == due:  # else it was handled meanwhile, or is due earlier
                del self._due[key]
                self.add(key)
        self._set_timer()
