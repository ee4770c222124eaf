"""Replays in slices, so that probes, queries and live events do not wait for them.

An event of a replay is delivered without waiting while its client reads, so a task would deliver thousands in a row,
and forty such tasks one after the other.
"""

import asyncio
import time
from typing import Final

SLICE_S: Final = 0.002
"""Of work on replays, all together, between two chances for everything else."""


class Pace:
    """The slices of one process."""

    def __init__(self) -> None:
        self._began = 0.0
        self._turn = asyncio.Lock()

    async def keep(self) -> None:
        """Wait for the next slice when this one is over; those who wait get one each, in order."""
        if time.monotonic() - self._began < SLICE_S:
            return
        async with self._turn:
            await asyncio.sleep(0)
            self._began = time.monotonic()


class ReplaySlots:
    """How many replays of one connection read from Postgres at once; the others wait for a slot."""

    def __init__(self, slots: int) -> None:
        self._free = asyncio.Semaphore(slots)

    def new(self) -> "ReplaySlot":
        """Return the slot of one subscription, not taken yet."""
        return ReplaySlot(self._free)


class ReplaySlot:
    """The slot of one subscription."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._taken = False

    async def take(self) -> None:
        """Wait for a free slot, unless this subscription has one."""
        if not self._taken:
            await self._free.acquire()
            self._taken = True

    def release(self) -> None:
        """Leave the slot to another subscription."""
        if self._taken:
            self._taken = False
            self._free.release()
