"""Keep the log in memory up to date: live from the bus, what is missing from Postgres.

The bus may lose a message for us (we subscribe without acknowledging), deliver it twice or be away; none of it shows,
because every event has its place. A message that is the next one is appended; a later one waits while Postgres is asked
for those between; an earlier one is dropped. As a lost *last* message leaves no gap, Postgres is also asked for its
newest place every second.
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
from vigil_runtime.backoff import Backoff

log = structlog.get_logger(__name__)

PAGE: Final = 256
"""Events read from Postgres at once: some 0.5 MB of JSON."""

MAX_EARLY: Final = 4096
"""Messages held while those before them are fetched; what comes beyond is left to Postgres."""

TAIL_CHECK_S: Final = 1.0
"""A lost last message is noticed within this time plus one query: below the 2 s that are promised."""

FIRST_PAUSE_S: Final = 0.1
MAX_PAUSE_S: Final = 2.0


class EventStore(Protocol):
    """What the feed reads from Postgres."""

    async def newest_seq(self) -> int:
        """Give the newest `seq` that was committed; 0 before the first."""

    async def oldest_seq(self) -> int | None:
        """Give the oldest `seq` that is kept; None when none is."""

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        """Return up to `limit` events after `seq`, in order."""


def parse_row(row: EventRow) -> Entry:
    """Read one row of the resume log; a row that cannot be read becomes an empty place, and the log says so."""
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
        Set once the newest place is known; until then nobody can say where "now" is.
    from_bus, from_database
        Events appended, by where they came from first.
    away
        Why Postgres did not answer when it was last asked; None when it did.
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
        self.away: str | None = "the database has not been asked yet"
        self._store = store
        self._capacity = capacity
        self._max_age_s = max_age_s
        self._on_entry = on_entry
        self._on_reset = on_reset
        self._early: dict[int, Entry] = {}
        self._wake = asyncio.Event()

    def receive(self, body: bytes) -> None:
        """Take one message from the bus."""
        try:
            match = decode(body, Match)
        except EventError as error:
            log.warning("message on the bus is not a match event", reason=str(error.reason), told=str(error)[:500])
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
        """Fill gaps until cancelled; while Postgres is away, retry with backoff."""
        backoff = Backoff(FIRST_PAUSE_S, MAX_PAUSE_S)
        while True:
            try:
                await self._catch_up()
                backoff.reset()
                self.away = None
            except DatabaseError as error:
                self.away = str(error)
                if not backoff.failures:
                    log.warning("event log cannot be read; retrying", reason=str(error))
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
        """Start behind the newest event, with the ones before it in memory for those who resume."""
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
        """Step over places whose rows are deleted: what is read at all is complete up to the newest place."""
        missing = seq - 1 - self.ring.head
        if missing <= 0:
            return
        log.info("events are deleted", first=self.ring.head + 1, last=seq - 1)
        if missing > self._capacity:
            self.ring.reset(seq - 1 - self._capacity)
        while self.ring.head < seq - 1:
            self._append(Entry(self.ring.head + 1, None), from_bus=False)

    def _forget(self, early: set[int], newest: int) -> None:
        """Drop messages that claim places which the database does not have: a match is published after its commit."""
        for seq in [seq for seq in early if seq > newest]:
            self._early.pop(seq, None)
            log.warning("message on the bus is ahead of the database", seq=seq, newest=newest)

    def _reset(self, before: int, newest: int) -> None:
        log.error("the database ends before events that were told; subscribers begin anew", told=before, newest=newest)
        self._early.clear()
        self.ring.reset(newest)
        self._on_reset()
