"""Old events for subscribers that resume or lag, read once for all that need them at the same time."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from vigil_gateway.handlers.graphql.live.feed import EventStore, parse_row
from vigil_gateway.handlers.graphql.live.ring import Entry

PAGE: Final = 128
CACHED_PAGES: Final = 16
MAX_AGE_S: Final = 10.0
"""A thousand subscribers that come back together ask within seconds; an erased person must not stay in memory."""

PARALLEL_READS: Final = 4
"""So that subscribers that catch up leave connections of the pool to queries."""


class History:
    """Pages of the event log, aligned, so that subscribers at nearby positions share them."""

    def __init__(self, store: EventStore, installation: Callable[[], str]) -> None:
        self._store = store
        self._installation = installation
        self._pages: OrderedDict[int, tuple[float, asyncio.Task[list[Entry]]]] = OrderedDict()
        self._reads = asyncio.Semaphore(PARALLEL_READS)
        self.reads = 0

    def drop(self) -> None:
        """Drop all pages: events in them were changed or deleted."""
        self._pages.clear()

    async def after(self, position: int, newest: int) -> list[Entry]:
        """Return entries behind `position`, at least one where there are any up to `newest`.

        Raises
        ------
        DatabaseError
            Postgres is away or slow.
        """
        page = position // PAGE
        if (page + 1) * PAGE > newest:  # still growing: not to be shared
            return await self._read(position, PAGE)
        entries = await asyncio.shield(self._shared(page))
        found = [entry for entry in entries if entry.seq > position]
        return found or await self._read(position, PAGE)

    def _shared(self, page: int) -> asyncio.Task[list[Entry]]:
        now = time.monotonic()
        for old in [number for number, (at, _) in self._pages.items() if now - at > MAX_AGE_S]:
            del self._pages[old]
        if page in self._pages:
            return self._pages[page][1]
        task = asyncio.create_task(self._read(page * PAGE, PAGE, last=(page + 1) * PAGE))
        task.add_done_callback(lambda done: self._drop_failed(page, done))
        self._pages[page] = (now, task)
        while len(self._pages) > CACHED_PAGES:
            self._pages.popitem(last=False)
        return task

    def _drop_failed(self, page: int, task: asyncio.Task[list[Entry]]) -> None:
        if (task.cancelled() or task.exception() is not None) and self._pages.get(page, (0, None))[1] is task:
            del self._pages[page]

    async def _read(self, position: int, limit: int, last: int | None = None) -> list[Entry]:
        async with self._reads:
            self.reads += 1
            rows = await self._store.events_after(position, limit)
        return [parse_row(row, self._installation()) for row in rows if last is None or row.seq <= last]
