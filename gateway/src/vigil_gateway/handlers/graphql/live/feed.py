"""Keep the log in memory up to date: live from the bus, what is missing from Postgres.

The bus may lose a message (the subscription does not acknowledge), deliver it twice or be away; subscribers notice none
of it, because every event has a position. The next message is appended; a later one waits while those between are read
from Postgres; an earlier one is dropped. A lost *last* message leaves no gap, so the newest position is also read from
Postgres every second.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import structlog

from vigil_contracts.events import MATCH_TYPE, EventError, Match, decode
from vigil_gateway.handlers.graphql.event_types import sighting_event
from vigil_gateway.handlers.graphql.live.ring import Entry, Ring
from vigil_gateway.storage.errors import DatabaseError
from vigil_gateway.storage.postgres.rows import EventRow
from vigil_runtime.backoff import STORE, Backoff

log = structlog.get_logger(__name__)

PAGE: Final = 256
"""Events read from Postgres at once: some 0.5 MB of JSON."""

MAX_EARLY: Final = 4096
"""Messages held while those before them are fetched; more are read from Postgres."""

TAIL_CHECK_S: Final = 1.0
"""A lost last message is noticed within this time plus one query: below the 2 s that are promised."""


class EventStore(Protocol):
    """The part of the event log that the feed reads."""

    async def newest_seq(self) -> int:
        """Return the newest `seq` that was committed; 0 before the first."""

    async def oldest_seq(self) -> int | None:
        """Return the oldest `seq` that is kept; None when none is."""

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        """Return up to `limit` events after `seq`, in order."""


def parse_row(row: EventRow) -> Entry:
    """Return the entry of a row of the event log; of a row that cannot be read, an empty one."""
    if row.type != MATCH_TYPE:
        return Entry(row.seq, None)
    try:
        match = Match.model_validate_json(row.payload)
    except ValueError as error:
        log.warning("event in the database cannot be read", seq=row.seq, reason=str(error)[:500])
        return Entry(row.seq, None)
    return Entry(row.seq, sighting_event(match.model_copy(update={"seq": row.seq})))


class Feed:
    """The site's events in order, as far as they have happened.

    Attributes
    ----------
    ring
        The newest events.
    ready
        Set once the newest position is known; before, a subscription cannot begin at "now".
    from_bus, from_database
        Events appended, by where they came from first.
    away
        Why Postgres could not be read the last time; None when it could.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        capacity: int,
        max_age_s: float,
        on_entry: Callable[[Entry], None],
        on_reset: Callable[[], None],
    ) -> None:
        self.ring = Ring(capacity)
        self.ready = asyncio.Event()
        self.from_bus = 0
        self.from_database = 0
        self.away: str | None = "the database has not been read yet"
        self._store = store
        self._capacity = capacity
        self._max_age_s = max_age_s
        self._on_entry = on_entry
        self._on_reset = on_reset
        self._early: dict[int, Entry] = {}
        self._wake = asyncio.Event()

    def receive(self, body: bytes) -> None:
        """Append the event in a message from the bus, or keep it until those before it are there."""
        try:
            match = decode(body, Match)
        except EventError as error:
            log.warning("message on the bus is not a match event", reason=str(error.reason), error=str(error)[:500])
            return
        if match.seq <= self.ring.head and self.ready.is_set():
            return
        self._offer(Entry(match.seq, sighting_event(match)), from_bus=True)

    def _offer(self, entry: Entry, *, from_bus: bool = False) -> None:
        if not self.ready.is_set() or entry.seq > self.ring.head + 1:
            if len(self._early) < MAX_EARLY:
                self._early[entry.seq] = entry
            self._wake.set()
            return
        if entry.seq <= self.ring.head:
            return
        self._append(entry, from_bus=from_bus)
        self._drain()

    def _drain(self) -> None:
        for seq in [seq for seq in self._early if seq <= self.ring.head]:
            del self._early[seq]
        while (following := self._early.pop(self.ring.head + 1, None)) is not None:
            self._append(following, from_bus=True)

    def _append(self, entry: Entry, *, from_bus: bool) -> None:
        self.ring.append(entry)
        if from_bus:
            self.from_bus += 1
        else:
            self.from_database += 1
        self._on_entry(entry)

    async def run(self) -> None:
        """Fill gaps until cancelled; while Postgres is away, try again with growing pauses."""
        backoff = Backoff(*STORE)
        while True:
            try:
                await self._catch_up()
                self.away = None
                backoff.reset()
            except DatabaseError as error:
                self.away = str(error)
                if backoff.failures == 0:
                    log.warning("event log not read; retrying", reason=str(error))
                await asyncio.sleep(backoff.next_s())
                continue
            self.ring.evict(before=asyncio.get_running_loop().time() - self._max_age_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(TAIL_CHECK_S):
                    await self._wake.wait()
            self._wake.clear()

    async def _catch_up(self) -> None:
        before, early = self.ring.head, set(self._early)
        newest = await self._store.newest_seq()
        if not self.ready.is_set():
            await self._begin(newest)
        elif newest < before:
            self._reset(before, newest)
        self._forget(early, newest)
        while self.ring.head < newest:
            await self._fill(newest)

    async def _begin(self, newest: int) -> None:
        """Start behind the newest event, with the ones before it in memory for subscribers that resume."""
        start = max(0, newest - self._capacity)
        self.ring.reset(start)
        while self.ring.head < newest:
            await self._fill(newest)
        self.ready.set()
        self._drain()

    async def _fill(self, newest: int) -> None:
        rows = await self._store.events_after(self.ring.head, PAGE)
        for row in rows:
            if row.seq <= self.ring.head:
                continue  # it came from the bus while the page was read
            self._bridge(row.seq)
            entry = parse_row(row)
            if self.ready.is_set():
                self._offer(entry)
            else:
                self._append(entry, from_bus=False)
            await asyncio.sleep(0)
        if not rows or len(rows) < PAGE:
            self._bridge(newest + 1)

    def _bridge(self, seq: int) -> None:
        """Step over positions whose rows are deleted: what is read is complete up to the newest position."""
        missing = seq - 1 - self.ring.head
        if missing <= 0:
            return
        log.info("events are deleted", first=self.ring.head + 1, last=seq - 1)
        if missing > self._capacity:
            self.ring.reset(seq - 1 - self._capacity)
        while self.ring.head < seq - 1:
            self._append(Entry(self.ring.head + 1, None), from_bus=False)

    def _forget(self, early: set[int], newest: int) -> None:
        """Drop messages beyond the newest position of the database: a match is published after its commit."""
        for seq in [seq for seq in early if seq > newest]:
            self._early.pop(seq, None)
            log.warning("message on the bus is ahead of the database", seq=seq, newest=newest)

    def _reset(self, before: int, newest: int) -> None:
        log.error("the database ends before events that were sent; subscriptions end", sent=before, newest=newest)
        self._early.clear()
        self.ring.reset(newest)
        self._on_reset()
