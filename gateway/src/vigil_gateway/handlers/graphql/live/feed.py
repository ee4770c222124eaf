"""Keep the log in memory up to date: the bus says that there are new events, Postgres holds what they are.

No byte of a message reaches a subscriber: whoever can publish on the bus could otherwise make events up. A message
only causes the next read, and many of them cause one. The bus may therefore lose a message, deliver it twice or be
away; subscribers notice none of it. For a lost *last* message the newest position is also read every second.
"""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import structlog

from vigil_contracts.events import MATCH_TYPE, Match
from vigil_gateway.handlers.graphql.event_types import sighting_event
from vigil_gateway.handlers.graphql.live.ring import Entry, Ring
from vigil_gateway.storage.errors import DatabaseError
from vigil_gateway.storage.postgres.event_log import STALE_S, LogHead, Origin
from vigil_gateway.storage.postgres.rows import EventRow
from vigil_runtime.backoff import STORE, Backoff

log = structlog.get_logger(__name__)

PAGE: Final = 256
"""Events read from Postgres at once: some 0.5 MB of JSON."""

TAIL_CHECK_S: Final = 1.0
"""A lost last message is noticed within this time plus one query: below the 2 s that are promised."""

IDLE_READ_S: Final = 0.02
"""Pause after a read that a message caused in vain, so that forged messages cannot keep Postgres busy."""


class EventStore(Protocol):
    """The part of the event log that the feed reads."""

    async def origin(self) -> Origin:
        """Return which history the events are of."""

    async def newest_seq(self) -> int:
        """Return the newest `seq` that was committed; 0 before the first."""

    async def head(self) -> LogHead:
        """Return the newest `seq` and the number of rewrites, of one moment."""

    async def event_at(self, seq: int) -> tuple[uuid.UUID | None, int] | None:
        """Return the sighting's id and the revision of one event; None when it is not kept."""

    async def oldest_seq(self) -> int | None:
        """Return the oldest `seq` that is kept; None when none is."""

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        """Return up to `limit` events after `seq`, in order."""


def parse_row(row: EventRow, installation: str) -> Entry:
    """Return the entry of a row of the event log; of a row that cannot be read, an empty one."""
    if row.type != MATCH_TYPE:
        return Entry(row.seq, None)
    try:
        match = Match.model_validate_json(row.payload)
    except ValueError as error:
        log.warning("event in the database cannot be read", seq=row.seq, reason=str(error)[:500])
        return Entry(row.seq, None)
    return Entry(row.seq, sighting_event(match.model_copy(update={"seq": row.seq}), installation))


class Feed:
    """The site's events in order, as far as they have happened.

    Attributes
    ----------
    ring
        The newest events.
    origin
        The history that the events are of; None until it is known.
    ready
        Set once the newest position is known; before, a subscription cannot begin at "now".
    from_bus, from_database
        Events appended, by what caused the read: a message on the bus, or the look at the newest position.
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
        on_rewrite: Callable[[], None] = lambda: None,
    ) -> None:
        self.ring = Ring(capacity)
        self.origin: Origin | None = None
        self.ready = asyncio.Event()
        self.from_bus = 0
        self.from_database = 0
        self.away: str | None = "the database has not been read yet"
        self._store = store
        self._capacity = capacity
        self._max_age_s = max_age_s
        self._on_entry = on_entry
        self._on_reset = on_reset
        self._on_rewrite = on_rewrite
        self._rewrites: int | None = None
        self._forgetting: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()

    @property
    def installation(self) -> str:
        """The name of the history in cursors; empty until it is known."""
        return self.origin.installation if self.origin is not None else ""

    def notify(self, seq: int | None) -> None:
        """Read the events that are new soon.

        Parameters
        ----------
        seq
            The position that a message is about; None: it does not say. One that was read already changes nothing.
        """
        if seq is None or seq > self.ring.head:
            self._wake.set()

    def _append(self, entry: Entry, *, from_bus: bool) -> None:
        self.ring.append(entry)
        if from_bus:
            self.from_bus += 1
        else:
            self.from_database += 1
        self._on_entry(entry)

    async def run(self) -> None:
        """Read new events until cancelled; while Postgres is away, try again with growing pauses."""
        backoff = Backoff(*STORE)
        clock = asyncio.get_running_loop().time
        complete_at = clock()
        while True:
            try:
                if self._wake.is_set() and self.ready.is_set() and clock() < complete_at:
                    self._wake.clear()
                    await self._read_on()
                else:
                    await self._catch_up()
                    complete_at = clock() + TAIL_CHECK_S
                self.away = None
                backoff.reset()
            except DatabaseError as error:
                self.away = str(error)
                if backoff.failures == 0:
                    log.warning("event log not read; retrying", reason=str(error))
                await asyncio.sleep(backoff.next_s())
                complete_at = clock()
                continue
            self.ring.evict(before=clock() - self._max_age_s)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(complete_at):
                    await self._wake.wait()

    async def _read_on(self) -> None:
        """Append what is new behind the newest event; a page without a hole that is read is complete."""
        before = self.ring.head
        while len(await self._append_page(from_bus=True)) == PAGE:
            pass
        if self.ring.head == before:
            await asyncio.sleep(IDLE_READ_S)

    async def _append_page(self, *, from_bus: bool) -> list[EventRow]:
        rows = await self._store.events_after(self.ring.head, PAGE)
        for row in rows:
            self._bridge(row.seq)
            self._append(parse_row(row, self.installation), from_bus=from_bus)
            await asyncio.sleep(0)
        return rows

    async def _catch_up(self) -> None:
        before, asked_at = self.ring.head, asyncio.get_running_loop().time()
        origin, head = await self._store.origin(), await self._store.head()
        newest = head.newest
        self._drop_rewritten(head.rewrites, asked_at)
        replaced = self.origin is not None and origin.installation != self.origin.installation
        self.origin = origin
        if not self.ready.is_set():
            await self._begin(newest)
        elif newest < before or replaced:
            self._reset(before, newest)
        while self.ring.head < newest:
            await self._fill(newest)

    async def _begin(self, newest: int) -> None:
        """Start behind the newest event, with the ones before it in memory for subscribers that resume."""
        start = max(0, newest - self._capacity)
        self.ring.reset(start)
        while self.ring.head < newest:
            await self._fill(newest)
        self.ready.set()

    async def _fill(self, newest: int) -> None:
        if len(await self._append_page(from_bus=False)) < PAGE:
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

    def _drop_rewritten(self, rewrites: int, asked_at: float) -> None:
        """Drop all events in memory when events were changed or deleted since the last look.

        An erasure waits until every API must have looked. So what was not compared for `STALE_S` is dropped, too.
        """
        if self._rewrites not in {None, rewrites}:
            self._forget()
        self._rewrites = rewrites
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._forgetting = asyncio.get_running_loop().call_at(asked_at + STALE_S, self._forget)

    def _forget(self) -> None:
        self.ring.drop()
        self._on_rewrite()

    def _reset(self, before: int, newest: int) -> None:
        msg = "the database is another one, or ends before events that were sent; subscriptions end"
        log.error(msg, sent=before, newest=newest)
        self.ring.reset(newest)
        self._on_reset()
